//! Registries that need credentials: logins added and removed at run time, temporary credentials of
//! the cloud and of plugins that expire during a pull, private certificate authorities, and
//! mirrors.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use e2e::auth_proxy::AuthProxy;
use e2e::credential_plugin::CredentialPlugin;
use e2e::debian_registry::{Access, Certificates, DebianRegistry};
use e2e::fake_tcr::FakeTcr;
use e2e::fixture::hello_image;
use e2e::oci::Image;
use e2e::registry::Reply;
use e2e::tools::{self, ProgramOutput};
use e2e::{Platform, TestRegistry, deploys, secrecy};
use serde_json::{Value, json};
use signature::Secrets;

const HOUR: Duration = Duration::from_secs(3600);
/// Bytes of a layer sent before its credential is revoked.
const FIRST_BYTES: usize = 100 << 10;
/// Debug logs, which are searched for secrets, and no retry pauses, because no fault here is
/// transient.
const ENV: &[(&str, &str)] =
    &[("SAMPAN_LOG", "debug"), ("SAMPAN_IMAGE__RETRIES_MAX", "2"), ("SAMPAN_IMAGE__RETRY_PAUSE_MS", "20")];

/// Runs `sampan registry …` with this standard input.
async fn registry(platform: &Platform, args: &[&str], input: &str) -> anyhow::Result<ProgramOutput> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), input)?;
    let mut command = platform.cli(&[&["registry"], args].concat());
    tools::run(command.stdin(std::fs::File::open(file.path())?)).await
}

/// As [`registry`], for commands that must succeed.
async fn registry_ok(platform: &Platform, args: &[&str], input: &str) -> anyhow::Result<String> {
    let said = registry(platform, args, input).await?;
    ensure!(said.ok, "{args:?} failed: {}{}", said.stdout, said.stderr);
    Ok(said.stdout)
}

/// The result of `sampan registry test`, successful or not.
async fn tested(platform: &Platform, target: &str) -> anyhow::Result<(bool, Value, String)> {
    let said = registry(platform, &["test", target, "--output", "json"], "").await?;
    let found =
        serde_json::from_str(&said.stdout).with_context(|| format!("it printed {}{}", said.stdout, said.stderr))?;
    Ok((said.ok, found, said.stderr))
}

/// Deploys an image and calls it.
async fn runs(platform: &Platform, name: &str, image: &str) -> anyhow::Result<()> {
    deploys::good(platform, name, image).await?;
    answers(platform, name).await
}

async fn answers(platform: &Platform, name: &str) -> anyhow::Result<()> {
    let answer = platform.get(name, "/").await?;
    ensure!(answer.status().is_success(), "{name} answers {}: {}", answer.status(), answer.text().await?);
    Ok(())
}

/// Deploys an image of an enterprise registry.
async fn deploy_enterprise(platform: &Platform, name: &str, image: &str, registry_id: &str) -> anyhow::Result<()> {
    let image = json!({"ImageType": "enterprise", "RegistryId": registry_id, "ImageUri": image});
    let request = json!({"FunctionName": name, "Type": "HTTP", "MemorySize": 512, "Code": {"ImageConfig": image}});
    platform.api.call("CreateFunction", request).await.map(drop)
}

