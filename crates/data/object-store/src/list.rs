//! Pages of `ListObjectsV2`. `rusty-s3` signs and parses; this file sends.

use std::time::Duration;

use formats::object::listing::Listed;
use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::redirect::Policy;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use crate::connection::Connection;
use crate::error::Error;

/// Longest response that is read: a page has at most 1,000 keys of 1,024 bytes, three times as long
/// when they are encoded.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Longest time for one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Validity of a signature.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// Bytes of an error response that are quoted.
const QUOTED_BYTES_MAX: usize = 300;

/// A bucket of a store.
#[derive(Debug, Clone)]
pub struct Store {
    connection: Connection,
    bucket: Bucket,
    client: reqwest::Client,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its objects.
    pub objects: Vec<Listed>,
    /// Continuation of the next page; `None` at the end of the list.
    pub next: Option<String>,
}

impl Store {
    /// A bucket of the store of a connection.
    ///
    /// # Errors
    /// When the endpoint or the name of the bucket does not form a URL.
    pub fn new(connection: &Connection, bucket: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Endpoint { endpoint: connection.endpoint.clone(), why };
        let endpoint: reqwest::Url = connection.endpoint.parse().map_err(|error| wrong(format!("{error}")))?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://".to_owned()));
        }
        let style = if connection.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = Bucket::new(endpoint, style, bucket.to_owned(), connection.region.clone());
        let bucket = bucket.map_err(|error| wrong(error.to_string()))?;
        // Fails only when a provider was installed before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect would send the signature elsewhere.
        let client = reqwest::Client::builder().redirect(Policy::none()).timeout(PAGE_TIMEOUT).build();
        let client = client.map_err(|error| wrong(error.to_string()))?;
        Ok(Self { connection: connection.clone(), bucket, client })
    }

    /// One page of the objects whose keys begin with `prefix`.
    ///
    /// # Errors
    /// When the request fails, the store returns an error, or the response is not a list.
    pub async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Page, Error> {
        let credentials = Credentials::new(&self.connection.access_key, self.connection.secret()?);
        let mut list = ListObjectsV2::new(&self.bucket, Some(&credentials));
        if !prefix.is_empty() {
            list.with_prefix(prefix);
        }
        if let Some(token) = after {
            list.with_continuation_token(token);
        }
        let text = self.get(list.sign(SIGNED_FOR)).await?;
        let listed = ListObjectsV2::parse_response(&text).map_err(|error| self.unreadable(error.to_string()))?;
        let objects = listed.contents.into_iter().map(|object| {
            let time = object.last_modified.unwrap_or_default();
            let time: Timestamp = time.parse().map_err(|_| self.unreadable(format!("LastModified {time:?}")))?;
            let modified_ms = time.as_millisecond();
            Ok(Listed { key: object.key, etag: object.etag, size: object.size, modified_ms })
        });
        Ok(Page { objects: objects.collect::<Result<_, Error>>()?, next: listed.next_continuation_token })
    }

    async fn get(&self, url: reqwest::Url) -> Result<String, Error> {
        let failed = |error: reqwest::Error| {
            let (bucket, endpoint) = self.place();
            Error::Request { bucket, endpoint, source: error.without_url() }
        };
        let response = self.client.get(url).send().await.map_err(failed)?;
        let status = response.status();
        let (mut body, mut bytes) = (response.bytes_stream(), Vec::new());
        let limit = if status.is_success() { ANSWER_BYTES_MAX } else { QUOTED_BYTES_MAX };
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(failed)?);
            if bytes.len() > limit {
                break;
            }
        }
        if !status.is_success() {
            bytes.truncate(QUOTED_BYTES_MAX);
            let (bucket, endpoint) = self.place();
            let said = String::from_utf8_lossy(&bytes).into_owned();
            return Err(Error::Refused { bucket, endpoint, status: status.as_u16(), said });
        }
        if bytes.len() > limit {
            return Err(self.unreadable(format!("a page has more than {ANSWER_BYTES_MAX} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| self.unreadable(error.to_string()))
    }

    fn place(&self) -> (String, String) {
        (self.bucket.name().to_owned(), self.connection.endpoint.clone())
    }

    fn unreadable(&self, why: String) -> Error {
        let (bucket, endpoint) = self.place();
        Error::Answer { bucket, endpoint, why }
    }
}
