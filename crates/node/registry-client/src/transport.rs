//! Sends requests to one host: with retries, bounded responses, and errors that name registry and
//! image.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, Url};

use crate::client::{Cause, Clients, Target, cause};
use crate::destination::Origin;
use crate::endpoint::Endpoint;
use crate::error_response::Subject;
use crate::redirect::{self, NoAnswer, Redirects};
use crate::retry::{Failure, RetryPolicy, is_transient, retry_after};
use crate::throughput::{Throughput, ThroughputMin};
use tokio::time::{Instant, timeout_at};

use crate::Error;

/// Sends requests to an endpoint and to the destinations that it names.
pub(crate) struct Transport {
    pub clients: Clients,
    pub endpoint: Endpoint,
    /// Registry and image that errors name.
    pub subject: Subject,
    pub policy: RetryPolicy,
    /// Most bytes of an error or token response.
    pub answer_bytes_max: u64,
    pub throughput: ThroughputMin,
    pub asked_pause: AskedPause,
}

/// The pause that a registry asked for by `Retry-After`, for progress reports.
#[derive(Debug, Clone, Default)]
pub struct AskedPause(Arc<AtomicU64>);

impl AskedPause {
    /// Its seconds.
    pub fn seconds(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }

    async fn wait(&self, pause: Duration, is_asked: bool) {
        /// Ends a pause, even if the wait is cancelled.
        struct Over<'a>(&'a AtomicU64);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(0, Ordering::Relaxed);
            }
        }
        let _over = is_asked.then(|| {
            self.0.store(pause.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            Over(&self.0)
        });
        tokio::time::sleep(pause).await;
    }
}

impl Transport {
    /// Creates a transport; invalid settings of the endpoint fail before any request.
    ///
    /// # Errors
    /// `Unreachable` where a certificate authority cannot be read.
    pub(crate) fn new(
        clients: &Clients,
        endpoint: Endpoint,
        subject: Subject,
        asked_pause: AskedPause,
    ) -> Result<Self, Error> {
        clients.client(&endpoint, Target::Named).map_err(|error| subject.unreachable(error))?;
        let config = clients.config();
        let (policy, answer_bytes_max) = (RetryPolicy::new(config), config.answer_bytes_max);
        let (clients, throughput) = (clients.clone(), ThroughputMin::new(config));
        Ok(Self { clients, endpoint, subject, policy, answer_bytes_max, throughput, asked_pause })
    }

    /// Sends a request, with retries of transient failures.
    pub(crate) async fn send(
        &self,
        target: Target,
        retry: bool,
        redirects: Redirects,
        build: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let client = self.clients.client(&self.endpoint, target.clone());
        let client = client.map_err(|error| self.subject.unreachable(error))?;
        let mut tried = 0;
        loop {
            // A pause of the endpoint for all images.
            if let Some(left) = self.clients.pause_left(&self.endpoint).filter(|_| target == Target::Named) {
                self.asked_pause.wait(left, true).await;
            }
            let outcome = self.exchange(&client, &target, redirects, &build).await;
            let failure = match &outcome {
                Ok(response) if is_transient(response.status().as_u16()) => {
                    Failure::Transient { retry_after: asked_pause(response.headers()) }
                }
                Err(NoAnswer::Http(error)) => failure_of(error),
                Ok(_) | Err(_) => Failure::Final,
            };
            let pause = self.policy.pause(failure, tried).filter(|_| retry);
            let Some(pause) = pause else { return outcome.map_err(|error| self.no_answer(error)) };
            tracing::debug!(image = self.subject.image, tried, ?pause, ?failure, "retrying a request to the registry");
            let is_asked = matches!(failure, Failure::Transient { retry_after: Some(_) });
            if is_asked && target == Target::Named && matches!(&outcome, Ok(answer) if answer.status() == 429) {
                self.clients.pause(&self.endpoint, pause);
            }
            self.asked_pause.wait(pause, is_asked).await;
            tried += 1;
        }
    }

    async fn exchange(
        &self,
        client: &Client,
        target: &Target,
        redirects: Redirects,
        build: &impl Fn(&Client) -> RequestBuilder,
    ) -> Result<Response, NoAnswer> {
        let request = build(client).build()?;
        if let Target::Redirected { by } = target {
            self.clients.destinations().check(by.as_ref(), request.url())?;
        }
        let answer = client.execute(request).await?;
        if redirects == Redirects::Return {
            return Ok(answer);
        }
        match redirect::target(&answer)? {
            Some(to) => redirect::follow(&self.clients, &self.endpoint, &answer, to, build).await,
            None => Ok(answer),
        }
    }

    fn no_answer(&self, error: NoAnswer) -> Error {
        match error {
            NoAnswer::Http(error) => self.subject.no_answer(error),
            NoAnswer::Destination(refused) => self.subject.redirect_refused(refused),
            NoAnswer::Redirect(what) => self.subject.protocol(what),
        }
    }

    /// The address of the endpoint's own response, if it allows more than public destinations.
    pub(crate) fn origin(&self, answer: &Response) -> Option<Origin> {
        let host = |url: &Url| url.host_str().map(str::to_owned);
        let is_itself = self.endpoint.base.parse().ok().as_ref().and_then(host) == host(answer.url());
        is_itself.then(|| self.clients.destinations().origin(answer.url(), answer.remote_addr())).flatten()
    }

    /// Reads a response of at most `bytes_max`; `None` if it is longer.
    pub(crate) async fn read_body(&self, response: Response, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        let mut throughput = Throughput::new(self.throughput, Instant::now());
        loop {
            let chunk = match timeout_at(throughput.deadline(), stream.next()).await {
                Ok(None) => break,
                Ok(Some(chunk)) => chunk.map_err(|error| self.subject.no_answer(error))?,
                Err(_) => Bytes::new(),
            };
            throughput.add(chunk.len(), Instant::now()).map_err(|slow| self.subject.too_slow(slow, self.throughput))?;
            if (body.len() + chunk.len()) as u64 > bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    /// Reads an error or token response.
    pub(crate) async fn read_answer(&self, response: Response) -> Result<Vec<u8>, Error> {
        let body = self.read_body(response, self.answer_bytes_max).await?;
        body.ok_or_else(|| self.subject.protocol("an answer is longer than answer_bytes_max of [image]"))
    }

    /// The error of an unsuccessful response; `provider` is the source of the credentials.
    pub(crate) async fn error_response(&self, response: Response, what: String, provider: Option<String>) -> Error {
        let (status, retry_after) = (response.status().as_u16(), asked_pause(response.headers()));
        let body = self.read_answer(response).await.unwrap_or_default();
        self.subject.error_response(status, retry_after, &body, what, provider)
    }
}

/// How a failure is retried.
pub(crate) fn failure_of(error: &reqwest::Error) -> Failure {
    match cause(error) {
        Cause::Connect => Failure::Connect,
        Cause::Broken => Failure::Transient { retry_after: None },
        Cause::PlainHttp | Cause::NotHttp | Cause::Untrusted | Cause::Request => Failure::Final,
    }
}

fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| retry_after(v, Timestamp::now()))
}
