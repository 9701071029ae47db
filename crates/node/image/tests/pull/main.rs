//! Pulling from a registry that is good, wrong, slow, or gone. Needs root, as unpacking does.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use image::{Error, Images, Step};
use registry_client::{Credential, CredentialError, CredentialRequest, Credentials, Grant};
use serde_json::json;
use support::registry::{Access, Fault, Registry};
use support::{
    INDEX, MANIFEST, TestImage, config, digest, image, image_for, index, layer, layer_of, noise, request, store,
    store_with,
};
use types::RunStatus;

fn hello() -> TestImage {
    image(&[layer(&[("etc/", ""), ("etc/name", "low")]), layer(&[("hello", &noise(200_000, 7))])])
}

fn blob_end(image: &TestImage, layer: usize) -> String {
    format!("blobs/{}", digest(&image.layers[layer].blob))
}

#[tokio::test]
async fn a_pulled_image_is_on_disk_and_pinned_to_what_its_tag_meant() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let prepared = store.prepare(&reference).await.expect("a good image");
    assert_eq!((&prepared.digest, prepared.layers), (&image.digest(), 2));
    assert_eq!(prepared.size_bytes, image.blobs().iter().map(|b| b.len() as u64).sum::<u64>());
    assert_eq!((prepared.run.cmd.as_slice(), prepared.run.user.as_str()), (&["/hello".to_owned()][..], "7"));
    assert_eq!(store.images.content().pinned("test/owner"), Some(image.digest()));
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
    assert_eq!(rootfs.lower_dirs.len(), 1, "all layers are one");
    assert!(rootfs.lower_dirs[0].join("hello").exists() && rootfs.lower_dirs[0].join("etc/name").exists());
    store.assert_clean().await;
    // The tag moves on; what was prepared stays as it is.
    let other = support::image(&[layer(&[("hello", "other")])]);
    registry.serve("v1", &other);
    let pinned = format!("{reference}@{}", image.digest());
    assert_eq!(store.prepare(&pinned).await.expect("still served").digest, image.digest());
    assert_eq!(store.prepare(&reference).await.expect("moved").digest, other.digest());
}

#[tokio::test]
async fn an_image_that_is_prepared_is_not_transferred_again() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    store.prepare(&reference).await.expect("a good image");
    registry.requests();
    store.prepare(&reference).await.expect("there already");
    assert_eq!(registry.requests(), ["HEAD /v2/team/app/manifests/v1"]);
    let by_digest = format!("{reference}@{}", image.digest());
    drop(registry);
    store.prepare(&by_digest).await.expect("needs no registry");
}

#[tokio::test]
async fn content_that_was_pushed_is_not_transferred() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let _lease = store.images.content().lease();
    store.push(&image).await;
    store.prepare(&reference).await.expect("there already");
    assert_eq!(registry.requests(), ["HEAD /v2/team/app/manifests/v1"]);
}

#[tokio::test]
async fn an_index_gives_the_image_for_this_platform_under_the_digest_of_the_index() {
    let (store, registry) = (store().await, Registry::start().await);
    let (right, wrong) = (hello(), image_for("linux", "arm64", &[layer(&[("arm", "")])]));
    registry.serve("right", &right);
    let bytes = index(&[("linux", "arm64", &wrong), ("linux", "amd64", &right)]);
    let reference = registry.manifest("both", INDEX, bytes.clone());
    let prepared = store.prepare(&reference).await.expect("a good image");
    assert_eq!(prepared.digest, digest(&bytes));
    assert!(store.images.rootfs(&prepared.digest).await.expect("prepared").lower_dirs[0].join("hello").exists());
    let reference = registry.manifest("arm", INDEX, index(&[("linux", "arm64", &wrong)]));
    let error = store.prepare(&reference).await.expect_err("another platform");
    assert_eq!(error.code(), "ImagePlatformMismatch");
    assert!(error.report().contains("linux/arm64") && error.report().contains("linux/amd64"), "{}", error.report());
    let error = store.prepare(&registry.serve("plain-arm", &wrong)).await.expect_err("another platform");
    assert_eq!(error.code(), "ImagePlatformMismatch");
}

