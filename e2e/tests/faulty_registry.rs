//! Faults of registries and networks: a deploy succeeds with little data transferred twice, or
//! fails with a clear error in bounded time.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::collections::HashSet;
use std::time::Duration;

use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::registry::{ReceivedRequest, Reply, Target, TestRegistry};
use e2e::{Fixture, blob, rootfs_listing, tools};

/// Short pauses, because no fault here is transient.
const ENV: &[(&str, &str)] = &[("SAMPAN_IMAGE__RETRIES_MAX", "4"), ("SAMPAN_IMAGE__RETRY_PAUSE_MS", "20")];
/// Size of the interrupted blob.
const LARGE_BYTES: usize = 6 << 20;
/// Bytes that each aborted connection may lose in socket buffers.
const LOST_BYTES_MAX: u64 = 512 << 10;

/// The static server below a layer of incompressible bytes that depend on `seed`.
fn image(seed: u64, compression: Compression) -> anyhow::Result<(Image, Layer)> {
    // Xorshift64 must not start at zero.
    let mut state = 2 * seed + 1;
    let mut content = Vec::with_capacity(LARGE_BYTES);
    while content.len() < LARGE_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    let mut tar = LayerTar::new();
    tar.file("large", 0o644, &content)?;
    let large = Layer::new(&tar.finish()?, compression)?;
    let hello = Layer::new(&layer_tar::hello()?, Compression::Gzip)?;
    Ok((Image::new(Format::Oci, oci::config(&["/hello"]), &[hello, large.clone()]), large))
}

/// Deploys the image, and fails unless the instance has the complete file.
async fn deploys_whole(fixture: &Fixture, name: &str, image: &Image, layer: &Layer) -> anyhow::Result<()> {
    fixture.deploy(name, image).await?;
    let seen = rootfs_listing::of_instance(&fixture.platform, name).await?;
    let file = seen.get("large").and_then(|fields| fields["sha256"].as_str());
    let tar = match layer.compression {
        Compression::Plain => layer.blob.bytes(),
        Compression::Zstd => zstd::bulk::decompress(&layer.blob.bytes(), 2 * LARGE_BYTES)?.into(),
        Compression::Gzip => anyhow::bail!("these tests use plain and zstd layers"),
    };
    let expected = blob::digest(&tar[512..512 + LARGE_BYTES]);
    anyhow::ensure!(file == expected.strip_prefix("sha256:"), "{name} has another file: {file:?}");
    Ok(())
}

fn total(registry: &TestRegistry, layer: &Layer) -> u64 {
    registry.sent(&layer.digest)
}

#[tokio::test]
async fn an_aborted_download_is_resumed() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    for (seed, compression) in [(1, Compression::Plain), (2, Compression::Zstd)] {
        let (image, large) = image(seed, compression)?;
        let digest = large.digest.clone();
        // Six connections that each deliver a megabyte, then one that stalls.
        fixture.registry.behave(move |request| match request.is_of(&digest) {
            true if request.nth < 6 => Reply::Break(1 << 20),
            _ => Reply::Good,
        });
        deploys_whole(&fixture, &format!("breaks-{seed}"), &image, &large).await?;
        let asked = fixture.registry.requests_for(&large.digest);
        assert!(asked.len() >= 6, "the connection broke: {asked:?}");
        let offsets: Vec<_> = asked.iter().skip(1).map(|request| request.offset.unwrap_or(0)).collect();
        assert!(offsets.is_sorted() && offsets.iter().all(|offset| *offset > 0), "not resumed: {offsets:?}");
        let sent = total(&fixture.registry, &large);
        assert!(sent <= large.size + 6 * LOST_BYTES_MAX, "{sent} bytes were sent for {}", large.size);
    }
    fixture.end().await
}

#[tokio::test]
async fn without_range_support_a_download_starts_again() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    for (seed, compression) in [(3, Compression::Plain), (4, Compression::Zstd)] {
        let (image, large) = image(seed, compression)?;
        let digest = large.digest.clone();
        fixture.registry.behave(move |request| match request.is_of(&digest) {
            true if request.nth == 0 => Reply::Break(3 << 20),
            true => Reply::Whole,
            false => Reply::Good,
        });
        deploys_whole(&fixture, &format!("whole-{seed}"), &image, &large).await?;
        assert_eq!(fixture.registry.requests_for(&large.digest).len(), 2, "once more is enough");
    }
    fixture.end().await
}

