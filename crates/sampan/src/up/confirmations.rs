//! Confirms subscriptions of topics: asks for the address that a topic sent, which the gateway has
//! found to be at a host of the settings.

use std::time::Duration;

use gateway::{BoxFuture, Confirm};
use reqwest::Client;
use reqwest::redirect::Policy;

/// Longest time for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks over HTTP.
pub struct Confirmations;

impl Confirm for Confirmations {
    fn confirm(&self, url: String) -> BoxFuture<Result<(), String>> {
        Box::pin(async move {
            // A redirect could lead to another host. Rare, so that a client is made for each.
            let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build();
            let client = client.map_err(|error| error.to_string())?;
            let answer = client.get(url).send().await.map_err(|error| error.without_url().to_string())?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(format!("the topic answered {}", answer.status())),
            }
        })
    }
}