#[tokio::test]
async fn preparations_at_the_same_time_transfer_each_blob_once() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let all = (0..8).map(|i| store.images.prepare(request(&reference, &format!("owner/{i}"))));
    for prepared in futures_util::future::join_all(all).await {
        assert_eq!(prepared.expect("a good image").digest, image.digest());
    }
    let mut blobs: Vec<_> = registry.requests().into_iter().filter(|r| r.contains("/blobs/")).collect();
    blobs.sort();
    let asked = blobs.len();
    blobs.dedup();
    assert_eq!((asked, blobs.len()), (3, 3));
    store.assert_clean().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_others_their_image() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image, 1), [Fault::Cut(1000), Fault::Cut(1000)]);
    let images: Images = store.images.clone();
    let first = tokio::spawn({
        let request = request(&reference, "owner/1");
        async move { images.prepare(request).await }
    });
    let second = store.images.prepare(request(&reference, "owner/2"));
    tokio::pin!(second);
    // The first has begun as soon as the second, which waits for the same blobs, is polled.
    let prepared = tokio::select! {
        biased;
        prepared = &mut second => prepared,
        () = tokio::task::yield_now() => {
            first.abort();
            second.await
        }
    };
    prepared.expect("a good image");
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_continued_where_it_stopped() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image, 1), [Fault::Cut(50_000), Fault::Cut(20_000)]);
    store.prepare(&reference).await.expect("continued");
    let ranges: Vec<_> = registry.requests().into_iter().filter(|r| r.contains("bytes=")).collect();
    assert!(!ranges.is_empty(), "nothing was continued");
    store.assert_clean().await;
}

#[tokio::test]
async fn a_registry_without_ranges_sends_the_blob_from_the_start() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image, 1), [Fault::Cut(50_000), Fault::IgnoreRange]);
    store.prepare(&reference).await.expect("from the start");
    store.assert_clean().await;
}

#[tokio::test]
async fn a_blob_that_never_comes_whole_fails_and_leaves_nothing() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image, 1), std::iter::repeat_n(Fault::Cut(0), 20));
    let error = store.prepare(&reference).await.expect_err("never whole");
    assert_eq!((error.code(), error.run_status()), ("RegistryUnreachable", RunStatus::PullImageFailed));
    store.assert_clean().await;
    assert!(!store.list("blobs").contains(&digest(&image.layers[1].blob).hex().to_owned()));
}

#[tokio::test]
async fn blobs_with_other_bytes_or_sizes_are_never_kept() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let good = image.layers[1].blob.clone();
    let mut flipped = good.to_vec();
    flipped[good.len() / 2] ^= 1;
    let longer = [&good[..], b"more"].concat();
    for (bytes, part) in [(flipped, "digest"), (longer, "its manifest says")] {
        registry.fail(&blob_end(&image, 1), [Fault::Bytes(bytes.into())]);
        let error = store.prepare(&reference).await.expect_err("wrong bytes");
        assert_eq!(error.code(), "ImageInvalid");
        assert!(error.report().contains(part) && error.report().contains(digest(&good).as_str()), "{}", error.report());
        assert!(!store.list("blobs").contains(&digest(&good).hex().to_owned()));
        store.assert_clean().await;
    }
    let short = good.slice(..good.len() - 10);
    registry.fail(&blob_end(&image, 1), std::iter::repeat_n(Fault::Bytes(short), 20));
    assert!(store.prepare(&reference).await.is_err());
    store.assert_clean().await;
    // A manifest under a digest that it does not have.
    registry.fail("manifests/v2", [Fault::Status(404, None)]);
    let pinned = format!("{}@{}", registry.reference("v1"), digest(b"something else"));
    registry.manifest(digest(b"something else").as_str(), MANIFEST, image.manifest_bytes());
    let error = store.prepare(&pinned).await.expect_err("another manifest");
    assert!(matches!(error, Error::Registry(registry_client::Error::WrongContent { .. })), "{error}");
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_config_says_is_never_visible() {
    let (store, registry) = (store().await, Registry::start().await);
    let mut wrong = layer(&[("hello", "x")]);
    wrong.diff_id = digest(b"something else");
    let error = store.prepare(&registry.serve("v1", &image(&[wrong.clone()]))).await.expect_err("another content");
    assert_eq!(error.code(), "ImageInvalid");
    assert!(error.report().contains(digest(&wrong.blob).as_str()), "{}", error.report());
    assert_eq!(store.list("layers"), Vec::<String>::new());
    store.assert_clean().await;
    let corrupt = support::Layer { blob: Bytes::from_static(b"\x1f\x8bnot gzip at all"), diff_id: digest(b"") };
    let error = store.prepare(&registry.serve("v2", &image(&[corrupt]))).await.expect_err("no layer");
    assert_eq!(error.code(), "ImageInvalid");
    assert_eq!(store.list("layers"), Vec::<String>::new());
    store.assert_clean().await;
}

