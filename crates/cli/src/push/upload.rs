//! Sends an image with the registry client: missing blobs, then the manifests.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use oci::digest_of;
use registry_client::{
    Config, Credential, CredentialError, CredentialRequest, Credentials, Error, Grant, HostConfig, PushSession,
};
use tokio_util::io::ReaderStream;
use types::ImageRef;

use super::content::{BlobData, Content};
use crate::failure::{Exit, Failure, root_cause};

/// Length of the buffer for reading files.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// User and password of a registry.
#[derive(Clone)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Login, scheme and limits for the registry.
pub struct Destination {
    /// The login, if any.
    pub login: Option<Login>,
    /// Whether it is the platform's own registry over plain HTTP. It is then reached without a
    /// proxy, which must not see the key pair.
    pub is_own_plain: bool,
    /// Limits of the registry client.
    pub config: Config,
}

/// Result of a push.
pub struct Pushed {
    /// Digest of the tagged manifest.
    pub digest: types::Digest,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes that the registry already had.
    pub present_bytes: u64,
}

/// Pushes `content` as `image`.
pub async fn push(
    image: &ImageRef,
    destination: Destination,
    content: &Content,
    bar: &ProgressBar,
) -> anyhow::Result<Pushed> {
    send(image, destination, content, bar).await.map_err(|error| failure(&error).into())
}

async fn send(
    image: &ImageRef,
    destination: Destination,
    content: &Content,
    bar: &ProgressBar,
) -> Result<Pushed, Error> {
    let Destination { login, is_own_plain, config } = destination;
    let credentials: Arc<dyn Credentials> = Arc::new(Given { login, is_own_plain });
    let session = PushSession::open(config, &credentials, image, is_own_plain).await?;
    let mut pushed = Pushed { digest: digest_of(b""), sent_bytes: 0, present_bytes: 0 };
    for blob in &content.blobs {
        if session.has_blob(&blob.digest).await? {
            pushed.present_bytes += blob.size;
            bar.inc(blob.size);
        } else {
            session.send_blob(&blob.digest, blob.size, || bytes(&blob.data, bar)).await?;
            pushed.sent_bytes += blob.size;
        }
    }
    let last = content.manifests.len().saturating_sub(1);
    for (number, manifest) in content.manifests.iter().enumerate() {
        pushed.digest = digest_of(&manifest.bytes);
        let name = if number == last { image.reference().to_owned() } else { pushed.digest.to_string() };
        session.send_manifest(&manifest.media_type, &manifest.bytes, &name).await?;
    }
    Ok(pushed)
}

/// Streams the bytes of a blob; the bar counts them as they are sent.
fn bytes(data: &BlobData, bar: &ProgressBar) -> impl stream::Stream<Item = std::io::Result<Bytes>> + Send + use<> {
    let bar = bar.clone();
    let bytes = match data {
        BlobData::Bytes(bytes) => Either::Left(stream::iter([Ok(bytes.clone())])),
        BlobData::File(file) => Either::Right(file_bytes(file.clone())),
    };
    bytes.inspect(move |read| bar.inc(read.as_ref().map_or(0, |bytes| bytes.len() as u64)))
}

fn file_bytes(file: PathBuf) -> impl stream::Stream<Item = std::io::Result<Bytes>> + Send {
    let opened = async move {
        let opened = tokio::fs::File::open(&file).await;
        let opened = opened
            .map_err(|error| std::io::Error::new(error.kind(), format!("cannot open {}: {error}", file.display())))?;
        Ok::<_, std::io::Error>(ReaderStream::with_capacity(opened, READ_BUFFER_BYTES))
    };
    stream::once(opened).try_flatten()
}

/// Credentials with the given login, for the destination registry.
struct Given {
    login: Option<Login>,
    is_own_plain: bool,
}

impl Credentials for Given {
    fn for_registry(&self, _request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        let grant = match self.login.clone() {
            Some(Login { user, password }) => Grant::lasting("this command", Credential::Basic { user, password }),
            None => Grant::anonymous(),
        };
        Box::pin(std::future::ready(Ok(grant)))
    }

    fn host_config(&self, _registry: &str) -> HostConfig {
        HostConfig { plain_http: self.is_own_plain.then_some(true), ..HostConfig::default() }
    }
}

/// Maps a registry error to a failure with exit code and hint.
fn failure(error: &Error) -> Failure {
    let (exit, hint) = match error {
        Error::AccessDenied { .. } => (
            Exit::Connection,
            "Sampan's own registry takes the key pair in credentials.toml; for another one give --registry-user and \
             --registry-password-file.",
        ),
        Error::RedirectRefused { .. } => (
            Exit::Connection,
            "If the registry keeps its content or its token server there, add the address to redirects_allowed of \
             [image], as in SAMPAN_IMAGE__REDIRECTS_ALLOWED='[\"10.0.0.5\"]'.",
        ),
        Error::Unreachable { .. } => (
            Exit::Connection,
            "Check the host and port of the image's name, and that `sampan up` runs when it is Sampan's own registry.",
        ),
        Error::PlainHttp { .. } | Error::NeedsTls { .. } | Error::Untrusted { .. } | Error::Stalled { .. } => {
            (Exit::Connection, error.hint())
        }
        _ => (Exit::Failed, error.hint()),
    };
    let message = match error {
        Error::Unreachable { source, .. } | Error::Untrusted { source, .. } => {
            format!("{error}: {}", root_cause(source.as_ref()))
        }
        _ => error.to_string(),
    };
    Failure::new(exit, message, hint)
}
