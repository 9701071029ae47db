//! Registries and networks on their bad days: the deploy ends in a good image with little sent twice, or in a clear
//! error within bounded time.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::collections::HashSet;
use std::time::Duration;

use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::registry::{Ask, Reply, Target, TestRegistry};
use e2e::{Scene, blob, tools, walk};

/// Pauses that are short, since nothing recovers with time here.
const ENV: &[(&str, &str)] = &[("SAMPAN_IMAGE__RETRIES_MAX", "4"), ("SAMPAN_IMAGE__RETRY_PAUSE_MS", "20")];
/// Size of the blob that is interrupted.
const LARGE_BYTES: usize = 6 << 20;
/// What may be under way in sockets when a connection breaks, for each break.
const LOST_BYTES_MAX: u64 = 512 << 10;

/// The static server below a layer of bytes that nothing compresses; each `seed` makes another.
fn image(seed: u64, compression: Compression) -> anyhow::Result<(Image, Layer)> {
    // Xorshift64, which must not begin at zero.
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

/// Deploys the image, and fails unless the instance has the whole file.
async fn deploys_whole(scene: &Scene, name: &str, image: &Image, layer: &Layer) -> anyhow::Result<()> {
    scene.deploys(name, image).await?;
    let seen = walk::of_instance(&scene.platform, name).await?;
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
async fn a_download_that_breaks_off_goes_on_where_it_was() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
    for (seed, compression) in [(1, Compression::Plain), (2, Compression::Zstd)] {
        let (image, large) = image(seed, compression)?;
        let digest = large.digest.clone();
        // Six connections that each bring a megabyte, and then one that holds.
        scene.registry.behave(move |ask| match ask.is_of(&digest) {
            true if ask.nth < 6 => Reply::Break(1 << 20),
            _ => Reply::Good,
        });
        deploys_whole(&scene, &format!("breaks-{seed}"), &image, &large).await?;
        let asked = scene.registry.asked_for(&large.digest);
        assert!(asked.len() >= 6, "the connection broke: {asked:?}");
        let offsets: Vec<_> = asked.iter().skip(1).map(|ask| ask.offset.unwrap_or(0)).collect();
        assert!(offsets.is_sorted() && offsets.iter().all(|offset| *offset > 0), "not resumed: {offsets:?}");
        let sent = total(&scene.registry, &large);
        assert!(sent <= large.size + 6 * LOST_BYTES_MAX, "{sent} bytes were sent for {}", large.size);
    }
    scene.end().await
}

#[tokio::test]
async fn a_registry_without_ranges_is_read_from_the_start_again() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
    for (seed, compression) in [(3, Compression::Plain), (4, Compression::Zstd)] {
        let (image, large) = image(seed, compression)?;
        let digest = large.digest.clone();
        scene.registry.behave(move |ask| match ask.is_of(&digest) {
            true if ask.nth == 0 => Reply::Break(3 << 20),
            true => Reply::Whole,
            false => Reply::Good,
        });
        deploys_whole(&scene, &format!("whole-{seed}"), &image, &large).await?;
        assert_eq!(scene.registry.asked_for(&large.digest).len(), 2, "once more is enough");
    }
    scene.end().await
}

#[tokio::test]
async fn a_connection_that_always_breaks_is_an_error() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
    let (image, large) = image(5, Compression::Plain)?;
    let digest = large.digest.clone();
    // Half of it comes once, and then never a byte more.
    scene.registry.behave(move |ask| match ask.is_of(&digest) {
        true if ask.nth == 0 => Reply::Break(3 << 20),
        true => Reply::Break(0),
        false => Reply::Good,
    });
    let host = scene.registry.address();
    scene.refuses("always-breaks", &image, "RegistryUnreachable", &[&host, "Check the registry"]).await?;
    assert!(scene.registry.asked_for(&large.digest).len() <= 7, "tried again for longer than it may");
    // What the failed deploy left does not stand in the way of the next one.
    scene.registry.recover();
    deploys_whole(&scene, "recovered", &image, &large).await?;
    scene.end().await
}

/// A date as HTTP has it (IMF-fixdate of RFC 9110).
fn date_after(pause: Duration) -> String {
    let date = jiff::Timestamp::now() + pause;
    date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_when_it_says() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
    let two_s = Duration::from_secs(2);
    let retry_after: [fn() -> String; 3] = [
        || "2".to_owned(),
        // A date has whole seconds, so three from now may be little more than two.
        || date_after(Duration::from_secs(3)),
        || "nonsense".to_owned(),
    ];
    let pauses = [(429, two_s), (503, two_s), (429, Duration::ZERO)];
    for (seed, (retry_after, (status, pause))) in (6..).zip(retry_after.into_iter().zip(pauses)) {
        let (image, large) = image(seed, Compression::Plain)?;
        let digest = large.digest.clone();
        let busy = move |ask: &Ask| match &ask.target {
            Target::Blob(asked) => *asked == digest && ask.nth == 0,
            Target::Manifest(tag) => !tag.starts_with("sha256:") && ask.nth == 0,
            _ => false,
        };
        scene.registry.behave(move |ask| match busy(ask) {
            true => Reply::Status(status, vec![("retry-after", retry_after())]),
            false => Reply::Good,
        });
        deploys_whole(&scene, &format!("busy-{seed}"), &image, &large).await?;
        let asked = scene.registry.asked_for(&large.digest);
        assert_eq!(asked.len(), 2, "{asked:?}");
        let waited = asked[1].at - asked[0].at;
        assert!(waited >= pause, "asked again after {waited:?}, the registry said {pause:?}");
    }
    scene.end().await
}

