//! Tables and properties of header filtering between a caller and an instance.

use std::sync::Arc;

use http::Uri;
use proptest::prelude::*;
use types::{
    Digest, FunctionKey, FunctionKind, FunctionRecord, ImageSpec, ImageType, PinnedImage, VersionKey, VersionName,
    VersionSpec,
};

use super::*;

fn map(entries: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        let name: HeaderName = name.parse().expect("a header name");
        map.append(name, HeaderValue::from_str(value).expect("a header value"));
    }
    map
}

fn names(map: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn version() -> CatalogVersion {
    let id: types::FunctionId = "lam-12345678".parse().expect("valid");
    let key = FunctionKey { namespace: "default".parse().expect("valid"), name: "hello".parse().expect("valid") };
    let record = FunctionRecord {
        id: id.clone(),
        key,
        kind: FunctionKind::Http,
        protocol: None,
        async_run: false,
        trace: false,
        tags: vec![],
        added_ms: 0,
        modified_ms: 0,
    };
    let image = ImageSpec {
        image_type: ImageType::Personal,
        uri: "localhost/hello:1".to_owned(),
        registry_id: None,
        command: None,
        args: None,
        accelerate: false,
        port: 9000,
    };
    let spec = VersionSpec {
        image,
        memory_mb: 512,
        timeout_s: 7,
        init_timeout_s: 90,
        description: String::new(),
        environment: vec![],
        concurrency: None,
        carried: serde_json::Map::new(),
        extras: types::Extras::default(),
    };
    CatalogVersion {
        key: VersionKey { function_id: id, version: VersionName::Latest, generation: 1 },
        function: Arc::new(record),
        spec,
        image: PinnedImage { digest: Digest::from_sha256(&[0; 32]), size_bytes: 0 },
    }
}

#[test]
fn the_connection_of_the_caller_stays_on_its_side() {
    let mut headers = map(&[
        ("Host", "a.b"),
        ("Connection", "keep-alive, X-Mine, Host, Content-Length"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic x"),
        ("TE", "gzip"),
        ("Trailer", "X-Sum"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ("Expect", "100-continue"),
        ("X-Mine", "1"),
        ("Content-Length", "3"),
        ("Authorization", "Bearer t"),
        ("Accept", "*/*"),
    ]);
    towards_instance(&mut headers, None);
    assert_eq!(names(&headers), ["accept", "authorization", "content-length", "host", "trailer"]);
}

#[test]
fn forged_platform_headers_are_dropped_in_every_spelling() {
    let mut headers = map(&[
        ("Host", "a.b"),
        ("X-Scf-Request-Id", "forged"),
        ("x-scf-uin", "forged"),
        ("X_SCF_SECRET_KEY", "forged"),
        ("X-Scf_Anything", "forged"),
        ("X.Scf!Anything", "forged"),
        ("X-Scf", "mine"),
        ("X-Scfoo-Bar", "mine"),
        ("Y-X-Scf-Name", "mine"),
    ]);
    towards_instance(&mut headers, None);
    assert_eq!(names(&headers), ["host", "x-scf", "x-scfoo-bar", "y-x-scf-name"]);
}

#[test]
fn a_caller_that_takes_trailers_still_does_towards_the_instance() {
    let mut headers = map(&[("Host", "a.b"), ("TE", "gzip;q=0.5, Trailers")]);
    towards_instance(&mut headers, None);
    assert_eq!((&headers["te"], &headers["connection"]), (&value("trailers"), &value("te")));
}

#[test]
fn a_missing_host_comes_from_the_authority_without_its_credentials() {
    let uri: Uri = "http://user:secret@a.b:81/x".parse().expect("valid");
    let mut headers = HeaderMap::new();
    towards_instance(&mut headers, uri.authority());
    assert_eq!(headers["host"], "a.b:81");
    let mut headers = HeaderMap::new();
    towards_instance(&mut headers, None);
    assert_eq!(headers["host"], "localhost");
}

#[test]
fn split_cookies_are_joined() {
    let mut headers = map(&[("Host", "a.b"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("Accept", "x"), ("Accept", "y")]);
    towards_instance(&mut headers, None);
    assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    assert_eq!(headers.get_all("accept").iter().count(), 2);
}

#[test]
fn the_platform_headers_are_those_of_the_contract() {
    let platform = Installation { region: "local".to_owned(), app_id: "100".to_owned(), uin: "200".to_owned() };
    let request = RequestId::random();
    let mut headers = map(&[("host", "a.b")]);
    let stamp = Stamp { of_version: &VersionHeaders::new(&version(), &platform), request: &request };
    stamp.insert(&mut headers);
    let mut lines = Vec::new();
    stamp.write_lines(&mut lines);
    let lines = String::from_utf8(lines).expect("text");
    let table = [
        ("x-scf-request-id", request.as_str()),
        ("x-scf-memory", "512"),
        ("x-scf-timeout", "7"),
        ("x-scf-version", "$LATEST"),
        ("x-scf-name", "hello"),
        ("x-scf-namespace", "default"),
        ("x-scf-region", "local"),
        ("x-scf-appid", "100"),
        ("x-scf-uin", "200"),
    ];
    for (name, value) in table {
        assert_eq!(headers[name], value, "{name}");
        assert!(lines.split_terminator("\r\n").any(|line| line == format!("{name}: {value}")), "{lines}");
    }
    assert_eq!((headers.len(), lines.matches("\r\n").count()), (table.len() + 1, table.len()));
}

#[test]
fn an_answer_keeps_all_but_its_connection_and_the_status_that_only_the_platform_says() {
    let mut headers = map(&[
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("X-Scf-Status", "433"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Length", "3"),
    ]);
    from_instance(&mut headers);
    assert_eq!(names(&headers), ["content-length", "set-cookie"]);
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
}

#[test]
fn only_an_upgrade_to_websocket_cannot_be_answered_as_plain_http() {
    for (upgrade, wanted) in [("websocket", true), ("h2c, WebSocket", true), ("h2c", false), ("TLS/1.0", false)] {
        assert_eq!(asks_for_websocket(&map(&[("Upgrade", upgrade)])), wanted, "{upgrade}");
    }
    assert!(!asks_for_websocket(&HeaderMap::new()));
}

proptest! {
    #[test]
    fn nothing_that_looks_like_the_platforms_own_gets_through(
        entries in proptest::collection::vec(("[xX][-_][sS][cC][fF][-_][a-zA-Z_-]{0,8}|[a-z-]{1,12}", "[ -~]{0,20}"), 0..12),
    ) {
        let entries: Vec<(&str, &str)> = entries.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let mut headers = map(&entries);
        towards_instance(&mut headers, None);
        prop_assert!(headers.keys().all(|name| !name.as_str().replace('_', "-").starts_with("x-scf-")));
        prop_assert!(headers.contains_key("host"));
    }

    #[test]
    fn any_text_becomes_a_header_value(text in "\\PC{0,40}") {
        prop_assert!(value(&text).to_str().is_ok());
    }
}

#[test]
fn trailers_say_nothing_of_connection_or_length() {
    let mut map = HeaderMap::new();
    for name in [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
        "proxy-connection",
        "content-length",
        "host",
        "x-hop",
    ] {
        map.insert(name, HeaderValue::from_static("x-hop"));
    }
    map.insert("x-checksum", HeaderValue::from_static("07"));
    of_trailers(&mut map);
    assert_eq!(map.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-checksum"]);
}

#[test]
fn grpc_calls_are_recognized_by_their_content_type() {
    let of =
        |kind: &'static str| is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]));
    assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc;x=y"));
    assert!(!of("application/grpc-web") && !of("application/json") && !is_grpc(&HeaderMap::new()));
}

#[test]
fn what_is_removed_as_hop_by_hop_is_what_is_looked_for() {
    assert!(HOP_BY_HOP.iter().all(is_hop_by_hop));
    let others = ["host", "x-connection", "trailer", "keep-alives", "content-length", "cookie"];
    assert!(!others.map(HeaderName::from_static).iter().any(is_hop_by_hop));
}
