//! Uploads (distribution specification, "Push"): blobs in one request each, then the manifests that
//! name them. Requests go through the same transport as pulls: credentials, destinations, retries.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Body, Client, Method, RequestBuilder, Response, Url};
use tokio::time::Instant;
use types::{Digest, ImageRef};

use crate::client::{Clients, Target, is_downgrade};
use crate::credentials::{CredentialRequest, Credentials};
use crate::endpoint::Endpoint;
use crate::error_response::Subject;
use crate::redirect::{Redirects, same_place};
use crate::request::{Request, Resource};
use crate::transport::{AskedPause, Transport};
use crate::upstream::{Exchange, Upstream};
use crate::{Config, Error};

/// Actions of a token for pushes.
const ACTIONS: &str = "pull,push";
/// Replaces the timeout of reads, which counts from the beginning of a request: an upload has no
/// response before its end. Uploads without progress end after `push_stall_s_max`.
const READ_TIMEOUT_S: u64 = 24 * 3600;

/// One repository to push to.
pub struct PushSession {
    upstream: Upstream,
    stall_max: Duration,
    progressed: Progress,
}

/// Time at which bytes were last sent.
#[derive(Clone)]
struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    fn note(&self) {
        *self.0.lock() = Instant::now();
    }
}

impl PushSession {
    /// Resolves the registry and checks its authentication; `is_direct` uses no proxy.
    ///
    /// # Errors
    /// All errors of a registry.
    pub async fn open(
        config: Config,
        credentials: &Arc<dyn Credentials>,
        image: &ImageRef,
        is_direct: bool,
    ) -> Result<Self, Error> {
        let stall_max = Duration::from_secs(config.push_stall_s_max);
        let clients = Clients::new(Config { read_idle_timeout_s: READ_TIMEOUT_S, ..config });
        let host = credentials.host_config(&image.registry);
        let endpoint = Endpoint::of_registry(&image.registry, &host, clients.config());
        let endpoint = Endpoint { loopback: endpoint.loopback || is_direct, ..endpoint };
        let subject = Subject::new(image.registry.as_str(), image, endpoint.plain);
        let transport = Transport::new(&clients, endpoint, subject, AskedPause::default())?;
        let request = CredentialRequest {
            registry: image.registry.clone(),
            repository: image.repository.clone(),
            registry_id: None,
            renew: false,
        };
        let upstream = Upstream::new(transport, request, credentials.clone(), false).with_actions(ACTIONS);
        let session = Self { upstream, stall_max, progressed: Progress(Arc::new(Mutex::new(Instant::now()))) };
        session.unless_stalled(session.upstream.send(&Request::get(Resource::Base))).await?;
        Ok(session)
    }

    /// Whether the repository has a blob.
    ///
    /// # Errors
    /// All errors of a registry but 404.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let resource = Resource::Blob(digest.clone());
        let url = self.url(&resource);
        // A redirect leads to an existing blob; its signature may be valid for GET only.
        let exchange =
            Exchange { target: Target::Named, retry: true, redirects: Redirects::Return, what: resource.name() };
        let build = |client: &Client, authorization: Option<&HeaderValue>| authorized(client.head(&url), authorization);
        match self.unless_stalled(self.upstream.exchange(exchange, build)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends a blob; each call of `content` returns its bytes from the beginning.
    ///
    /// # Errors
    /// All errors of a registry.
    pub async fn send_blob<S>(&self, digest: &Digest, len: u64, content: impl Fn() -> S) -> Result<(), Error>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let what = format!("upload of blob {digest}");
        let url = self.url(&Resource::Uploads);
        let exchange =
            Exchange { target: Target::Named, retry: true, redirects: Redirects::Follow, what: what.clone() };
        let begin = |client: &Client, authorization: Option<&HeaderValue>| {
            authorized(client.post(&url).header(CONTENT_LENGTH, 0), authorization)
        };
        let begun = self.unless_stalled(self.upstream.exchange(exchange, begin)).await?;
        let url = self.upload_url(&begun, digest)?;
        let build = |client: &Client, authorization: Option<&HeaderValue>| {
            let progressed = self.progressed.clone();
            let body = Body::wrap_stream(content().inspect(move |_| progressed.note()));
            let request = client.request(Method::PUT, url.clone()).header(CONTENT_LENGTH, len);
            authorized(request.header(CONTENT_TYPE, "application/octet-stream").body(body), authorization)
        };
        let is_own = self
            .upstream
            .base()
            .parse()
            .is_ok_and(|base: Url| base.scheme() == url.scheme() && same_place(&base, &url));
        if is_own {
            // Not retried: the upload may have been completed.
            let exchange = Exchange { target: Target::Named, retry: false, redirects: Redirects::Follow, what };
            return self.unless_stalled(self.upstream.exchange(exchange, build)).await.map(drop);
        }
        // Another host gets no authorization of the registry.
        let (transport, by) = (self.upstream.transport(), self.upstream.transport().origin(&begun));
        let sent = transport.send(Target::Redirected { by }, false, Redirects::Follow, |client| build(client, None));
        let response = self.unless_stalled(sent).await?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(transport.error_response(response, what, None).await),
        }
    }

    /// Sends a manifest or an index, under a tag or its digest.
    ///
    /// # Errors
    /// All errors of a registry.
    pub async fn send_manifest(&self, media_type: &str, bytes: &[u8], reference: &str) -> Result<(), Error> {
        let resource = Resource::Manifest(reference.to_owned());
        let url = self.url(&resource);
        let what = format!("upload of {}", resource.name());
        let exchange = Exchange { target: Target::Named, retry: true, redirects: Redirects::Follow, what };
        let bytes = Bytes::copy_from_slice(bytes);
        let build = |client: &Client, authorization: Option<&HeaderValue>| {
            let request = client.put(&url).header(CONTENT_TYPE, media_type).body(bytes.clone());
            authorized(request, authorization)
        };
        self.unless_stalled(self.upstream.exchange(exchange, build)).await.map(drop)
    }

    fn url(&self, resource: &Resource) -> String {
        self.upstream.url(resource)
    }

    /// The URL for the bytes of an upload that was begun.
    fn upload_url(&self, begun: &Response, digest: &Digest) -> Result<Url, Error> {
        let subject = &self.upstream.transport().subject;
        let location = begun.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.and_then(|location| begun.url().join(location).ok());
        let mut url = location.ok_or_else(|| subject.protocol("its answer has no location for an upload"))?;
        if is_downgrade(begun.url(), &url) {
            return Err(subject.protocol("the location of its uploads is not encrypted"));
        }
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        Ok(url)
    }

    /// The result of the work, or an error after too long without bytes sent or a response.
    async fn unless_stalled<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.progressed.note();
        let mut work = std::pin::pin!(work);
        loop {
            let deadline = *self.progressed.0.lock() + self.stall_max;
            if let Ok(outcome) = tokio::time::timeout_at(deadline, &mut work).await {
                return outcome;
            }
            if *self.progressed.0.lock() + self.stall_max <= Instant::now() {
                return Err(self.upstream.transport().subject.stalled(self.stall_max));
            }
        }
    }
}