#[tokio::test]
async fn a_permanently_aborted_download_is_an_error() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    let (image, large) = image(5, Compression::Plain)?;
    let digest = large.digest.clone();
    // The first connection delivers half of the blob; later ones stall.
    fixture.registry.behave(move |request| match request.is_of(&digest) {
        true if request.nth == 0 => Reply::Break(3 << 20),
        true => Reply::Break(0),
        false => Reply::Good,
    });
    let host = fixture.registry.address();
    fixture.deploy_fails("always-breaks", &image, "RegistryUnreachable", &[&host, "Check the registry"]).await?;
    assert!(fixture.registry.requests_for(&large.digest).len() <= 7, "tried again for longer than it may");
    // Leftovers of the failed deploy do not affect the next one.
    fixture.registry.recover();
    deploys_whole(&fixture, "recovered", &image, &large).await?;
    fixture.end().await
}

/// An HTTP date (IMF-fixdate of RFC 9110).
fn date_after(pause: Duration) -> String {
    let date = jiff::Timestamp::now() + pause;
    date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn retry_after_is_honoured() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    let two_s = Duration::from_secs(2);
    let retry_after: [fn() -> String; 3] = [
        || "2".to_owned(),
        // Dates have whole seconds: three from now may be little more than two.
        || date_after(Duration::from_secs(3)),
        || "nonsense".to_owned(),
    ];
    let pauses = [(429, two_s), (503, two_s), (429, Duration::ZERO)];
    for (seed, (retry_after, (status, pause))) in (6..).zip(retry_after.into_iter().zip(pauses)) {
        let (image, large) = image(seed, Compression::Plain)?;
        let digest = large.digest.clone();
        let busy = move |request: &ReceivedRequest| match &request.target {
            Target::Blob(asked) => *asked == digest && request.nth == 0,
            Target::Manifest(tag) => !tag.starts_with("sha256:") && request.nth == 0,
            _ => false,
        };
        fixture.registry.behave(move |request| match busy(request) {
            true => Reply::Status(status, vec![("retry-after", retry_after())]),
            false => Reply::Good,
        });
        deploys_whole(&fixture, &format!("busy-{seed}"), &image, &large).await?;
        let asked = fixture.registry.requests_for(&large.digest);
        assert_eq!(asked.len(), 2, "{asked:?}");
        let waited = asked[1].at - asked[0].at;
        assert!(waited >= pause, "asked again after {waited:?}, the registry said {pause:?}");
    }
    fixture.end().await
}

#[tokio::test]
async fn a_permanent_failure_quotes_the_registry() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    let host = fixture.registry.address();
    for (seed, status) in [(10, 500), (11, 503), (12, 429)] {
        let (image, large) = image(seed, Compression::Plain)?;
        let digest = large.digest.clone();
        fixture.registry.behave(move |request| match request.is_of(&digest) {
            true => Reply::Status(status, vec![]),
            false => Reply::Good,
        });
        let words = [host.as_str(), &format!("HTTP {status}"), "Try again later"];
        fixture.deploy_fails(&format!("blob-{status}"), &image, "RegistryUnreachable", &words).await?;
        assert_eq!(fixture.registry.requests_for(&large.digest).len(), 5, "once, and retries_max times again");
        fixture.registry.behave(move |request| match request.target {
            Target::Manifest(_) => Reply::Status(status, vec![]),
            _ => Reply::Good,
        });
        fixture.deploy_fails(&format!("manifest-{status}"), &image, "RegistryUnreachable", &words).await?;
    }
    let (image, _) = image(13, Compression::Plain)?;
    fixture.registry.behave(|request| match request.target {
        Target::Manifest(_) => Reply::Challenge,
        Target::Token => Reply::Status(403, vec![]),
        _ => Reply::Good,
    });
    let words = [host.as_str(), "HTTP 403", "without credentials", "docker login"];
    fixture.deploy_fails("no-token", &image, "ImageAccessDenied", &words).await?;
    fixture.end().await
}

