//! Tests of TC3: the published example, variations of the official clients, and tampered requests.

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const NOW_S: i64 = 1_551_113_065;
const CLOCK: Clock = Clock { now_s: NOW_S, window_s: 300 };

fn secrets() -> Secrets {
    Secrets {
        secret_id: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE".to_owned(),
        secret_key: "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE".to_owned(),
    }
}

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
    };
    pairs.iter().map(pair).collect()
}

/// Headers of a request signed by a second implementation over these header lines.
fn signed_by_hand(method: &str, query: &str, lines: &[(&str, &str)], service: &str, body: &[u8]) -> HeaderMap {
    let secrets = secrets();
    let date = clock::utc_date(NOW_S).expect("within the calendar");
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    let headers: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = Canonical {
        method,
        path: API_PATH,
        query,
        headers: &headers,
        signed_headers: &names.join(";"),
        body_hash: &hex::encode(Sha256::digest(body)),
    };
    let scope = format!("{date}/{service}/{TERMINATOR}");
    let key = signing_key(&secrets.secret_key, &date, service);
    let signature = hex::encode(signature(&key, &NOW_S.to_string(), &scope, &canonical).finalize().into_bytes());
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        secrets.secret_id,
        names.join(";")
    );
    map(&[("content-type", "application/json"), (TIMESTAMP, &NOW_S.to_string()), ("authorization", &authorization)])
}

fn post<'a>(host: &'a str, headers: &'a HeaderMap, body: &'a [u8]) -> Received<'a> {
    Received { method: "POST", host, query: "", headers, body }
}

#[test]
fn the_published_example_verifies() {
    // The example of the official document "Signature v3" of the API.
    let body = br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
    let headers = map(&[
        ("content-type", "application/json; charset=utf-8"),
        (TIMESTAMP, "1551113065"),
        (
            "authorization",
            "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, \
             SignedHeaders=content-type;host, \
             Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
        ),
    ]);
    assert_eq!(verify(&post("cvm.tencentcloudapi.com", &headers, body), &secrets(), CLOCK), Ok(()));
}

#[test]
fn hosts_and_services_of_the_official_clients_verify() {
    let table = [
        ("127.0.0.1:7070", "127.0.0.1:7070", "scf"),
        ("http://127.0.0.1:7070", "http://127.0.0.1:7070", "scf"),
        ("127.0.0.1", "127.0.0.1:7070", "127"),
        ("localhost", "localhost:7070", "localhost:7070"),
        ("127.0.0.1:7070", "http://127.0.0.1:7070", "scf"),
    ];
    for (signed, sent, service) in table {
        let lines = [("content-type", "application/json"), ("host", signed)];
        let headers = signed_by_hand("POST", "", &lines, service, b"{}");
        assert_eq!(verify(&post(sent, &headers, b"{}"), &secrets(), CLOCK), Ok(()), "{signed} sent as {sent}");
    }
}

#[test]
fn further_signed_headers_count_in_lower_case() {
    let lines = [("content-type", "application/json"), ("host", "h"), ("x-tc-action", "listfunctions")];
    let mut headers = signed_by_hand("POST", "", &lines, "scf", b"{}");
    let missing = verify(&post("h", &headers, b"{}"), &secrets(), CLOCK).expect_err("a signed header is missing");
    assert!(missing.to_string().contains("lacks the header x-tc-action"), "{missing}");
    headers.insert("x-tc-action", HeaderValue::from_static("ListFunctions"));
    assert_eq!(verify(&post("h", &headers, b"{}"), &secrets(), CLOCK), Ok(()));
    headers.insert("x-tc-action", HeaderValue::from_static("DeleteFunction"));
    assert!(verify(&post("h", &headers, b"{}"), &secrets(), CLOCK).is_err());
}

#[test]
fn the_query_of_a_get_is_signed_as_it_was_sent() {
    let lines = [("content-type", "application/json"), ("host", "h")];
    let headers = signed_by_hand("GET", "Limit=1&SearchKey=a%20b", &lines, "scf", b"");
    let received = |query| Received { method: "GET", host: "h", query, headers: &headers, body: b"" };
    assert_eq!(verify(&received("Limit=1&SearchKey=a%20b"), &secrets(), CLOCK), Ok(()));
    assert!(verify(&received("Limit=1&SearchKey=a+b"), &secrets(), CLOCK).is_err());
}