#[tokio::test]
async fn a_blob_is_checked_also_when_its_layer_is_known() {
    let (store, registry) = (store().await, Registry::start().await);
    let good = layer(&[("a", "1")]);
    store.prepare(&registry.serve("good", &image(std::slice::from_ref(&good)))).await.expect("a good image");
    // Another blob that is said to hold the same layer: alone, and beside the one that does.
    let bad = layer_of(b"BZh91AY&SY and so on", &good.diff_id);
    for (tag, layers) in [("bad", vec![bad.clone()]), ("beside", vec![bad.clone(), good.clone()])] {
        let error = store.prepare(&registry.serve(tag, &image(&layers))).await.expect_err("no such layer");
        assert!(matches!(error, Error::Layer { .. }) && error.report().contains("bzip2"), "{}", error.report());
    }
    let zeros = layer_of(&[0; 1024], &good.diff_id);
    let error = store.prepare(&registry.serve("zeros", &image(&[zeros]))).await.expect_err("another layer");
    assert!(error.report().contains("the config says"), "{}", error.report());
    // The size too is checked when the blob is known.
    let mut lies = image(std::slice::from_ref(&good));
    lies.manifest["layers"][0]["size"] = (good.blob.len() + 1).into();
    let error = store.prepare(&registry.serve("lies", &lies)).await.expect_err("another size");
    assert!(matches!(error, Error::Registry(registry_client::Error::SizeMismatch { .. })), "{}", error.report());
    store.assert_clean().await;
}

#[tokio::test]
async fn a_layer_comes_once_for_each_blob_that_holds_it() {
    let (store, registry) = (store().await, Registry::start().await);
    let gzip = layer(&[("a", "1")]);
    store.prepare(&registry.serve("gzip", &image(std::slice::from_ref(&gzip)))).await.expect("a good image");
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip.blob[..]), &mut plain).expect("gzip");
    let plain = layer_of(&plain, &gzip.diff_id);
    let blobs = |registry: &Registry| registry.requests().iter().filter(|line| line.contains("/blobs/")).count();
    blobs(&registry);
    store.prepare(&registry.serve("plain", &image(std::slice::from_ref(&plain)))).await.expect("a good image");
    assert_eq!(blobs(&registry), 1, "the layer in its other form");
    let store = store.restart(config()).await;
    for (tag, form) in [("gzip", gzip), ("plain", plain)] {
        store.prepare(&registry.serve(tag, &image(&[form, layer(&[("b", tag)])]))).await.expect("a good image");
        assert_eq!(blobs(&registry), 2, "the config and the other layer");
    }
}

#[tokio::test]
async fn an_index_of_variants_gives_one_that_the_processor_runs() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = image(&[layer(&[("a", "1")])]);
    registry.serve("manifest", &image);
    let with = |variant: &str| {
        let mut index: serde_json::Value = serde_json::from_slice(&index(&[("linux", "amd64", &image)])).expect("JSON");
        index["manifests"][0]["platform"]["variant"] = variant.into();
        Bytes::from(index.to_string())
    };
    // Every machine that runs the tests has the second level.
    let reference = registry.manifest("v2", INDEX, with("v2"));
    let prepared = store.prepare(&reference).await.expect("it runs");
    store.images.rootfs(&prepared.digest).await.expect("prepared");
    let error = store.prepare(&registry.manifest("v9", INDEX, with("v9"))).await.expect_err("no such processor");
    assert_eq!(error.code(), "ImagePlatformMismatch");
    assert!(error.report().contains("linux/amd64/v9"), "{}", error.report());
}