#[tokio::test]
async fn a_slow_registry_succeeds_and_a_silent_one_times_out() -> anyhow::Result<()> {
    let env = [ENV, &[("SAMPAN_IMAGE__READ_IDLE_TIMEOUT_S", "1"), ("SAMPAN_IMAGE__PREPARE_TIMEOUT_S", "10")]].concat();
    let fixture = Fixture::start(&env).await?;
    let host = fixture.registry.address();
    let blobs =
        |reply: Reply| move |request: &ReceivedRequest| if request.is_blob() { reply.clone() } else { Reply::Good };

    // Three seconds in total, never silent.
    let (slow, large) = image(20, Compression::Plain)?;
    fixture.registry.behave(blobs(Reply::Slow(2 << 20)));
    deploys_whole(&fixture, "slow", &slow, &large).await?;
    assert_eq!(fixture.registry.requests_for(&large.digest).len(), 1, "slowness is no reason to ask again");

    // Silent once; the next connection resumes.
    let (pausing, large) = image(21, Compression::Plain)?;
    let digest = large.digest.clone();
    fixture.registry.behave(move |request| match request.is_of(&digest) {
        true if request.nth == 0 => Reply::Hold(4 << 20),
        _ => Reply::Good,
    });
    deploys_whole(&fixture, "pausing", &pausing, &large).await?;
    let sent = total(&fixture.registry, &large);
    assert!(sent <= large.size + LOST_BYTES_MAX, "{sent} bytes were sent for {}", large.size);

    let (silent, large) = image(22, Compression::Plain)?;
    let digest = large.digest.clone();
    fixture.registry.behave(move |request| if request.is_of(&digest) { Reply::Hold(0) } else { Reply::Good });
    fixture.deploy_fails("silent", &silent, "RegistryUnreachable", &[&host, "Check the registry"]).await?;

    // A trickle never reaches the idle timeout; the timeout of the preparation ends it.
    let (trickle, large) = image(23, Compression::Plain)?;
    let digest = large.digest.clone();
    fixture.registry.behave(move |request| if request.is_of(&digest) { Reply::Slow(200 << 10) } else { Reply::Good });
    let words = ["not ready within 10 s", "prepare_timeout_s"];
    fixture.deploy_fails("trickle", &trickle, "PullImageTimeOut", &words).await?;
    fixture.end().await
}

#[tokio::test]
async fn a_token_that_expires_midway_is_renewed() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    let (image, large) = image(30, Compression::Plain)?;
    let digest = large.digest.clone();
    // The first token is accepted for the first half of the large blob; then the connection is
    // closed, and only a newer token gets the rest.
    fixture.registry.behave(move |request| match (&request.target, request.token.as_deref()) {
        (Target::Token, _) => Reply::Good,
        (_, None) => Reply::Challenge,
        (_, Some("t1")) if request.is_of(&digest) && request.nth == 0 => Reply::Break(3 << 20),
        (Target::Blob(asked), Some("t1")) if *asked == digest => Reply::Challenge,
        _ => Reply::Good,
    });
    deploys_whole(&fixture, "expires", &image, &large).await?;
    let tokens: HashSet<_> =
        fixture.registry.requests_for(&large.digest).into_iter().filter_map(|request| request.token).collect();
    assert!(tokens.contains("t1") && tokens.len() == 2, "{tokens:?}");
    let sent = total(&fixture.registry, &large);
    assert!(sent <= large.size + LOST_BYTES_MAX, "the first half was sent again: {sent} of {}", large.size);

    // A server that rejects its own tokens gets a bounded number of requests.
    let (image, large) = self::image(31, Compression::Plain)?;
    fixture.registry.behave(|request| match &request.target {
        Target::Blob(_) => Reply::Challenge,
        _ => Reply::Good,
    });
    let words = ["HTTP 401", "without credentials"];
    fixture.deploy_fails("never-enough", &image, "ImageAccessDenied", &words).await?;
    assert!(fixture.registry.requests_for(&large.digest).len() <= 2);
    fixture.end().await
}