#[tokio::test]
async fn an_added_login_is_used_at_once_until_it_is_removed() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let users = [("reader", "right-pass-word")];
    let debian = DebianRegistry::start(work.path(), Access::Users(&users)).await?;
    let image = debian.push("private/hello:v1", &hello_image()?, Some("reader:right-pass-word")).await?;
    let host = debian.address.clone();
    let none = work.path().join("no-docker-config").display().to_string();
    let mut platform = Platform::start_with(&[ENV, &[("DOCKER_CONFIG", &none)]].concat()).await?;

    let reason = deploys::bad(&platform, "before", &image).await?;
    reason.says("ImageAccessDenied", &[&host, &image, "without credentials", "sampan registry add"])?;
    let (ok, found, hint) = tested(&platform, &image).await?;
    assert!(
        !ok && found["places"][0]["code"] == "ImageAccessDenied" && hint.contains("registry add"),
        "{found} {hint}"
    );

    let login = ["add", &host, "--username", "reader", "--password-stdin"];
    registry_ok(&platform, &login, "wrong-pass-word\n").await?;
    let reason = deploys::bad(&platform, "wrong", &image).await?;
    reason.says("ImageAccessDenied", &[&host, "HTTP 401", "with credentials from the login that was added"])?;
    registry_ok(&platform, &login, "right-pass-word\n").await?;
    runs(&platform, "added", &image).await?;
    let (ok, found, _) = tested(&platform, &image).await?;
    assert!(ok && found["places"][0]["digest"].is_string(), "{found}");
    assert!(
        found["places"][0]["provider"].as_str().is_some_and(|provider| provider.contains("registry add")),
        "{found}"
    );
    let (ok, found, _) = tested(&platform, &host).await?;
    assert!(ok && found["target"] == host.as_str(), "{found}");
    let (ok, found, _) = tested(&platform, &image.replace(":v1", ":v9")).await?;
    assert!(!ok && found["places"][0]["code"] == "ImageNotFound", "{found}");

    platform.kill().await?;
    let platform = platform.restart().await?;
    runs(&platform, "restarted", &image).await?;
    let listed = registry_ok(&platform, &["list"], "").await?;
    assert!(listed.contains(&host) && listed.contains("reader") && !listed.contains("pass-word"), "{listed}");
    secrecy::ensure_hidden(&platform, &["right-pass-word", "wrong-pass-word"])?;

    registry_ok(&platform, &["remove", &host], "").await?;
    let reason = deploys::bad(&platform, "removed", &image).await?;
    reason.says("ImageAccessDenied", &[&host, "without credentials"])?;
    let again = registry(&platform, &["remove", &host], "").await?;
    assert!(!again.ok && again.stderr.contains(&host), "{}", again.stderr);
    platform.stop().await
}

#[tokio::test]
async fn only_the_key_pair_of_the_installation_administers_registries() -> anyhow::Result<()> {
    let platform = Platform::start_with(ENV).await?;
    let mut stranger = platform.cli(&["registry", "list", "--secret-id", "AKIDstranger", "--secret-key", "guess"]);
    let said = tools::run(&mut stranger).await?;
    assert!(!said.ok && said.stderr.contains("AKIDstranger"), "{}", said.stderr);
    let url = format!("{}/admin/registries", platform.control);
    let unsigned = platform.http.post(&url).json(&json!({"list": {}})).send().await?;
    assert_eq!(unsigned.status(), 401);
    // Passwords are rejected as arguments, and an added login needs credentials.
    for args in [&["add", "r.io", "--username", "u"][..], &["add", "r.io"], &["add", "r.io", "--password", "p"]] {
        let said = registry(&platform, args, "").await?;
        assert!(!said.ok, "{args:?}: {}", said.stdout);
    }
    assert_eq!(platform.cli_json(&["registry", "list"]).await?, json!([]));
    platform.stop().await
}