#[tokio::test]
async fn a_registry_that_only_fails_is_an_error_in_its_own_words() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
    let host = scene.registry.address();
    for (seed, status) in [(10, 500), (11, 503), (12, 429)] {
        let (image, large) = image(seed, Compression::Plain)?;
        let digest = large.digest.clone();
        scene.registry.behave(move |ask| match ask.is_of(&digest) {
            true => Reply::Status(status, vec![]),
            false => Reply::Good,
        });
        let words = [host.as_str(), &format!("HTTP {status}"), "Try again later"];
        scene.refuses(&format!("blob-{status}"), &image, "RegistryUnreachable", &words).await?;
        assert_eq!(scene.registry.asked_for(&large.digest).len(), 5, "once, and retries_max times again");
        scene.registry.behave(move |ask| match ask.target {
            Target::Manifest(_) => Reply::Status(status, vec![]),
            _ => Reply::Good,
        });
        scene.refuses(&format!("manifest-{status}"), &image, "RegistryUnreachable", &words).await?;
    }
    let (image, _) = image(13, Compression::Plain)?;
    scene.registry.behave(|ask| match ask.target {
        Target::Manifest(_) => Reply::Challenge,
        Target::Token => Reply::Status(403, vec![]),
        _ => Reply::Good,
    });
    let words = [host.as_str(), "HTTP 403", "without credentials", "docker login"];
    scene.refuses("no-token", &image, "ImageAccessDenied", &words).await?;
    scene.end().await
}

#[tokio::test]
async fn a_slow_registry_is_waited_for_and_a_silent_one_is_not() -> anyhow::Result<()> {
    let env = [ENV, &[("SAMPAN_IMAGE__READ_IDLE_TIMEOUT_S", "1"), ("SAMPAN_IMAGE__PREPARE_TIMEOUT_S", "10")]].concat();
    let scene = Scene::start(&env).await?;
    let host = scene.registry.address();
    let blobs = |reply: Reply| move |ask: &Ask| if ask.is_blob() { reply.clone() } else { Reply::Good };

    // Three seconds in all, never a silent one.
    let (slow, large) = image(20, Compression::Plain)?;
    scene.registry.behave(blobs(Reply::Slow(2 << 20)));
    deploys_whole(&scene, "slow", &slow, &large).await?;
    assert_eq!(scene.registry.asked_for(&large.digest).len(), 1, "slowness is no reason to ask again");

    // It falls silent once, and the next connection goes on from there.
    let (pausing, large) = image(21, Compression::Plain)?;
    let digest = large.digest.clone();
    scene.registry.behave(move |ask| match ask.is_of(&digest) {
        true if ask.nth == 0 => Reply::Hold(4 << 20),
        _ => Reply::Good,
    });
    deploys_whole(&scene, "pausing", &pausing, &large).await?;
    let sent = total(&scene.registry, &large);
    assert!(sent <= large.size + LOST_BYTES_MAX, "{sent} bytes were sent for {}", large.size);

    let (silent, large) = image(22, Compression::Plain)?;
    let digest = large.digest.clone();
    scene.registry.behave(move |ask| if ask.is_of(&digest) { Reply::Hold(0) } else { Reply::Good });
    scene.refuses("silent", &silent, "RegistryUnreachable", &[&host, "Check the registry"]).await?;

    // A trickle outlasts every idle timeout; the limit of the whole preparation ends it.
    let (trickle, large) = image(23, Compression::Plain)?;
    let digest = large.digest.clone();
    scene.registry.behave(move |ask| if ask.is_of(&digest) { Reply::Slow(200 << 10) } else { Reply::Good });
    let words = ["not ready within 10 s", "prepare_timeout_s"];
    scene.refuses("trickle", &trickle, "PullImageTimeOut", &words).await?;
    scene.end().await
}

