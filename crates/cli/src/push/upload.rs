//! Pushes an image by the OCI distribution specification: missing blobs, then the manifests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use cli::address::is_loopback;
use futures_util::StreamExt;
use indicatif::ProgressBar;
use oci::digest_of;
use registry_client::{Destinations, Origin, RefusedDestination, Resolver};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use types::ImageRef;

use super::content::{Blob, BlobData, Content, Manifest};
use crate::args::UpArgs;
use crate::failure::{Exit, Failure, root_cause};
use crate::settings;

/// Connection timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of reads and writes without progress.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// Most redirects of one request within the registry.
const REDIRECTS_MAX: usize = 10;
/// Length of the buffer for reading files.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// Longest error text of a registry that is shown, in bytes.
const ERROR_TEXT_LEN_MAX: usize = 500;

/// User and password of a registry.
pub struct Login {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Result of a push.
pub struct Pushed {
    /// Digest of the tagged manifest.
    pub digest: types::Digest,
    /// Bytes that were sent.
    pub sent_bytes: u64,
    /// Bytes that the registry had.
    pub present_bytes: u64,
}

/// Pushes `content` as `image`; over plain HTTP to this machine, and if `plain`.
pub async fn push(
    image: &ImageRef,
    plain: bool,
    content: &Content,
    login: Option<Login>,
    bar: &ProgressBar,
) -> anyhow::Result<Pushed> {
    let session = Session::open(image, plain || is_loopback(&image.registry), login).await?;
    let mut pushed = Pushed { digest: digest_of(b""), sent_bytes: 0, present_bytes: 0 };
    for blob in &content.blobs {
        if session.has_blob(blob).await? {
            pushed.present_bytes += blob.size;
            bar.inc(blob.size);
        } else {
            session.send_blob(blob, bar).await?;
            pushed.sent_bytes += blob.size;
        }
    }
    let last = content.manifests.len().saturating_sub(1);
    for (number, manifest) in content.manifests.iter().enumerate() {
        pushed.digest = digest_of(&manifest.bytes);
        let name = if number == last { image.reference().to_owned() } else { pushed.digest.to_string() };
        session.send_manifest(manifest, &name).await?;
    }
    Ok(pushed)
}

/// A repository of a registry, with authorization.
struct Session {
    /// For the registry itself; does not follow redirects to other hosts.
    client: Client,
    /// For token servers and upload locations.
    led: Led,
    base: String,
    registry: String,
    authorization: Option<String>,
}

/// Servers return `token`, `access_token` (its OAuth2 name), or both.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session {
    async fn open(image: &ImageRef, plain: bool, login: Option<Login>) -> anyhow::Result<Self> {
        let builder = || {
            let builder = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
            // Without a proxy, which could not reach this machine and must not see the key pair.
            if plain { builder.no_proxy() } else { builder }
        };
        let scheme = if plain { "http" } else { "https" };
        let host = if image.registry == "docker.io" { "registry-1.docker.io" } else { &image.registry };
        let mut session = Self {
            client: builder().redirect(Policy::custom(stay)).build()?,
            led: Led::by(None, builder())?,
            base: format!("{scheme}://{host}/v2/{}", image.repository),
            registry: image.registry.clone(),
            authorization: None,
        };
        let ping =
            session.client.get(format!("{scheme}://{host}/v2/")).send().await.map_err(|e| session.unreachable(&e))?;
        session.led = Led::by(Some(&ping), builder())?;
        if ping.status() == StatusCode::UNAUTHORIZED {
            session.authorization = Some(session.authorize(&ping, image, login).await?);
        }
        Ok(session)
    }

