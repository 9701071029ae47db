//! Failures of a request to an instance: without a response, or with an invalid one.

use std::io;

use http::Request;
use types::error_chain;

use crate::config::Config;
use crate::failure::Failure;
use crate::framing::InvalidFraming;
use crate::request_body::RequestBody;

/// Why an upstream request has no response head.
pub(crate) enum UpstreamError {
    /// The instance accepts no connection; nothing of the request has reached it.
    Unreachable {
        /// Why.
        error: io::Error,
        /// The request.
        request: Box<Request<RequestBody>>,
    },
    /// The connection broke after the request, or a part of it, was sent.
    ConnectionLost(String),
    /// The response is invalid.
    BadResponse(Box<Failure>),
}

impl UpstreamError {
    /// The connection broke with an error of the HTTP library.
    pub fn lost(error: &hyper::Error) -> Self {
        Self::ConnectionLost(error_chain(error))
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("more interim responses came than are taken")]
    TooManyInterim,
    #[error("the end of the response cannot be known: {0}")]
    Framing(#[from] InvalidFraming),
}

impl ResponseError {
    /// Whether the instance has responded, invalidly: a retry would run it twice.
    pub fn is_response(&self) -> bool {
        match self {
            Self::Http(error) => error.is_parse(),
            Self::TooManyInterim | Self::Framing(_) => true,
        }
    }

    /// The resulting error of the invocation.
    pub fn into_upstream(self, config: &Config) -> UpstreamError {
        let failure = match &self {
            Self::Http(error) if error.is_parse_too_large() => {
                Failure::response_head_too_large(config.web_response_headers_max, config.web_response_headers_bytes_max)
            }
            Self::Http(error) if error.is_parse() => Failure::no_http(&error_chain(error)),
            Self::Http(error) => return UpstreamError::lost(error),
            Self::TooManyInterim => Failure::interim(config.interim_responses_max, config.interim_responses_bytes_max),
            Self::Framing(invalid) => Failure::no_http(&invalid.to_string()),
        };
        UpstreamError::BadResponse(Box::new(failure))
    }
}
