//! HTTP requests to SNS topics: confirmation of a subscription, and the certificate of a signature.
//! Both URLs come from the topic's message; the gateway has checked that their hosts are allowed by
//! the settings.

use std::time::Duration;

use gateway::{BoxFuture, Confirm};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};

/// Timeout of a request, body included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest certificate, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;

/// Client of SNS topics over HTTP.
pub struct Confirmations;

impl Confirm for Confirmations {
    fn confirm(&self, url: String) -> BoxFuture<Result<(), String>> {
        Box::pin(async move { answer(Client::builder(), url).await.map(drop) })
    }

    fn certificate(&self, url: String) -> BoxFuture<Result<Vec<u8>, String>> {
        Box::pin(async move {
            let mut answer = answer(Client::builder().https_only(true), url).await?;
            let mut certificate = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
                certificate.extend_from_slice(&chunk);
                if certificate.len() > CERTIFICATE_BYTES_MAX {
                    return Err(format!("it has more than {CERTIFICATE_BYTES_MAX} bytes"));
                }
            }
            Ok(certificate)
        })
    }
}

/// Sends one GET request. Requests are rare, so each has a client of its own.
async fn answer(client: ClientBuilder, url: String) -> Result<Response, String> {
    // A redirect could lead to another host.
    let client = client.redirect(Policy::none()).timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    match answer.status().is_success() {
        true => Ok(answer),
        false => Err(format!("the topic answered {}", answer.status())),
    }
}