    /// Answers the registry's challenge (RFC 7235): basic, or a bearer token from its realm.
    async fn authorize(&self, ping: &Response, image: &ImageRef, login: Option<Login>) -> anyhow::Result<String> {
        let challenge = ping.headers().get(header::WWW_AUTHENTICATE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let basic = login.as_ref().map(|l| {
            let pair = format!("{}:{}", l.user, l.password);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        });
        let Some(fields) = challenge.strip_prefix("Bearer ") else {
            return basic.ok_or_else(|| self.refused("it requires user and password"));
        };
        let field = |name: &str| challenge_field(fields, name);
        let realm = field("realm").context("the registry's challenge has no realm")?;
        let scope = format!("repository:{}:pull,push", image.repository);
        let mut query = vec![("scope", scope)];
        query.extend(field("service").map(|service| ("service", service)));
        let mut url =
            reqwest::Url::parse(&realm).with_context(|| format!("the registry's realm {realm} is not a URL"))?;
        url.query_pairs_mut().extend_pairs(query);
        self.led.check(&url).map_err(|refused| self.refused_redirect(&refused))?;
        let mut request = self.led.client.get(url);
        if let Some(basic) = basic {
            request = request.header(header::AUTHORIZATION, basic);
        }
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        if !answer.status().is_success() {
            return Err(self.refused("user or password is wrong"));
        }
        let token: Token = answer.json().await.context("the registry's token cannot be read")?;
        let token = token.token.or(token.access_token).context("the registry's answer has no token")?;
        Ok(format!("Bearer {token}"))
    }

    /// A request to a location given by the registry; its authorization is sent to the registry
    /// only.
    fn request_led(&self, method: Method, url: Url) -> anyhow::Result<RequestBuilder> {
        let base: Url = self.base.parse().context("the registry's address is not a URL")?;
        if same_place(&base, &url) {
            return Ok(self.request(method, url.to_string()));
        }
        self.led.check(&url).map_err(|refused| self.refused_redirect(&refused))?;
        Ok(self.led.client.request(method, url))
    }

    fn request(&self, method: Method, url: String) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, what: &str) -> anyhow::Result<Response> {
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(self.refused(&format!("it answered {status} to {what}")));
        }
        let no_answer_needed = status == StatusCode::NOT_FOUND || status.is_redirection();
        if status.is_success() || no_answer_needed && what.starts_with("asking") {
            return Ok(answer);
        }
        let text: String = answer.text().await.unwrap_or_default().chars().take(ERROR_TEXT_LEN_MAX).collect();
        let message = format!("registry {} answered {status} to {what}: {text}", self.registry);
        Err(Failure::new(Exit::Failed, message, "").into())
    }

    async fn has_blob(&self, blob: &Blob) -> anyhow::Result<bool> {
        let url = format!("{}/blobs/{}", self.base, blob.digest);
        let what = format!("asking for blob {}", blob.digest);
        let status = self.send(self.request(Method::HEAD, url), &what).await?.status();
        // A redirect leads to the existing blob.
        Ok(status.is_success() || status.is_redirection())
    }

    async fn send_blob(&self, blob: &Blob, bar: &ProgressBar) -> anyhow::Result<()> {
        let what = format!("sending blob {}", blob.digest);
        let started = self.send(self.request(Method::POST, format!("{}/blobs/uploads/", self.base)), &what).await?;
        let location = started.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
        let mut url = started.url().join(location.context("the registry's answer has no location for the upload")?)?;
        url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let body = match &blob.data {
            BlobData::Bytes(bytes) => {
                bar.inc(blob.size);
                reqwest::Body::from(bytes.clone())
            }
            BlobData::File(file) => {
                let opened = tokio::fs::File::open(file).await;
                let opened = opened.with_context(|| format!("cannot open {}", file.display()))?;
                let bar = bar.clone();
                let bytes = ReaderStream::with_capacity(opened, READ_BUFFER_BYTES)
                    .inspect(move |read| bar.inc(read.as_ref().map_or(0, |b| b.len() as u64)));
                reqwest::Body::wrap_stream(bytes)
            }
        };
        let request = self.request_led(Method::PUT, url)?;
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        self.send(request.header(header::CONTENT_LENGTH, blob.size).body(body), &what).await?;
        Ok(())
    }

    async fn send_manifest(&self, manifest: &Manifest, name: &str) -> anyhow::Result<()> {
        let request = self.request(Method::PUT, format!("{}/manifests/{name}", self.base));
        let request = request.header(header::CONTENT_TYPE, &manifest.media_type).body(manifest.bytes.clone());
        self.send(request, &format!("sending manifest {name}")).await?;
        Ok(())
    }

    fn refused_redirect(&self, refused: &RefusedDestination) -> anyhow::Error {
        Failure::new(
            Exit::Connection,
            format!("registry {} redirects to {refused}; nothing was sent there", self.registry),
            "If the registry keeps its content or its token server there, add the address to redirects_allowed of [image], \
             as in SAMPAN_IMAGE__REDIRECTS_ALLOWED='[\"10.0.0.5\"]'.",
        )
        .into()
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        if let Some(refused) = refused_destination(error) {
            return self.refused_redirect(refused);
        }
        Failure::new(
            Exit::Connection,
            format!("registry {} cannot be reached: {}", self.registry, root_cause(error)),
            "Check the host and port of the image's name, and that `sampan up` runs when it is Sampan's own registry.",
        )
        .into()
    }

    fn refused(&self, why: &str) -> anyhow::Error {
        Failure::new(
            Exit::Connection,
            format!("registry {} refuses the push: {why}", self.registry),
            "Sampan's own registry takes the key pair in credentials.toml; for another one give --registry-user and \
             --registry-password-file.",
        )
        .into()
    }
}