#[tokio::test]
async fn a_config_without_a_platform_is_for_this_one() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = image_for("", "", &[layer(&[("a", "1")])]);
    store.prepare(&registry.serve("v1", &image)).await.expect("taken as linux/amd64");
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    let (store, registry, image) = (store().await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.fail("manifests/v1", [Fault::Status(503, None), Fault::Status(429, Some("0")), Fault::Status(502, None)]);
    registry.fail(&blob_end(&image, 0), [Fault::Status(429, Some("1")), Fault::Status(500, None)]);
    store.prepare(&reference).await.expect("in the end");
    registry.fail("manifests/v1", std::iter::repeat_n(Fault::Status(503, None), 20));
    let error = store.prepare(&reference).await.expect_err("busy for ever");
    assert!(error.report().contains("HTTP 503") && error.is_retryable(), "{}", error.report());
}

#[tokio::test]
async fn missing_images_and_unreachable_registries_are_told_apart() {
    let (store, registry) = (store().await, Registry::start().await);
    let error = store.prepare(&registry.reference("none")).await.expect_err("no such tag");
    assert_eq!((error.code(), error.run_status()), ("ImageNotFound", RunStatus::PullImageFailed));
    let report = error.report();
    assert!(report.contains("manifest none") && report.contains("no such thing") && report.contains("tag"), "{report}");
    let address = registry.address;
    drop(registry);
    // A port of loopback that was free a moment ago, and refuses connections.
    let closed = loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        if port != address.port() {
            break port;
        }
    };
    let error = store.prepare(&format!("127.0.0.1:{closed}/app:v1")).await.expect_err("nobody there");
    assert_eq!(error.code(), "RegistryUnreachable");
    assert!(error.report().contains(&format!("127.0.0.1:{closed}")), "{}", error.report());
}

#[tokio::test]
async fn a_registry_that_wants_tls_is_told_as_such() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await;
            // A TLS alert: record type 21, version 3.3, fatal, unexpected message.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &[21, 3, 3, 0, 2, 2, 10]).await;
        }
    });
    let error = store().await.prepare(&format!("{address}/app:v1")).await.expect_err("it speaks TLS");
    server.abort();
    assert_eq!(error.code(), "RegistryTlsFailed");
    assert!(error.report().contains("plain HTTP"), "{}", error.report());
}

struct Fixed(Result<Option<Credential>, CredentialError>);

impl Credentials for Fixed {
    fn for_registry(
        &self,
        _request: CredentialRequest,
    ) -> futures_util::future::BoxFuture<'static, Result<Grant, CredentialError>> {
        let anonymous_or =
            |found: Option<Credential>| found.map_or_else(Grant::anonymous, |c| Grant::lasting("a test", c));
        Box::pin(std::future::ready(self.0.clone().map(anonymous_or)))
    }
}

async fn prepare_as(reference: &str, credential: Result<Option<Credential>, CredentialError>) -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let images = Images::open(dir.path(), config(), Arc::new(Fixed(credential))).await.expect("opened");
    images.prepare(request(reference, "owner")).await.map(|_| ())
}

fn user(user: &str, password: &str) -> Result<Option<Credential>, CredentialError> {
    Ok(Some(Credential::Basic { user: user.into(), password: password.into() }))
}

#[tokio::test]
async fn credentials_are_sent_as_the_registry_asks_for_them() {
    let registry = Registry::start().await;
    let reference = registry.serve("v1", &hello());
    registry.guard(Access::Basic("me", "secret"));
    prepare_as(&reference, user("me", "secret")).await.expect("basic");
    registry.guard(Access::Token(Some(("me", "secret"))));
    prepare_as(&reference, user("me", "secret")).await.expect("a token for the password");
    prepare_as(&reference, Ok(Some(Credential::Bearer("the-token".into())))).await.expect("the token itself");
    registry.guard(Access::Token(None));
    prepare_as(&reference, Ok(None)).await.expect("a token for anyone");
}

