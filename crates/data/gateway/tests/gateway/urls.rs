//! Functions with URLs: access, and CORS headers.

use serde_json::json;

use crate::support::Fixture;
use crate::support::raw::Answer;

async fn send(fixture: &Fixture, line: &str, host: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut text = format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    fixture.raw().await.call(format!("{text}\r\n{body}")).await
}

const SIGNED: (&str, &str) = ("Authorization", "secret");
const PAGE: (&str, &str) = ("Origin", "https://a.example");

#[tokio::test]
async fn a_function_with_a_cam_url_is_anonymous_on_no_route() {
    let fixture = Fixture::start().await;
    for (line, host) in [
        ("GET /fn/default/cam/", "h"),
        ("GET /fn/default/cam:$LATEST/", "h"),
        ("GET /fn/default/cam:$DEFAULT/", "h"),
        ("GET /", "cam.default.fn.localhost"),
        ("GET /", "latest--cam.default.fn.localhost"),
        ("GET /cam/x", "shop.example.com"),
        ("POST /async/default/cam/", "h"),
        ("POST /fn/default/cam-event/", "h"),
        ("POST /async/default/cam-event/", "h"),
        ("GET /fn/default/cam:7/", "h"),
    ] {
        let answer = send(&fixture, line, host, &[], "").await;
        assert_eq!((answer.status, answer.header("x-scf-status")), (401, "441"), "{line} {host}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), "TC3-HMAC-SHA256");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_signed_call_reaches_the_function_without_its_signature() {
    let fixture = Fixture::start().await;
    let body = "{\"a\":  1.0}";
    for (line, host) in [("PUT /fn/default/cam/a?b", "h"), ("PUT /cam/a?b", "shop.example.com")] {
        let secret = [SIGNED, ("X-TC-Timestamp", "1"), ("X-Own", "1")];
        let answer = send(&fixture, line, host, &secret, body).await;
        assert_eq!((answer.status, &answer.json()["body"]), (200, &json!(body)), "{answer:?}");
        assert_eq!((answer.seen("authorization"), answer.seen("x-tc-timestamp")), (vec![], vec![]));
        assert_eq!(answer.seen("x-own"), ["1"]);
    }
    let chunked = "PUT /fn/default/cam/a HTTP/1.1\r\nHost: h\r\nAuthorization: secret\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = fixture.raw().await.call(chunked).await;
    assert_eq!((answer.status, &answer.json()["body"]), (200, &json!("abc")), "{answer:?}");
    // A body that is not signed is forwarded as it was sent.
    let unsigned = [SIGNED, ("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD")];
    let answer = send(&fixture, "PUT /fn/default/cam/a", "h", &unsigned, "forged").await;
    assert_eq!((answer.status, &answer.json()["body"]), (200, &json!("forged")), "{answer:?}");
    let forged = send(&fixture, "PUT /fn/default/cam/a", "h", &[SIGNED], "forged").await;
    assert_eq!(forged.status, 401, "{forged:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn pages_are_answered_by_the_url() {
    let fixture = Fixture::start().await;
    let asked = [PAGE, ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "authorization")];
    for function in ["open", "cam"] {
        let answer = send(&fixture, &format!("OPTIONS /fn/default/{function}/"), "h", &asked, "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "https://a.example"));
        assert_eq!(answer.header("access-control-allow-headers"), "authorization");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, PUT");
    }
    let answer = send(&fixture, "GET /fn/default/open/", "h", &[PAGE], "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "https://a.example"));
    // Also on the platform's own responses, or the page could not show the error.
    let refused = send(&fixture, "GET /fn/default/cam/", "h", &[PAGE], "").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "https://a.example"));
    let other = send(&fixture, "GET /fn/default/open/", "h", &[("Origin", "https://b.example")], "").await;
    assert_eq!((other.status, other.header("access-control-allow-origin")), (200, ""));
    // Without a URL, and without a preflight, the function handles OPTIONS itself.
    let own = send(&fixture, "OPTIONS /fn/default/web/", "h", &asked, "").await;
    assert_eq!((own.status, own.header("access-control-allow-origin")), (200, ""));
    let options = send(&fixture, "OPTIONS /fn/default/open/", "h", &[PAGE], "").await;
    assert_eq!(options.status, 200, "{options:?}");
    fixture.stop().await;
}
