//! Registries that break off, send other bytes, are busy, silent or gone.

use super::*;

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
    // The report has the layer, what is wrong, and what to do.
    let good = layer(&[("hello", "x")]);
    let padded = support::Layer { blob: [&good.blob[..], &[0; 512]].concat().into(), diff_id: good.diff_id };
    let blob = digest(&padded.blob);
    let error = store.prepare(&registry.serve("v3", &image(&[padded]))).await.expect_err("padded");
    assert_eq!(error.code(), "ImageInvalid");
    for part in [blob.as_str(), "follow its gzip stream", "compress the layer again"] {
        assert!(error.report().contains(part), "{}", error.report());
    }
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