/// Answers from memory until it is told that this will not do.
struct Rotated {
    kept: Grant,
    renewals: Arc<AtomicUsize>,
}

impl Credentials for Rotated {
    fn for_registry(
        &self,
        request: CredentialRequest,
    ) -> futures_util::future::BoxFuture<'static, Result<Grant, CredentialError>> {
        let grant = match request.renew {
            false => self.kept.clone(),
            true => {
                self.renewals.fetch_add(1, Ordering::SeqCst);
                password("new")
            }
        };
        Box::pin(std::future::ready(Ok(grant)))
    }
}

fn password(password: &str) -> Grant {
    Grant::lasting("a test", Credential::Basic { user: "me".into(), password: password.into() })
}

#[tokio::test]
async fn a_credential_that_is_refused_or_over_is_asked_for_again_once() {
    let registry = Registry::start().await;
    let reference = registry.serve("v1", &hello());
    let over = Grant { expires_at: Some(jiff::Timestamp::UNIX_EPOCH), ..password("old") };
    for access in [Access::Basic("me", "new"), Access::Token(Some(("me", "new")))] {
        registry.guard(access);
        for (kept, expected) in [(password("old"), 1), (over.clone(), 1), (Grant::anonymous(), 1), (password("new"), 0)]
        {
            let (dir, renewals) = (tempfile::tempdir().expect("a temporary directory"), Arc::default());
            let credentials = Rotated { kept, renewals: Arc::clone(&renewals) };
            let images = Images::open(dir.path(), config(), Arc::new(credentials)).await.expect("opened");
            images.prepare(request(&reference, "owner")).await.expect("let in in the end");
            assert_eq!(renewals.load(Ordering::SeqCst), expected);
        }
    }
    registry.guard(Access::Basic("me", "another"));
    let (dir, renewals) = (tempfile::tempdir().expect("a temporary directory"), Arc::<AtomicUsize>::default());
    let credentials = Rotated { kept: password("new"), renewals: renewals.clone() };
    let images = Images::open(dir.path(), config(), Arc::new(credentials)).await.expect("opened");
    let error = images.prepare(request(&reference, "owner")).await.expect_err("refused");
    assert_eq!(error.code(), "ImageAccessDenied");
    assert!(error.report().contains("credentials from a test"), "{}", error.report());
    // Once by the question for the tag, and once by that for the manifest.
    assert!(renewals.load(Ordering::SeqCst) <= 2, "a password that is wrong is not tried over and over");
}

#[tokio::test]
async fn wrong_and_missing_credentials_have_their_own_words() {
    let registry = Registry::start().await;
    let reference = registry.serve("v1", &hello());
    for access in [Access::Basic("me", "secret"), Access::Token(Some(("me", "secret")))] {
        registry.guard(access);
        let wrong = prepare_as(&reference, user("me", "guess")).await.expect_err("a wrong password");
        assert_eq!(wrong.code(), "ImageAccessDenied");
        assert!(wrong.report().contains("password") && !wrong.report().contains("guess"), "{}", wrong.report());
        let none = prepare_as(&reference, Ok(None)).await.expect_err("no password");
        assert_eq!(none.code(), "ImageAccessDenied");
        assert!(none.report().contains("without credentials"), "{}", none.report());
        let stale = prepare_as(&reference, Ok(Some(Credential::Bearer("old".into())))).await.expect_err("an old token");
        assert_eq!(stale.code(), "ImageAccessDenied");
    }
    let broken = Err(CredentialError { message: "the helper is broken".into() });
    let error = prepare_as(&reference, broken).await.expect_err("no credentials");
    assert!(error.report().contains("the helper is broken"), "{}", error.report());
}

