//! Servers whose responses are slow, oversized, endless, or not HTTP: the caller gets an error
//! within the time limit, the platform's memory stays bounded, and no response reaches another
//! caller.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use anyhow::Context;
use e2e::{Platform, hostile, kernel};

/// Largest growth of the platform's memory caused by bad responses, in MB.
const GROWTH_MB_MAX: u64 = 64;
/// Longest wait for a response that the function's timeout of 2 s truncates.
const TRUNCATED_MAX: std::time::Duration = std::time::Duration::from_secs(40);

struct Bad {
    platform: Platform,
    memory_mb: u64,
}

/// A caller's result.
struct Got {
    status: u16,
    /// `None` when the body was truncated.
    body: Option<String>,
    request_id: String,
}

impl Bad {
    async fn start() -> anyhow::Result<Self> {
        let platform = Platform::start().await?;
        hostile::push(&platform).await?;
        platform.deploy("bad", "hostile:v1", &["--memory", "512", "--timeout", "2"]).await?;
        platform.deploy("other", "hostile:v1", &[]).await?;
        for function in ["bad", "other"] {
            hostile::attack(&platform, function, "/").await?;
        }
        let memory_mb = kernel::resident_mb(platform.pid()?)?;
        Ok(Self { platform, memory_mb })
    }

    async fn get(&self, answer: &str) -> anyhow::Result<Got> {
        let mut response = self.platform.get("bad", &format!("/answer?{answer}")).await?;
        let request_id = response.headers().get("x-scf-request-id").context("there is a request id")?;
        let (status, request_id) = (response.status().as_u16(), request_id.to_str()?.to_owned());
        let mut body = Some(String::new());
        loop {
            match response.chunk().await {
                Ok(None) => break,
                // The first bytes identify the response.
                Ok(Some(bytes)) => {
                    let text = body.iter_mut().filter(|text| text.len() < 1000);
                    text.for_each(|text| text.push_str(&String::from_utf8_lossy(&bytes)));
                }
                Err(_) => {
                    body = None;
                    break;
                }
            }
        }
        Ok(Got { status, body, request_id })
    }

    /// The status of a failed request in the log.
    async fn logged(&self, request_id: &str) -> anyhow::Result<String> {
        let log = self.platform.api.log_of("bad", request_id).await?;
        Ok(log["Log"].as_str().unwrap_or_default().to_owned())
    }

    /// Checks that the next caller and all others get their own responses, and that the platform's
    /// memory is as before.
    async fn all_is_well(&self, after: &str) -> anyhow::Result<()> {
        for function in ["bad", "other"] {
            let said = hostile::attack(&self.platform, function, "/").await.context(after.to_owned())?;
            assert_eq!(said, "hostile\n", "after {after}");
        }
        let grown_mb = kernel::resident_mb(self.platform.pid()?)?.saturating_sub(self.memory_mb);
        assert!(grown_mb <= GROWTH_MB_MAX, "{after}: the platform grew by {grown_mb} MB");
        Ok(())
    }
}

#[tokio::test]
async fn slow_answers_end_at_the_timeout() -> anyhow::Result<()> {
    let bad = Bad::start().await?;
    let got = bad.get("dripping-head").await?;
    assert_eq!(got.status, 433, "{:?}", got.body);
    bad.all_is_well("dripping-head").await?;
    for answer in ["dripping-body", "endless-body"] {
        let got = bad.get(answer).await?;
        assert_eq!((got.status, got.body), (200, None), "{answer} has begun well and is cut off");
        let log = bad.logged(&got.request_id).await?;
        assert!(log.contains("\"statusCode\":433"), "{answer}: {log}");
        bad.all_is_well(answer).await?;
    }
    bad.platform.stop().await
}

#[tokio::test]
async fn oversized_or_malformed_heads_are_function_errors() -> anyhow::Result<()> {
    let bad = Bad::start().await?;
    for (answer, status) in [
        ("endless-header", 407),
        ("endless-headers", 407),
        ("endless-information", 430),
        ("no-http", 430),
        ("two-lengths", 430),
        ("switching", 430),
    ] {
        let got = bad.get(answer).await?;
        assert_eq!(got.status, status, "{answer}: {:?}", got.body);
        assert!(got.body.is_some_and(|body| body.contains("errorMessage")), "{answer} says why");
        bad.all_is_well(answer).await?;
    }
    bad.platform.stop().await
}

#[tokio::test]
async fn bodies_that_violate_their_framing_are_truncated() -> anyhow::Result<()> {
    let bad = Bad::start().await?;
    for answer in ["half", "endless-trailers", "endless-chunk-size"] {
        // The function's timeout ends the call, not the client's.
        let got = tokio::time::timeout(TRUNCATED_MAX, bad.get(answer)).await;
        let got = got.with_context(|| format!("{answer}: the timeout of the function did not end it"))??;
        assert_eq!((got.status, got.body), (200, None), "{answer}");
        bad.all_is_well(answer).await?;
    }
    bad.platform.stop().await
}

#[tokio::test]
async fn an_unsolicited_answer_is_discarded() -> anyhow::Result<()> {
    let bad = Bad::start().await?;
    for round in 0..20 {
        let got = bad.get("another-answer").await?;
        assert_eq!((got.status, got.body.as_deref()), (200, Some("x")), "round {round}");
        bad.all_is_well("another-answer").await?;
    }
    bad.platform.stop().await
}
