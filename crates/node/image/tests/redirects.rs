//! Destinations chosen by registries: redirects and token servers at other addresses of this
//! machine.

mod support;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use image::{Config, Error, Images};
use registry_client::{Credential, CredentialError, CredentialRequest, Credentials, Grant, HostConfig, Mirror};
use support::registry::{Access, Fault, Registry};
use support::{TestImage, config, digest, image, layer, request, store, store_with};

const ELSEWHERE: &str = "127.0.0.2";

fn hello() -> TestImage {
    image(&[layer(&[("hello", "hello")])])
}

fn blob_path(image: &TestImage) -> String {
    format!("/v2/team/app/blobs/{}", digest(&image.layers[0].blob))
}

/// A registry that redirects its layer to `to`.
async fn redirecting(image: &TestImage, to: String) -> (Registry, String) {
    let registry = Registry::start().await;
    let reference = registry.serve("v1", image);
    registry.fail(&blob_path(image), std::iter::repeat_n(Fault::Redirect(to), 8));
    (registry, reference)
}

fn allowing(range: &str) -> Config {
    Config { redirects_allowed: vec![range.parse().expect("a range")], ..config() }
}

#[tokio::test]
async fn a_redirect_to_another_address_that_is_not_public_is_not_followed() {
    let (elsewhere, image) = (Registry::start_at(ELSEWHERE).await, hello());
    elsewhere.serve("v1", &image);
    let path = blob_path(&image);
    for (to, address) in [
        (format!("http://{}{path}", elsewhere.address), ELSEWHERE),
        (format!("http://0x7f000002:{}{path}", elsewhere.address.port()), ELSEWHERE),
        (format!("http://[::ffff:127.0.0.2]:{}{path}", elsewhere.address.port()), ELSEWHERE),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "169.254.169.254"),
        ("http://10.255.255.1/".to_owned(), "10.255.255.1"),
        ("http://[fe80::1]/".to_owned(), "fe80::1"),
    ] {
        let (_registry, reference) = redirecting(&image, to.clone()).await;
        let error = store().await.prepare(&reference).await.expect_err("it leads astray");
        assert_eq!(error.code(), "RegistryRedirectRefused", "{to}: {}", error.report());
        let report = error.report();
        assert!(report.contains(address) && report.contains("redirects_allowed of [image]"), "{report}");
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn what_a_name_means_is_judged_when_it_is_connected_to() {
    // The registry is at one loopback address, and `localhost` is another.
    let (secret, registry, image) = (Registry::start().await, Registry::start_at(ELSEWHERE).await, hello());
    let reference = registry.serve("v1", &image);
    let to = format!("http://localhost:{}{}", secret.address.port(), blob_path(&image));
    registry.fail(&blob_path(&image), std::iter::repeat_n(Fault::Redirect(to), 8));
    let error = store().await.prepare(&reference).await.expect_err("it leads astray");
    assert_eq!(error.code(), "RegistryRedirectRefused", "{}", error.report());
    assert!(error.report().contains("localhost is at 127.0.0.1"), "{}", error.report());
    assert!(secret.requests().is_empty());
}

#[tokio::test]
async fn a_second_redirect_is_judged_as_the_first() {
    let (middle, image) = (Registry::start().await, hello());
    middle.serve("v1", &image);
    middle.fail(&blob_path(&image), std::iter::repeat_n(Fault::Redirect("http://127.0.0.3:1/".to_owned()), 8));
    let (_registry, reference) = redirecting(&image, format!("http://{}{}", middle.address, blob_path(&image))).await;
    let error = store().await.prepare(&reference).await.expect_err("it leads astray");
    assert_eq!(error.code(), "RegistryRedirectRefused", "{}", error.report());
    assert!(error.report().contains("127.0.0.3"), "{}", error.report());
    assert_eq!(middle.requests().len(), 1);
}

#[tokio::test]
async fn redirects_to_the_registrys_own_address_and_to_allowed_ones_are_followed() {
    let (beside, image) = (Registry::start().await, hello());
    beside.serve("v1", &image);
    let (_registry, reference) = redirecting(&image, format!("http://{}{}", beside.address, blob_path(&image))).await;
    store().await.prepare(&reference).await.expect("the same address, another port");
    let elsewhere = Registry::start_at(ELSEWHERE).await;
    elsewhere.serve("v1", &image);
    let to = format!("http://{}{}", elsewhere.address, blob_path(&image));
    let (_registry, reference) = redirecting(&image, to).await;
    store_with(allowing("127.0.0.2/32")).await.prepare(&reference).await.expect("allowed");
}

#[tokio::test]
async fn what_the_network_denies_is_denied_even_if_it_is_public() {
    let image = hello();
    let (_registry, reference) = redirecting(&image, "http://168.63.129.16/".to_owned()).await;
    let denied = Config { redirects_denied: vec!["168.63.129.16".parse().expect("a range")], ..config() };
    let error = store_with(denied).await.prepare(&reference).await.expect_err("denied");
    assert!(error.report().contains("168.63.129.16, which is in denied of [network]"), "{}", error.report());
}

/// Credentials for every registry, and mirrors of it.
#[derive(Clone, Default)]
struct Login(Vec<Mirror>);

impl Credentials for Login {
    fn for_registry(&self, _request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        let credential = Credential::Basic { user: "u".to_owned(), password: "p".to_owned() };
        async move { Ok(Grant::lasting("a test", credential)) }.boxed()
    }

    fn host_config(&self, _registry: &str) -> HostConfig {
        HostConfig { mirrors: self.0.clone(), ..HostConfig::default() }
    }
}

async fn prepare(config: Config, login: Login, reference: &str) -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let images = Images::open(dir.path(), config, Arc::new(login)).await.expect("an empty directory can be opened");
    let prepared = images.prepare(request(reference, "test/owner")).await;
    images.shutdown().await;
    prepared.map(|_| ())
}

#[tokio::test]
async fn credentials_are_not_taken_to_a_token_server_at_another_address() {
    let (tokens, registry, image) = (Registry::start_at(ELSEWHERE).await, Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    registry.guard(Access::Token(Some(("u", "p"))));
    registry.send_for_tokens_to(format!("http://{}/token", tokens.address));
    let error = prepare(config(), Login::default(), &reference).await.expect_err("it leads astray");
    assert_eq!(error.code(), "RegistryRedirectRefused", "{}", error.report());
    assert!(tokens.requests().is_empty());
    prepare(allowing("127.0.0.2"), Login::default(), &reference).await.expect("allowed");
    assert!(!tokens.requests().is_empty());
    registry.send_for_tokens_to("http://metadata.invalid./token".to_owned());
    let error = prepare(config(), Login::default(), &reference).await.expect_err("no such server");
    assert_eq!(error.code(), "RegistryUnreachable", "{}", error.report());
}

#[tokio::test]
async fn a_mirror_that_redirect_refused_is_passed_over() {
    let (mirror, elsewhere) = (Registry::start_at("127.0.0.3").await, Registry::start_at(ELSEWHERE).await);
    let (registry, image) = (Registry::start().await, hello());
    let reference = registry.serve("v1", &image);
    mirror.serve("v1", &image);
    let to = format!("http://{}{}", elsewhere.address, blob_path(&image));
    mirror.fail(&blob_path(&image), std::iter::repeat_n(Fault::Redirect(to), 8));
    let login = Login(vec![format!("http://{}", mirror.address).parse().expect("a mirror")]);
    prepare(config(), login, &reference).await.expect("the registry itself has it");
    assert!(elsewhere.requests().is_empty());
    assert!(registry.requests().iter().any(|request| request.contains(&blob_path(&image))));
}
