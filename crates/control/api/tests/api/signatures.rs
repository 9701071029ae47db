//! All signature forms of official clients, and refusals of invalid ones.

use bytes::Bytes;
use http::{Request, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use signature::v1::{self, Algorithm};

use crate::support::{Platform, Raw, SECRET_ID, SECRET_KEY, now_s};

fn error(answer: &Raw) -> String {
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    let error = &answer.body["Response"]["Error"];
    assert!(answer.body["Response"]["RequestId"].is_string());
    error["Code"].as_str().unwrap_or_default().to_owned()
}

/// Parameters signed as the older SDKs sign them.
fn v1_form(platform: &Platform, method: &str, algorithm: Algorithm, own: &[(&str, &str)]) -> String {
    let name = if algorithm == Algorithm::HmacSha1 { "HmacSHA1" } else { "HmacSHA256" };
    let now = now_s().to_string();
    let common = [
        ("Action", "ListFunctions"),
        ("Version", "2018-04-16"),
        ("Region", "local"),
        ("Timestamp", now.as_str()),
        ("Nonce", "11886"),
        ("SecretId", SECRET_ID),
        ("SignatureMethod", name),
        ("Language", "zh-CN"),
        ("RequestClient", "SDK_PYTHON_3"),
    ];
    let mut pairs: Vec<(String, String)> =
        common.iter().chain(own).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let signature = v1::signature(algorithm, SECRET_KEY, method, &platform.host, &pairs);
    pairs.push(("Signature".to_owned(), signature));
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    pairs.iter().map(|(k, v)| format!("{}={}", encoded(k), encoded(v))).collect::<Vec<_>>().join("&")
}

fn get(platform: &Platform, query: &str) -> Request<Bytes> {
    Request::get(format!("http://{}/?{query}", platform.host)).body(Bytes::new()).unwrap()
}

fn form(platform: &Platform, body: String) -> Request<Bytes> {
    Request::post(format!("http://{}/", platform.host))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .unwrap()
}

#[tokio::test]
async fn older_signatures_are_taken_in_forms_and_queries() {
    let platform = Platform::start().await;
    let own = [("Limit", "5"), ("Filters.0.Name", "tag-team"), ("Filters.0.Values.0", "a & b")];
    for algorithm in [Algorithm::HmacSha1, Algorithm::HmacSha256] {
        let posted = platform.send(form(&platform, v1_form(&platform, "POST", algorithm, &own))).await;
        let asked = platform.send(get(&platform, &v1_form(&platform, "GET", algorithm, &own))).await;
        for answer in [posted, asked] {
            assert_eq!(error(&answer), "");
            assert_eq!(answer.body["Response"]["TotalCount"], 0);
        }
    }
    let crossed = platform.send(form(&platform, v1_form(&platform, "GET", Algorithm::HmacSha1, &own))).await;
    assert_eq!(error(&crossed), "AuthFailure.SignatureFailure");
    let wrong = v1_form(&platform, "POST", Algorithm::HmacSha1, &[("Limit", "five")]);
    assert_eq!(error(&platform.send(form(&platform, wrong)).await), "InvalidParameter");
    let token = v1_form(&platform, "POST", Algorithm::HmacSha1, &[("Token", "t")]);
    assert_eq!(error(&platform.send(form(&platform, token)).await), "AuthFailure.TokenFailure");
    platform.stop().await;
}

#[tokio::test]
async fn the_host_that_tccli_sends_is_taken() {
    let mut platform = Platform::start().await;
    let (address, host) = (platform.host.clone(), format!("http://{}", platform.host));
    platform.host = host.clone();
    let mut request = platform.signed("ListFunctions", b"{}", now_s());
    *request.uri_mut() = format!("http://{address}/").parse().unwrap();
    request.headers_mut().insert(header::HOST, host.parse().unwrap());
    assert_eq!(error(&platform.send(request).await), "");
    platform.stop().await;
}

#[tokio::test]
async fn what_is_not_signed_well_is_refused_before_anything_else() {
    let platform = Platform::start().await;
    let unsigned = Request::post(format!("http://{}/", platform.host)).body(Bytes::from_static(b"{}")).unwrap();
    assert_eq!(error(&platform.send(unsigned).await), "AuthFailure.InvalidAuthorization");
    assert_eq!(error(&platform.send(get(&platform, "")).await), "AuthFailure.InvalidAuthorization");
    let old = platform.signed("NoSuchAction", b"{}", now_s() - 400);
    assert_eq!(error(&platform.send(old).await), "AuthFailure.SignatureExpire");
    let mut changed = platform.signed("NoSuchAction", b"{}", now_s());
    *changed.body_mut() = Bytes::from_static(b"{ }");
    assert_eq!(error(&platform.send(changed).await), "AuthFailure.SignatureFailure");
    let mut stranger = platform.signed("NoSuchAction", b"{}", now_s());
    let text = stranger.headers()["authorization"].to_str().unwrap().replace(SECRET_ID, "AKIDstranger");
    stranger.headers_mut().insert("authorization", text.parse().unwrap());
    let answer = platform.send(stranger).await;
    assert_eq!(error(&answer), "AuthFailure.SecretIdNotFound");
    assert_eq!(
        answer.body["Response"]["Error"]["Message"],
        "SecretId \"AKIDstranger\" does not exist on this installation"
    );
    platform.stop().await;
}

#[tokio::test]
async fn a_signed_action_is_the_one_that_is_called() {
    let platform = Platform::start().await;
    let mut request = platform.signed("GetAccount", b"{}", now_s());
    request.headers_mut().insert("x-tc-action", "ListFunctions".parse().unwrap());
    assert_eq!(error(&platform.send(request).await), "AuthFailure.SignatureFailure");
    platform.stop().await;
}

#[tokio::test]
async fn tokens_versions_and_actions_are_checked_in_this_order() {
    let platform = Platform::start().await;
    let request = |changes: &[(&'static str, &str)]| {
        let mut request = platform.signed("NoSuchAction", b"{}", now_s());
        for (name, value) in changes {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    };
    let (token, version) = (("x-tc-token", "t"), ("x-tc-version", "2017-03-12"));
    assert_eq!(error(&platform.send(request(&[token, version])).await), "AuthFailure.TokenFailure");
    assert_eq!(error(&platform.send(request(&[version])).await), "NoSuchVersion");
    assert_eq!(error(&platform.send(request(&[])).await), "InvalidAction");
    let mut nameless = request(&[]);
    nameless.headers_mut().remove("x-tc-action");
    assert_eq!(error(&platform.send(nameless).await), "AuthFailure.InvalidAuthorization", "it was signed");
    assert_eq!(error(&platform.send(platform.signed("", b"{}", now_s())).await), "MissingParameter");
    let mut named = platform.signed("ListFunctions", b"{}", now_s());
    named.headers_mut().insert("x-tc-token", "".parse().unwrap());
    assert_eq!(error(&platform.send(named).await), "");
    let refused = platform.call("ListLayers", Value::Object(serde_json::Map::new())).await;
    assert_eq!(refused["Error"]["Code"], "UnsupportedOperation");
    platform.stop().await;
}