#[tokio::test]
async fn an_enterprise_pull_renews_an_expired_temporary_credential() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let debian = DebianRegistry::start(work.path(), Access::Open).await?;
    let auth_proxy = AuthProxy::start(&debian.address).await?;
    let image = auth_proxy.image(&debian.push("team/hello:v1", &hello_image()?, None).await?);
    let secrets = Secrets { secret_id: "AKIDtcr".to_owned(), secret_key: "right-key-of-the-test".to_owned() };
    let tcr = FakeTcr::start(secrets, "tcr-e2e", "ap-hongkong", auth_proxy.accepted_user(), HOUR).await?;
    let platform = Platform::start_with(&[ENV, &[("SAMPAN_CREDENTIALS__TCR_REGION", "ap-hongkong")]].concat()).await?;

    deploy_enterprise(&platform, "unknown", &image, "tcr-e2e").await?;
    let reason = deploys::failed(&platform, "unknown").await?;
    reason.says("ImageAccessDenied", &[&image, "tcr-e2e", "sampan registry add", "--tcr"])?;

    let add = |id: &'static str| {
        let words = ["add", &auth_proxy.address, "--tcr", "tcr-e2e", "--tcr-secret-id", id, "--tcr-secret-key-stdin"];
        [&words[..], &["--tcr-endpoint", &tcr.endpoint]].concat()
    };
    registry_ok(&platform, &add("AKIDtcr"), "wrong-key-of-the-test").await?;
    deploy_enterprise(&platform, "wrong-key", &image, "tcr-e2e").await?;
    let reason = deploys::failed(&platform, "wrong-key").await?;
    reason.says("ImageAccessDenied", &["AuthFailure.SignatureFailure", "request-of-the-test", &tcr.endpoint])?;

    registry_ok(&platform, &add("AKIDtcr"), "right-key-of-the-test").await?;
    auth_proxy.revoke_midway(FIRST_BYTES);
    deploy_enterprise(&platform, "midway", &image, "tcr-e2e").await?;
    platform.api.wait_status("midway", &["Active"]).await?;
    answers(&platform, "midway").await?;
    assert_eq!((auth_proxy.breaks(), tcr.issued()), (1, 2), "one credential for each half");

    // Cached until its expiry, and renewed when the registry rejects it.
    deploy_enterprise(&platform, "remembered", &image, "tcr-e2e").await?;
    platform.api.wait_status("remembered", &["Active"]).await?;
    assert_eq!(tcr.issued(), 2);
    auth_proxy.revoke();
    deploy_enterprise(&platform, "revoked", &image, "tcr-e2e").await?;
    platform.api.wait_status("revoked", &["Active"]).await?;
    assert_eq!(tcr.issued(), 3);

    deploy_enterprise(&platform, "other", &image, "tcr-other").await?;
    deploys::failed(&platform, "other").await?.says("ImageAccessDenied", &["tcr-other", "tcr-e2e"])?;
    let given: Vec<String> = (1..=3).map(FakeTcr::password).collect();
    let hidden: Vec<&str> =
        given.iter().map(String::as_str).chain(["right-key-of-the-test", "wrong-key-of-the-test"]).collect();
    secrecy::ensure_hidden(&platform, &hidden)?;
    platform.stop().await
}

#[tokio::test]
async fn a_short_lived_credential_is_not_cached() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let debian = DebianRegistry::start(work.path(), Access::Open).await?;
    let auth_proxy = AuthProxy::start(&debian.address).await?;
    let image = auth_proxy.image(&debian.push("team/hello:v1", &hello_image()?, None).await?);
    let secrets = Secrets { secret_id: "AKIDtcr".to_owned(), secret_key: "right-key-of-the-test".to_owned() };
    // The lifetime is shorter than the margin within which credentials are not cached.
    let tcr =
        FakeTcr::start(secrets, "tcr-e2e", "ap-guangzhou", auth_proxy.accepted_user(), Duration::from_secs(20)).await?;
    let platform = Platform::start_with(ENV).await?;
    let add = ["add", &auth_proxy.address, "--tcr", "tcr-e2e", "--tcr-secret-id", "AKIDtcr", "--tcr-secret-key-stdin"];
    let add = [&add[..], &["--tcr-endpoint", &tcr.endpoint]].concat();
    registry_ok(&platform, &add, "right-key-of-the-test").await?;
    for (number, name) in (1..).zip(["first", "second", "third"]) {
        deploy_enterprise(&platform, name, &image, "tcr-e2e").await?;
        platform.api.wait_status(name, &["Active"]).await?;
        assert_eq!(tcr.issued(), number);
    }
    platform.stop().await
}

