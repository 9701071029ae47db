//! Aliases with two versions, and routes that change during calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use invoke::{Config, RoutingKey, Target};
use types::alias::{Additional, HeaderValue, Weight, When};
use types::{Qualifier, RequestId, Route, VersionName};

use crate::support::{Bench, EVENT, Function, WEB, WIDE, json, target, text, until};

const ONE: VersionName = VersionName::Number(1);
const TWO: VersionName = VersionName::Number(2);

fn by_default(function: Function) -> Target {
    Target { qualifier: Qualifier::Alias(Qualifier::DEFAULT_ALIAS.into()), ..target(function) }
}

fn weighted(share: f64) -> Route {
    let when = When::Weight(Weight::from_fraction(share).expect("a share"));
    Route { version: ONE, additional: Some(Additional { version: TWO, when }) }
}

fn by_header() -> Route {
    let when = When::Header { name: "x-ring".to_owned(), value: HeaderValue::Exact("beta".to_owned()) };
    Route { version: ONE, additional: Some(Additional { version: TWO, when }) }
}

/// The version that served a web request, from the header that the platform sends to the instance.
async fn served(bench: &Bench, function: Function, headers: &[(&str, &str)]) -> String {
    let request = headers.iter().fold(Request::get("/headers"), |request, (name, value)| request.header(*name, *value));
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let response = bench.web(by_default(function), RequestId::random(), request).await;
    json(response).await["headers"]["x-scf-version"].as_str().expect("a version").to_owned()
}

#[tokio::test]
async fn rules_look_at_the_headers_of_web_requests() {
    let bench = Bench::new(Config::default(), &[]).await;
    bench.serve_versions(WEB, &[1, 2], by_header());
    assert_eq!(served(&bench, WEB, &[]).await, "1");
    assert_eq!(served(&bench, WEB, &[("X-Ring", "beta")]).await, "2");
    assert_eq!(served(&bench, WEB, &[("X-Ring", "Beta")]).await, "1");
}

#[tokio::test]
async fn rules_look_at_the_routing_key_of_events() {
    let bench = Bench::new(Config::default(), &[]).await;
    bench.serve_versions(EVENT, &[1, 2], by_header());
    let called = |key: &RoutingKey| {
        let found = bench.invoker.resolve(&by_default(EVENT), &RequestId::random(), key);
        found.expect("a version").version().key.version
    };
    assert_eq!(called(&RoutingKey::default()), ONE);
    assert_eq!(called(&RoutingKey::new([("X-Ring".to_owned(), "beta".to_owned())])), TWO);
}

#[tokio::test]
async fn a_weight_is_its_share_of_the_calls() {
    let bench = Bench::new(Config::default(), &[]).await;
    bench.serve_versions(WIDE, &[1, 2], weighted(0.25));
    let mut twos = 0_i32;
    for _ in 0..2_000 {
        twos += i32::from(served(&bench, WIDE, &[]).await == "2");
    }
    // Five standard deviations of 2,000 draws with a chance of a quarter are 97.
    assert!((twos - 500).abs() <= 97, "{twos}");
    assert_eq!(bench.started(), 2, "each version has an instance of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_routes_change_and_versions_come_and_go() {
    let bench = Arc::new(Bench::new(Config::default(), &[]).await);
    bench.serve_versions(WIDE, &[1], Route::to(ONE));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (bench, stop) = (Arc::clone(&bench), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = 0;
                while !stop.load(Ordering::SeqCst) {
                    let request = Request::get("/").body(Empty::<Bytes>::new()).expect("a request");
                    let response = bench.web(by_default(WIDE), RequestId::random(), request).await;
                    assert_eq!(text(response).await, "hello");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for number in 1..20 {
        let (old, new) = (VersionName::Number(number), VersionName::Number(number + 1));
        let started = bench.started();
        let when = When::Weight(Weight::from_fraction(0.5).expect("a share"));
        let both = Route { version: old, additional: Some(Additional { version: new, when }) };
        bench.serve_versions(WIDE, &[number, number + 1], both);
        until("the new version serves", || bench.started() > started).await;
        // The old one is removed with the last route to it, even if a request waits for an instance
        // of it.
        bench.serve_versions(WIDE, &[number + 1], Route::to(new));
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.expect("no failed request") > 0);
    }
}
