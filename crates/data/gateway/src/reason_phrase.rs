//! Reason phrases of status lines: those of the contract for failed runs, for which HTTP has none
//! or another one. Pure.

use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use types::RunStatus;

use crate::error_response::X_SCF_STATUS;

/// Sets the phrase of a status line. A phrase set by the function is kept.
pub fn add<B>(response: &mut Response<B>) {
    let status = response.status();
    if response.extensions().get::<ReasonPhrase>().is_some_and(|own| !own.as_bytes().is_empty()) {
        return;
    }
    if status.canonical_reason().is_none() || is_of_run(response, status) {
        let phrase = RunStatus::reason_phrase(status.as_u16());
        response.extensions_mut().insert(ReasonPhrase::from_static(phrase.as_bytes()));
    }
}

/// Whether the status is the platform's code of a failed run, not HTTP's of the same number.
fn is_of_run<B>(response: &Response<B>, status: StatusCode) -> bool {
    response.headers().get(X_SCF_STATUS).is_some_and(|code| code.as_bytes() == status.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn phrase(status: u16, of_run: Option<&'static str>, own: Option<&'static [u8]>) -> String {
        let mut response = Response::builder().status(status).body(()).expect("a response");
        if let Some(code) = of_run {
            response.headers_mut().insert(X_SCF_STATUS, HeaderValue::from_static(code));
        }
        if let Some(own) = own {
            response.extensions_mut().insert(ReasonPhrase::from_static(own));
        }
        add(&mut response);
        let phrase = response.extensions().get::<ReasonPhrase>().map(|phrase| phrase.as_bytes().to_vec());
        phrase.map_or_else(|| "HTTP's".to_owned(), |phrase| String::from_utf8(phrase).expect("ASCII"))
    }

    #[test]
    fn phrases_are_those_of_the_contract_for_runs_and_those_of_http_otherwise() {
        for (status, of_run, own, wanted) in [
            (430, Some("430"), None, "User code exception caught"),
            (438, Some("438"), None, "FunctionStatusError"),
            (406, Some("406"), None, "RequestTooLarge"),
            (404, Some("435"), None, "HTTP's"),
            (406, None, None, "HTTP's"),
            (200, None, None, "HTTP's"),
            (599, None, None, "Server Error"),
            (430, None, Some(&b"Mine"[..]), "Mine"),
            (430, None, Some(&b""[..]), "User code exception caught"),
        ] {
            assert_eq!(phrase(status, of_run, own), wanted, "{status} {of_run:?} {own:?}");
        }
    }
}