#[tokio::test]
async fn images_beyond_a_limit_are_refused_before_anything_is_transferred() {
    let (registry, image) = (Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    let limits = [
        ("image_bytes_max", image::Config { image_bytes_max: 1000, ..config() }),
        ("layers_max", image::Config { layers_max: 1, ..config() }),
        ("config_bytes_max", image::Config { config_bytes_max: 10, ..config() }),
        ("manifest_bytes_max", image::Config { manifest_bytes_max: 10, ..config() }),
    ];
    for (key, config) in limits {
        let error = store_with(config).await.prepare(&reference).await.expect_err(key);
        assert_eq!(error.code(), "ImageTooLarge");
        assert!(error.report().contains(key), "{}", error.report());
        assert!(registry.requests().iter().all(|r| !r.contains("/blobs/")));
    }
    let store = store_with(image::Config { unpacked_bytes_max: 250_000, ..config() }).await;
    let bomb = support::image(&[layer(&[("zeros", &"0".repeat(4 << 20))])]);
    let error = store.prepare(&registry.serve("bomb", &bomb)).await.expect_err("a bomb");
    assert_eq!(error.code(), "ImageTooLarge");
    assert_eq!(store.list("layers"), Vec::<String>::new());
    store.assert_clean().await;
    // Each layer fits, both together do not.
    let parts = [layer(&[("a", &noise(200_000, 1))]), layer(&[("b", &noise(200_000, 2))])];
    let error = store.prepare(&registry.serve("parts", &support::image(&parts))).await.expect_err("too large");
    assert_eq!(error.code(), "ImageTooLarge");
    store.assert_clean().await;
}

#[tokio::test]
async fn images_that_cannot_run_are_refused_by_kind() {
    let (store, registry) = (store().await, Registry::start().await);
    let mut foreign = hello();
    foreign.manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let reference = registry.serve("foreign", &foreign);
    registry.fail(&blob_end(&foreign, 0), [Fault::Status(404, None)]);
    let error = store.prepare(&reference).await.expect_err("a foreign layer that is nowhere");
    assert!(error.report().contains("not distributed") && error.code() == "ImageInvalid", "{}", error.report());
    let old = json!({"schemaVersion": 1, "name": "app", "fsLayers": []}).to_string();
    let reference = registry.manifest("old", "application/vnd.docker.distribution.manifest.v1+prettyjws", old.into());
    let error = store.prepare(&reference).await.expect_err("schema 1");
    assert!(error.report().contains("schema 1"), "{}", error.report());
    let reference = registry.manifest("page", "text/html", Bytes::from_static(b"<html>"));
    let error = store.prepare(&reference).await.expect_err("a web page");
    assert_eq!(error.code(), "ImageInvalid");
}

#[tokio::test]
async fn a_foreign_layer_is_used_where_it_can_be_had() {
    let mut foreign = hello();
    foreign.manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let (store, registry) = (store().await, Registry::start().await);
    store.prepare(&registry.serve("pushed", &foreign)).await.expect("its registry has it");
    let store = support::store().await;
    let _lease = store.images.content().lease();
    store.push(&foreign).await;
    let reference = format!("127.0.0.1:1/team/app@{}", foreign.digest());
    store.prepare(&reference).await.expect("it is here");
}

#[tokio::test]
async fn a_registry_that_falls_silent_ends_in_a_time_out() {
    let store = store_with(image::Config { prepare_timeout_s: 1, ..config() }).await;
    let (registry, image) = (Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.fail(&blob_end(&image, 1), [Fault::Stall]);
    let error = store.prepare(&reference).await.expect_err("silent");
    assert_eq!((error.code(), error.run_status()), ("PullImageTimeOut", RunStatus::PullImageTimeOut));
    store.assert_clean().await;
}

#[tokio::test]
async fn progress_only_grows_and_ends_ready() {
    let store = store_with(image::Config { progress_interval_ms: 1, ..config() }).await;
    let (registry, image) = (Registry::start().await, hello());
    let (request, seen) = support::watched(&registry.serve("v1", &image));
    store.images.prepare(request).await.expect("a good image");
    let seen = seen.lock().expect("nobody panics");
    assert_eq!(seen.first().map(|p| p.step), Some(Step::Resolving));
    let last = seen.last().expect("reports");
    let total: u64 = image.blobs().iter().map(|b| b.len() as u64).sum();
    assert_eq!((last.step, last.layers_done, last.layers_total), (Step::Ready, 2, 2));
    assert_eq!((last.bytes_done, last.bytes_total), (total, total));
    assert!(seen.windows(2).all(|w| w[0].bytes_done <= w[1].bytes_done && w[0].layers_done <= w[1].layers_done));
}