/// Client for locations given by a registry: token servers and uploads.
struct Led {
    client: Client,
    destinations: Arc<Destinations>,
    origin: Option<Origin>,
}

impl Led {
    /// Allows addresses by the registry's own address; before its first answer only public ones.
    fn by(answer: Option<&Response>, builder: ClientBuilder) -> anyhow::Result<Self> {
        let image = settings::load(&UpArgs::default()).unwrap_or_default().image;
        let destinations = Arc::new(Destinations::new(image.redirects_allowed, image.redirects_denied));
        let origin = answer.and_then(|answer| destinations.origin(answer.url(), answer.remote_addr()));
        let resolver = Resolver::new(destinations.clone(), origin.clone());
        let client = builder.redirect(Policy::none()).dns_resolver(Arc::new(resolver)).build()?;
        Ok(Self { client, destinations, origin })
    }

    fn check(&self, url: &Url) -> Result<(), RefusedDestination> {
        self.destinations.check(self.origin.as_ref(), url)
    }
}

/// Follows redirects within one host; others are returned to the caller.
fn stay(attempt: Attempt<'_>) -> Action {
    let stays = attempt.previous().last().is_some_and(|from| same_place(from, attempt.url()));
    if stays && attempt.previous().len() <= REDIRECTS_MAX { attempt.follow() } else { attempt.stop() }
}

fn same_place(one: &Url, other: &Url) -> bool {
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    place(one) == place(other)
}

fn refused_destination(error: &reqwest::Error) -> Option<&RefusedDestination> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

/// A field of a challenge, quoted or not.
fn challenge_field(fields: &str, name: &str) -> Option<String> {
    let start = fields.find(&format!("{name}="))? + name.len() + 1;
    let rest = &fields[start..];
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().map(str::to_owned),
        None => rest.split(',').next().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_fields_are_read_quoted_or_not() {
        let fields = r#"realm="http://h/token",service=reg,scope="repository:a:pull,push""#;
        assert_eq!(challenge_field(fields, "realm").as_deref(), Some("http://h/token"));
        assert_eq!(challenge_field(fields, "service").as_deref(), Some("reg"));
        assert_eq!(challenge_field(fields, "scope").as_deref(), Some("repository:a:pull,push"));
        assert_eq!(challenge_field(fields, "error"), None);
    }
}
