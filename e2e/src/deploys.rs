//! Deploys images by full reference, with success or failure.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::{Platform, wait};

/// Longest time until a deploy must have failed, also for hostile images.
pub const FAIL_MAX: Duration = Duration::from_secs(60);

/// Reason of a failed deploy, from `StatusReasons` of `GetFunction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `ErrorCode`.
    pub code: String,
    /// `ErrorMessage`.
    pub message: String,
}

impl Reason {
    /// Fails unless the code matches and the message contains all words.
    pub fn says(&self, code: &str, words: &[&str]) -> anyhow::Result<()> {
        ensure!(self.code == code, "the code is not {code}: {self:?}");
        for word in words {
            ensure!(self.message.contains(word), "the message lacks {word:?}: {self:?}");
        }
        Ok(())
    }
}

/// Creates a web function without waiting for its image, and without a start check: many test
/// images have no server.
pub async fn begin(platform: &Platform, function: &str, image: &str) -> anyhow::Result<()> {
    let code = json!({"ImageConfig": {"ImageType": "personal", "ImageUri": image}});
    let tags = json!([{"Key": "sampan:start-check", "Value": "off"}]);
    let request = json!({"FunctionName": function, "Type": "HTTP", "MemorySize": 512, "Timeout": 120, "Code": code, "Tags": tags});
    platform.api.call("CreateFunction", request).await.map(drop)
}

/// Creates a web function and waits until it is active.
pub async fn good(platform: &Platform, function: &str, image: &str) -> anyhow::Result<Value> {
    begin(platform, function, image).await?;
    platform.api.wait_status(function, &["Active"]).await
}

/// Creates a web function that must fail, and returns the reason.
pub async fn bad(platform: &Platform, function: &str, image: &str) -> anyhow::Result<Reason> {
    let since = Instant::now();
    begin(platform, function, image).await?;
    let reason = failed(platform, function).await?;
    ensure!(since.elapsed() < FAIL_MAX, "{function} took {} s to fail: {reason:?}", since.elapsed().as_secs());
    Ok(reason)
}

/// Waits until a function has failed, and returns the reason.
pub async fn failed(platform: &Platform, function: &str) -> anyhow::Result<Reason> {
    wait::until(&format!("{function} fails"), || async {
        let found = platform.api.call("GetFunction", json!({"FunctionName": function})).await?;
        ensure!(found["Status"] != "Active", "{function} is active");
        if found["Status"] != "CreateFailed" {
            return Ok(None);
        }
        let field = |name: &str| found["StatusReasons"][0][name].as_str().map(str::to_owned);
        let (code, message) = field("ErrorCode").zip(field("ErrorMessage")).context("a failure without a reason")?;
        Ok(Some(Reason { code, message }))
    })
    .await
}