#[tokio::test]
async fn a_kubelet_plugins_credential_is_cached_until_it_is_refused() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let debian = DebianRegistry::start(work.path(), Access::Open).await?;
    let auth_proxy = AuthProxy::start(&debian.address).await?;
    let image = auth_proxy.image(&debian.push("team/hello:v1", &hello_image()?, None).await?);
    let plugin = CredentialPlugin::make(work.path(), &auth_proxy.address)?;
    let (config, bin_dir) = (plugin.config().display().to_string(), plugin.bin_dir().display().to_string());
    let plugins = [
        ("SAMPAN_CREDENTIALS__PLUGINS_CONFIG", config.as_str()),
        ("SAMPAN_CREDENTIALS__PLUGINS_DIR", bin_dir.as_str()),
    ];
    let platform = Platform::start_with(&[ENV, &plugins].concat()).await?;

    plugin.set_password("plugin-word-1")?;
    auth_proxy.accepted_user().allow("plugin", "plugin-word-1", HOUR);
    runs(&platform, "first", &image).await?;
    let asked = plugin.request()?;
    assert_eq!(asked["image"], image.trim_end_matches(":v1"));
    assert_eq!(asked["kind"], "CredentialProviderRequest");
    assert_eq!(plugin.runs(), ["get-credentials test"]);
    runs(&platform, "remembered", &image).await?;
    assert_eq!(plugin.runs().len(), 1);

    plugin.set_password("plugin-word-2")?;
    auth_proxy.accepted_user().allow("plugin", "plugin-word-2", HOUR);
    runs(&platform, "renewed", &image).await?;
    assert_eq!(plugin.runs().len(), 2);

    auth_proxy.revoke();
    let reason = deploys::bad(&platform, "refused", &image).await?;
    reason.says("ImageAccessDenied", &[&image, "HTTP 401", "credential plugin test-credential-provider"])?;
    plugin.break_with("this node has no role")?;
    let reason = deploys::bad(&platform, "broken", &image).await?;
    reason.says("ImageAccessDenied", &[&image, "test-credential-provider", "this node has no role"])?;
    secrecy::ensure_hidden(&platform, &["plugin-word-1", "plugin-word-2"])?;
    platform.stop().await
}

#[tokio::test]
async fn a_private_certificate_authority_is_trusted_once_configured() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let certificates = Certificates::make(work.path()).await?;
    let debian = DebianRegistry::start(work.path(), Access::Tls(&certificates)).await?;
    let image = debian.push("team/hello:v1", &hello_image()?, None).await?;
    let authority = certificates.authority.display().to_string();
    let platform = Platform::start_with(ENV).await?;
    let reason = deploys::bad(&platform, "plain", &image).await?;
    reason.says("RegistryTlsFailed", &[&image, "--ca"])?;
    let said = registry(&platform, &["add", &debian.address, "--ca", &debian_file(work.path())?], "").await?;
    assert!(!said.ok && said.stderr.contains("PEM"), "{}", said.stderr);
    registry_ok(&platform, &["add", &debian.address, "--ca", &authority], "").await?;
    runs(&platform, "trusted", &image).await?;
    platform.stop().await?;

    // The same in the configuration file, along with an authority that did not issue the registry's
    // certificate.
    let other = work.path().join("other");
    std::fs::create_dir(&other)?;
    let stranger = Certificates::make(&other).await?.authority.display().to_string();
    for (name, ca_file) in [("right", &authority), ("wrong", &stranger)] {
        let file = work.path().join(format!("{name}.toml"));
        std::fs::write(&file, format!("[registries.\"{}\"]\nca_file = \"{ca_file}\"\n", debian.address))?;
        let file = file.display().to_string();
        let platform = Platform::start_with(&[ENV, &[("SAMPAN_CONFIG", file.as_str())]].concat()).await?;
        if name == "right" {
            runs(&platform, name, &image).await?;
        } else {
            deploys::bad(&platform, name, &image).await?.says("RegistryTlsFailed", &[&image, "cannot be trusted"])?;
        }
        platform.stop().await?;
    }
    Ok(())
}