#[test]
fn an_unsigned_payload_may_be_any_body() {
    let lines = [("content-type", "application/json"), ("host", "h")];
    let mut headers = signed_by_hand("POST", "", &lines, "scf", UNSIGNED_PAYLOAD.as_bytes());
    assert!(verify(&post("h", &headers, b"{}"), &secrets(), CLOCK).is_err());
    headers.insert(CONTENT_HASH, HeaderValue::from_static(UNSIGNED_PAYLOAD));
    assert_eq!(verify(&post("h", &headers, b"{}"), &secrets(), CLOCK), Ok(()));
}

#[test]
fn each_wrong_part_has_its_own_code() {
    let lines = [("content-type", "application/json"), ("host", "h")];
    let good = signed_by_hand("POST", "", &lines, "scf", b"{}");
    let code = |headers: &HeaderMap, secrets: &Secrets, clock| {
        verify(&post("h", headers, b"{}"), secrets, clock).map_err(|rejection| rejection.code().name)
    };
    assert_eq!(code(&good, &secrets(), CLOCK), Ok(()));
    let stranger = Secrets { secret_id: "AKIDother".to_owned(), ..secrets() };
    assert_eq!(code(&good, &stranger, CLOCK), Err("AuthFailure.SecretIdNotFound"));
    let wrong_key = Secrets { secret_key: "other".to_owned(), ..secrets() };
    assert_eq!(code(&good, &wrong_key, CLOCK), Err("AuthFailure.SignatureFailure"));
    let late = Clock { now_s: NOW_S + 301, ..CLOCK };
    assert_eq!(code(&good, &secrets(), late), Err("AuthFailure.SignatureExpire"));
    let mut no_time = good.clone();
    no_time.remove(TIMESTAMP);
    assert_eq!(code(&no_time, &secrets(), CLOCK), Err("AuthFailure.InvalidAuthorization"));
    let mut twice = good.clone();
    twice.append("authorization", HeaderValue::from_static("x"));
    assert_eq!(code(&twice, &secrets(), CLOCK), Err("AuthFailure.InvalidAuthorization"));
    assert_eq!(check_head(&good, &wrong_key, CLOCK), Ok(()), "the key shows with the body only");
    for (headers, secrets, clock) in
        [(&good, &stranger, CLOCK), (&good, &wrong_key, late), (&no_time, &wrong_key, CLOCK)]
    {
        assert!(check_head(headers, secrets, clock).is_err());
    }
    let mut other_day = good;
    let text = other_day["authorization"].to_str().expect("ASCII").replace("2019-02-25", "2019-02-24");
    other_day.insert("authorization", HeaderValue::from_str(&text).expect("a value"));
    assert_eq!(code(&other_day, &secrets(), CLOCK), Err("AuthFailure.InvalidAuthorization"));
}

