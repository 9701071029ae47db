//! Asks topics of SNS: for the address that confirms a subscription, and for the certificate of a
//! signature. Both were sent by the topic, and the gateway has found them to be at a host of the
//! settings.

use std::time::Duration;

use gateway::{BoxFuture, Confirm};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest certificate, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;

/// Asks over HTTP.
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

/// Asks once. Rare, so that a client is made for each.
async fn answer(client: ClientBuilder, url: String) -> Result<Response, String> {
    // A redirect could lead to another host.
    let client = client.redirect(Policy::none()).timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
    match answer.status().is_success() {
        true => Ok(answer),
        false => Err(format!("the topic answered {}", answer.status())),
    }
}