/// A file that is not a certificate.
fn debian_file(work: &Path) -> anyhow::Result<String> {
    let file = work.join("not-a-certificate");
    std::fs::write(&file, "not a certificate")?;
    Ok(file.display().to_string())
}

#[tokio::test]
async fn mirrors_are_tried_first_and_failing_or_corrupt_ones_are_skipped() -> anyhow::Result<()> {
    let platform = Platform::start_with(ENV).await?;
    let (origin, mirror) = (TestRegistry::start().await?, TestRegistry::start().await?);
    let dead = format!("http://127.0.0.1:{}", tools::free_port()?);
    let mirror_url = format!("http://{}/cached", mirror.address());
    registry_ok(&platform, &["add", &origin.address(), "--mirror", &dead, "--mirror", &mirror_url], "").await?;

    // Content of the mirror is read from the mirror only.
    let image = hello_image()?;
    mirror.add("cached/app", &image);
    let reference = origin.add("app", &image);
    runs(&platform, "mirrored", &reference).await?;
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
    assert!(mirror.requests().iter().any(|request| request.is_blob()));
    let (ok, found, _) = tested(&platform, &reference).await?;
    let places = found["places"].as_array().context("places")?;
    assert!(
        ok && places.len() == 3 && places[0]["code"] == "RegistryUnreachable" && places[1]["mirror"] == true,
        "{found}"
    );

    // Content that the mirror lacks comes from the registry.
    runs(&platform, "elsewhere", &origin.add("elsewhere", &other_image("elsewhere")?)).await?;

    // Different content under the same digests is rejected, and read from the registry instead.
    let honest = other_image("honest")?;
    let mut lying = honest.clone();
    let forged = other_image("forged")?;
    for ((_, blob), (_, other)) in lying.blobs.iter_mut().zip(&forged.blobs) {
        *blob = other.clone();
    }
    mirror.add("cached/honest", &lying);
    runs(&platform, "lied-to", &origin.add("honest", &honest)).await?;
    assert_eq!(platform.get("lied-to", "/honest").await?.status(), 200);

    // A mirror that aborts or fails is skipped; received bytes are kept.
    let (broken, layer) = (other_image("broken")?, 1);
    mirror.add("cached/broken", &broken);
    let digest = broken.blobs[layer].0.clone();
    mirror.behave(move |request| if request.is_of(&digest) { Reply::Break(1000) } else { Reply::Good });
    runs(&platform, "broken", &origin.add("broken", &broken)).await?;
    assert!(
        origin.requests_for(&broken.blobs[layer].0).iter().any(|request| request.offset.is_some()),
        "it goes on where it was"
    );
    mirror.behave(|_| Reply::Status(503, vec![]));
    runs(&platform, "failing", &origin.add("failing", &other_image("failing")?)).await?;
    platform.stop().await
}

/// The static server with a unique file.
fn other_image(name: &str) -> anyhow::Result<Image> {
    use e2e::layer_tar::{self, LayerTar};
    use e2e::oci::{self, Compression, Format, Layer};
    let mut tar = LayerTar::new();
    let noise: Vec<u8> =
        (0..20_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761 ^ name.len() as u32).to_le_bytes()).collect();
    tar.file(name, 0o644, &[name.as_bytes(), &noise].concat())?;
    let own = Layer::new(&tar.finish()?, Compression::Gzip)?;
    let hello = Layer::new(&layer_tar::hello()?, Compression::Gzip)?;
    Ok(Image::new(Format::Oci, oci::config(&["/hello"]), &[own, hello]))
}