fn sent(body: &[u8], host: &str, timestamp_s: i64) -> HeaderMap {
    let secrets = secrets();
    let request = Request {
        secret_id: &secrets.secret_id,
        secret_key: &secrets.secret_key,
        product: SCF,
        host,
        action: "Invoke",
        region: "local",
        timestamp_s,
        body,
    };
    let pairs = sign(&request);
    map(&pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
}

#[test]
fn a_signature_of_ours_serves_its_action_alone() {
    let good = sent(b"{}", "h:1", NOW_S);
    assert_eq!(verify(&post("h:1", &good, b"{}"), &secrets(), CLOCK), Ok(()));
    let mut other = good.clone();
    other.insert("x-tc-action", HeaderValue::from_static("DeleteFunction"));
    let rejection = verify(&post("h:1", &other, b"{}"), &secrets(), CLOCK).expect_err("another action");
    assert_eq!(rejection.code().name, "AuthFailure.SignatureFailure");
    let mut none = good;
    none.remove("x-tc-action");
    assert!(verify(&post("h:1", &none, b"{}"), &secrets(), CLOCK).is_err());
}

#[test]
fn a_signature_outside_the_api_is_good_for_its_path_query_and_method_alone() {
    let request = HttpRequest {
        secret_id: &secrets().secret_id,
        secret_key: &secrets().secret_key,
        method: "PUT",
        host: "h:1",
        path: "/async/default/a/x",
        query: "q=%20",
        content_type: "text/plain",
        timestamp_s: NOW_S,
        body: b"body",
    };
    let pairs = sign_http(&request);
    let headers = map(&pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
    let verified = |method: &str, path: &str, query: &str, body: &[u8]| {
        verify_http(&Received { method, host: "h:1", query, headers: &headers, body }, path, &secrets(), CLOCK)
    };
    assert_eq!(verified("PUT", "/async/default/a/x", "q=%20", b"body"), Ok(()));
    for (method, path, query, body) in [
        ("POST", "/async/default/a/x", "q=%20", &b"body"[..]),
        ("PUT", "/async/default/b/x", "q=%20", b"body"),
        ("PUT", "/", "q=%20", b"body"),
        ("PUT", "/async/default/a/x", "", b"body"),
        ("PUT", "/async/default/a/x", "q=%20", b"bodY"),
    ] {
        let rejection = verified(method, path, query, body).expect_err(path);
        assert_eq!(rejection.code().name, "AuthFailure.SignatureFailure");
    }
}

#[test]
fn a_signature_outside_the_api_is_for_no_other_service() {
    let request = HttpRequest {
        secret_id: &secrets().secret_id,
        secret_key: &secrets().secret_key,
        method: "POST",
        host: "h:1",
        path: "/async/default/a/",
        query: "",
        content_type: "application/json",
        timestamp_s: NOW_S,
        body: b"{}",
    };
    let pairs = signed_for("tcr", &request);
    let headers = map(&pairs.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>());
    let received = Received { method: "POST", host: "h:1", query: "", headers: &headers, body: b"{}" };
    let rejection = verify_http(&received, "/async/default/a/", &secrets(), CLOCK).expect_err("of a registry");
    assert!(rejection.to_string().contains("names the service \"tcr\""), "{rejection}");
}

proptest! {
    #[test]
    fn what_is_signed_verifies(body in prop::collection::vec(any::<u8>(), 0..200), host in "[a-z0-9.:-]{1,40}",
                               now_s in 0i64..4_000_000_000) {
        let headers = sent(&body, &host, now_s);
        let clock = Clock { now_s, window_s: 300 };
        prop_assert_eq!(verify(&post(&host, &headers, &body), &secrets(), clock), Ok(()));
    }

    #[test]
    fn any_changed_byte_of_the_body_fails(body in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(),
                                          flip in 1u8..) {
        let headers = sent(&body, "h:1", NOW_S);
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= flip;
        let rejection = verify(&post("h:1", &headers, &changed), &secrets(), CLOCK).expect_err("changed");
        prop_assert_eq!(rejection.code().name, "AuthFailure.SignatureFailure");
    }

    #[test]
    fn any_changed_character_of_the_authorization_fails(at in any::<prop::sample::Index>(), to in b'!'..b'~') {
        let mut headers = sent(b"{}", "h:1", NOW_S);
        let mut text = headers["authorization"].as_bytes().to_vec();
        let at = at.index(text.len());
        // Blanks between the parts are not signed.
        prop_assume!(text[at] != to && text[at] != b' ');
        text[at] = to;
        headers.insert("authorization", HeaderValue::from_bytes(&text).expect("printable"));
        let verified = verify(&post("h:1", &headers, b"{}"), &secrets(), CLOCK);
        prop_assert!(verified.is_err());
    }

    #[test]
    fn no_header_panics(authorization in "[ -~]{0,200}", timestamp in "[ -~]{0,20}", host in "\\PC{0,40}") {
        let headers = map(&[("authorization", &authorization), (TIMESTAMP, &timestamp)]);
        let _ = verify(&post(&host, &headers, b""), &secrets(), CLOCK);
    }
}