fn authorized(request: RequestBuilder, authorization: Option<&HeaderValue>) -> RequestBuilder {
    authorization.into_iter().fold(request, |request, value| request.header(reqwest::header::AUTHORIZATION, value))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::credentials::Anonymous;

    /// Reads one request, and returns its head.
    async fn request(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a request"));
        }
        String::from_utf8(head).expect("a head is text")
    }

    async fn answer(stream: &mut TcpStream, text: &str) {
        stream.write_all(text.as_bytes()).await.expect("the answer is taken");
    }

    #[tokio::test]
    async fn a_blob_is_sent_to_the_location_of_its_upload() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let image: ImageRef = format!("{}/a:v1", listener.local_addr().expect("bound")).parse().expect("a name");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut lines = Vec::new();
            for reply in [
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 202 Accepted\r\nlocation: /up/7?state=s\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
            ] {
                let head = request(&mut stream).await;
                let len = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |len| len.parse().expect("a length"));
                let mut body = vec![0; len];
                stream.read_exact(&mut body).await.expect("the body");
                let line = head.lines().next().unwrap_or_default().to_owned();
                lines.push((line, String::from_utf8(body).expect("text")));
                answer(&mut stream, reply).await;
            }
            lines
        };
        let digest = oci::digest_of(b"layer");
        let client = async {
            let credentials: Arc<dyn Credentials> = Arc::new(Anonymous);
            let session = PushSession::open(Config::default(), &credentials, &image, false).await?;
            assert!(!session.has_blob(&digest).await?);
            let content =
                || futures_util::stream::iter([Ok(Bytes::from_static(b"lay")), Ok(Bytes::from_static(b"er"))]);
            session.send_blob(&digest, 5, content).await?;
            session.send_manifest("application/json", b"{}", "v1").await
        };
        let (lines, sent) = tokio::join!(server, client);
        sent.expect("all is taken");
        let hex = digest.as_str().replace(':', "%3A");
        assert_eq!(lines[2].0, "POST /v2/a/blobs/uploads/ HTTP/1.1");
        assert_eq!(lines[3], (format!("PUT /up/7?state=s&digest={hex} HTTP/1.1"), "layer".to_owned()));
        assert_eq!(lines[4], ("PUT /v2/a/manifests/v1 HTTP/1.1".to_owned(), "{}".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_ends_when_nothing_moves_and_not_when_it_is_slow() {
        let image: ImageRef = "127.0.0.1:1/a:v1".parse().expect("a name");
        let credentials: Arc<dyn Credentials> = Arc::new(Anonymous);
        let clients = Clients::new(Config::default());
        let endpoint = Endpoint::of_registry(&image.registry, &credentials.host_config(""), clients.config());
        let subject = Subject::new("r", &image, true);
        let transport = Transport::new(&clients, endpoint, subject, AskedPause::default()).expect("a client");
        let request =
            CredentialRequest { registry: "r".into(), repository: "a".into(), registry_id: None, renew: false };
        let progressed = Progress(Arc::new(Mutex::new(Instant::now())));
        let session = PushSession {
            upstream: Upstream::new(transport, request, credentials, false),
            stall_max: Duration::from_secs(300),
            progressed: progressed.clone(),
        };
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(299)).await;
                progressed.note();
            }
            Ok(7)
        };
        assert_eq!(session.unless_stalled(slow).await.expect("it moves"), 7);
        let stalled = session.unless_stalled(std::future::pending::<Result<(), Error>>()).await;
        assert!(matches!(stalled, Err(Error::Stalled { over_s: 300, .. })), "{stalled:?}");
    }
}