#[tokio::test]
async fn a_token_that_expires_midway_is_renewed() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
    let (image, large) = image(30, Compression::Plain)?;
    let digest = large.digest.clone();
    // The first token is good for the first half of the large blob; then the connection breaks, and only a newer token
    // gets the rest.
    scene.registry.behave(move |ask| match (&ask.target, ask.token.as_deref()) {
        (Target::Token, _) => Reply::Good,
        (_, None) => Reply::Challenge,
        (_, Some("t1")) if ask.is_of(&digest) && ask.nth == 0 => Reply::Break(3 << 20),
        (Target::Blob(asked), Some("t1")) if *asked == digest => Reply::Challenge,
        _ => Reply::Good,
    });
    deploys_whole(&scene, "expires", &image, &large).await?;
    let tokens: HashSet<_> = scene.registry.asked_for(&large.digest).into_iter().filter_map(|ask| ask.token).collect();
    assert!(tokens.contains("t1") && tokens.len() == 2, "{tokens:?}");
    let sent = total(&scene.registry, &large);
    assert!(sent <= large.size + LOST_BYTES_MAX, "the first half was sent again: {sent} of {}", large.size);

    // A server that takes no token of its own is asked a bounded number of times.
    let (image, large) = self::image(31, Compression::Plain)?;
    scene.registry.behave(|ask| match &ask.target {
        Target::Blob(_) => Reply::Challenge,
        _ => Reply::Good,
    });
    let words = ["HTTP 401", "without credentials"];
    scene.refuses("never-enough", &image, "ImageAccessDenied", &words).await?;
    assert!(scene.registry.asked_for(&large.digest).len() <= 2);
    scene.end().await
}

#[tokio::test]
async fn images_that_never_come_hold_up_no_other_deploy() -> anyhow::Result<()> {
    let env =
        [ENV, &[("SAMPAN_IMAGE__READ_IDLE_TIMEOUT_S", "600"), ("SAMPAN_IMAGE__TRANSFER_SLOW_S_MAX", "600")]].concat();
    let scene = Scene::start(&env).await?;
    let (mut references, mut digests) = (Vec::new(), Vec::new());
    for n in 0..12 {
        let (image, large) = image(40 + n, Compression::Plain)?;
        references.push(scene.registry.add(&format!("stuck-{n}"), &image));
        digests.push(large.digest);
    }
    let held = digests.clone();
    scene.registry.behave(move |ask| if held.iter().any(|d| ask.is_of(d)) { Reply::Hold(0) } else { Reply::Good });
    for (n, reference) in references.iter().enumerate() {
        e2e::deploys::begin(&scene.platform, &format!("stuck-{n}"), reference).await?;
    }
    e2e::wait::until("a layer is being sent", || async {
        let asked = digests.iter().any(|digest| !scene.registry.asked_for(digest).is_empty());
        Ok(asked.then_some(()))
    })
    .await?;

    // Another registry, and what is pushed to the platform's own.
    let other = TestRegistry::start().await?;
    let (image, _) = image(60, Compression::Zstd)?;
    e2e::deploys::good(&scene.platform, "other", &other.add("other", &image)).await?;
    scene.platform.push_hello().await?;
    scene.platform.deploy("pushed", "hello:v1", &[]).await?;
    let stuck = scene.platform.api.call("GetFunction", serde_json::json!({"FunctionName": "stuck-0"})).await?;
    assert_eq!(stuck["Status"], "Creating");
    scene.platform.stop().await
}

#[tokio::test]
async fn a_registry_leads_to_no_address_inside_and_its_pauses_are_told() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
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
        scene.registry.behave(move |ask| match ask.is_of(&digest) {
            true => Reply::Status(307, vec![("location", location.to_owned())]),
            false => Reply::Good,
        });
        scene.refuses(&format!("astray-{seed}"), &image, "RegistryRedirectRefused", &words).await?;
    }
    let (image, large) = image(72, Compression::Plain)?;
    let digest = large.digest.clone();
    scene.registry.behave(move |ask| match ask.is_of(&digest) {
        true => Reply::Status(429, vec![("retry-after", "7200".to_owned())]),
        false => Reply::Good,
    });
    scene.refuses("patient", &image, "RegistryUnreachable", &["HTTP 429", "again in 7200 s"]).await?;
    scene.end().await
}

#[tokio::test]
async fn a_push_goes_to_no_address_inside() -> anyhow::Result<()> {
    let scene = Scene::start(ENV).await?;
    let layout = tempfile::tempdir()?;
    e2e::scene::hello_image()?.write_layout(layout.path(), "v1")?;
    let image = format!("{}/pushed:v1", scene.registry.address());
    let push = async || {
        let said = tools::run(&mut scene.platform.cli(&["push", &layout.path().display().to_string(), &image])).await?;
        anyhow::ensure!(!said.ok, "the push is said to be done: {}", said.stdout);
        anyhow::Ok(said.stderr)
    };
    // Where it sends for a token, and where it wants the blob.
    let realm = "Bearer realm=\"http://169.254.169.254/token\",service=\"test\"";
    scene.registry.behave(move |ask| match &ask.target {
        Target::Other(path) if path == "/v2/" => Reply::Status(401, vec![("www-authenticate", realm.to_owned())]),
        _ => Reply::Good,
    });
    let said = push().await?;
    anyhow::ensure!(said.contains("169.254.169.254") && said.contains("redirects_allowed of [image]"), "{said}");
    scene.registry.behave(|ask| match &ask.target {
        Target::Blob(digest) if digest.starts_with("uploads") => {
            Reply::Status(202, vec![("location", "http://127.0.0.2:1/upload".to_owned())])
        }
        Target::Blob(_) => Reply::Status(404, vec![]),
        _ => Reply::Good,
    });
    let said = push().await?;
    anyhow::ensure!(said.contains("127.0.0.2, which is a loopback address"), "{said}");
    scene.end().await
}