#[tokio::test]
async fn stalled_pulls_do_not_block_other_deploys() -> anyhow::Result<()> {
    let env =
        [ENV, &[("SAMPAN_IMAGE__READ_IDLE_TIMEOUT_S", "600"), ("SAMPAN_IMAGE__TRANSFER_SLOW_S_MAX", "600")]].concat();
    let fixture = Fixture::start(&env).await?;
    let (mut references, mut digests) = (Vec::new(), Vec::new());
    for n in 0..12 {
        let (image, large) = image(40 + n, Compression::Plain)?;
        references.push(fixture.registry.add(&format!("stuck-{n}"), &image));
        digests.push(large.digest);
    }
    let held = digests.clone();
    fixture
        .registry
        .behave(move |request| if held.iter().any(|d| request.is_of(d)) { Reply::Hold(0) } else { Reply::Good });
    for (n, reference) in references.iter().enumerate() {
        e2e::deploys::begin(&fixture.platform, &format!("stuck-{n}"), reference).await?;
    }
    e2e::wait::until("a layer is being sent", || async {
        let asked = digests.iter().any(|digest| !fixture.registry.requests_for(digest).is_empty());
        Ok(asked.then_some(()))
    })
    .await?;

    // Another registry, and a push to the platform's own.
    let other = TestRegistry::start().await?;
    let (image, _) = image(60, Compression::Zstd)?;
    e2e::deploys::good(&fixture.platform, "other", &other.add("other", &image)).await?;
    fixture.platform.push_hello().await?;
    fixture.platform.deploy("pushed", "hello:v1", &[]).await?;
    let stuck = fixture.platform.api.call("GetFunction", serde_json::json!({"FunctionName": "stuck-0"})).await?;
    assert_eq!(stuck["Status"], "Creating");
    fixture.platform.stop().await
}

#[tokio::test]
async fn redirects_and_realms_to_internal_addresses_are_refused() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    for (seed, location, words) in [
        (
            70,
            "http://169.254.169.254/latest/meta-data/",
            ["169.254.169.254", "in denied of [network]", "redirects_allowed of [image]"],
        ),
        (71, "http://127.0.0.2:1/", ["127.0.0.2", "a loopback address", "redirects_allowed of [image]"]),
    ] {
        let (image, large) = image(seed, Compression::Plain)?;
        let digest = large.digest.clone();
        fixture.registry.behave(move |request| match request.is_of(&digest) {
            true => Reply::Status(307, vec![("location", location.to_owned())]),
            false => Reply::Good,
        });
        fixture.deploy_fails(&format!("astray-{seed}"), &image, "RegistryRedirectRefused", &words).await?;
    }
    let (image, large) = image(72, Compression::Plain)?;
    let digest = large.digest.clone();
    fixture.registry.behave(move |request| match request.is_of(&digest) {
        true => Reply::Status(429, vec![("retry-after", "7200".to_owned())]),
        false => Reply::Good,
    });
    fixture.deploy_fails("patient", &image, "RegistryUnreachable", &["HTTP 429", "again in 7200 s"]).await?;
    fixture.end().await
}

#[tokio::test]
async fn a_push_follows_no_redirect_to_internal_addresses() -> anyhow::Result<()> {
    let fixture = Fixture::start(ENV).await?;
    let layout = tempfile::tempdir()?;
    e2e::fixture::hello_image()?.write_layout(layout.path(), "v1")?;
    let image = format!("{}/pushed:v1", fixture.registry.address());
    let push = async || {
        let said =
            tools::run(&mut fixture.platform.cli(&["push", &layout.path().display().to_string(), &image])).await?;
        anyhow::ensure!(!said.ok, "the push is said to be done: {}", said.stdout);
        anyhow::Ok(said.stderr)
    };
    // Realm of the token, and redirect of the blob.
    let realm = "Bearer realm=\"http://169.254.169.254/token\",service=\"test\"";
    fixture.registry.behave(move |request| match &request.target {
        Target::Other(path) if path == "/v2/" => Reply::Status(401, vec![("www-authenticate", realm.to_owned())]),
        _ => Reply::Good,
    });
    let said = push().await?;
    anyhow::ensure!(said.contains("169.254.169.254") && said.contains("redirects_allowed of [image]"), "{said}");
    fixture.registry.behave(|request| match &request.target {
        Target::Blob(digest) if digest.starts_with("uploads") => {
            Reply::Status(202, vec![("location", "http://127.0.0.2:1/upload".to_owned())])
        }
        Target::Blob(_) => Reply::Status(404, vec![]),
        _ => Reply::Good,
    });
    let said = push().await?;
    anyhow::ensure!(said.contains("127.0.0.2, which is a loopback address"), "{said}");
    fixture.end().await
}
