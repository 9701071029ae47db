//! Converts an HTTP request to the event of an event function and its return value to an HTTP
//! response (contract 4.11, http trigger). Pure: bytes to bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, TE, TRAILER};
use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::query;

/// Content type of a return value that specifies none.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request as an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    body: Cow<'a, str>,
    headers: BTreeMap<&'a str, Cow<'a, str>>,
    http_method: &'a str,
    path: &'a str,
    query_string: Map<String, Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_base64_encoded: bool,
}

/// The parts of a request.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Method.
    pub method: &'a http::Method,
    /// Path without the function's address and query, as it was sent.
    pub path: &'a str,
    /// Query without its `?`; empty when there is none.
    pub query: &'a str,
    /// Headers that the function may see.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
    /// The client.
    pub remote: IpAddr,
}

/// Serializes the event of a call. A body that is not UTF-8 is encoded in base64 and marked so.
pub fn event(call: Call<'_>) -> Vec<u8> {
    let (body, is_base64_encoded) = match std::str::from_utf8(call.body) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(BASE64.encode(call.body)), true),
    };
    let mut headers: BTreeMap<_, _> =
        call.headers.keys().map(|name| (name.as_str(), joined(call.headers, name))).collect();
    headers.insert("x-scf-remote-addr", Cow::Owned(call.remote.to_string()));
    let event = Event {
        body,
        headers,
        http_method: call.method.as_str(),
        path: call.path,
        query_string: query::to_json(call.query),
        is_base64_encoded,
    };
    serde_json::to_vec(&event).expect("texts and maps of texts are always JSON")
}

/// All values of one name, joined as RFC 9110 and (for cookies) RFC 9113 allow.
fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, str> {
    let separator = if name == COOKIE { "; " } else { ", " };
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next().unwrap_or_default();
    values.fold(first, |all, value| Cow::Owned(format!("{all}{separator}{value}")))
}

/// Why a return value is not a valid response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid scf response format: {0}")]
pub struct InvalidFormat(String);

/// Creates the response of a return value: an object with a `statusCode` describes one; any other
/// JSON is the body of a 200.
pub fn response(returned: &str) -> Result<Response<Bytes>, InvalidFormat> {
    let value: Value = serde_json::from_str(returned)
        .map_err(|error| InvalidFormat(format!("the return value is not JSON ({error})")))?;
    match value {
        Value::Object(fields) if fields.contains_key("statusCode") => described(fields),
        _ => Ok(with_type(Response::new(Bytes::copy_from_slice(returned.as_bytes())))),
    }
}

fn described(mut fields: Map<String, Value>) -> Result<Response<Bytes>, InvalidFormat> {
    let status = status_of(fields.get("statusCode").unwrap_or(&Value::Null))?;
    let encoded = match fields.get("isBase64Encoded") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(InvalidFormat("isBase64Encoded is not true or false".to_owned())),
    };
    let body = match fields.remove("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if encoded => {
            BASE64.decode(text).map_err(|_| InvalidFormat("body is not base64".to_owned()))?.into()
        }
        Some(Value::String(text)) => Bytes::from(text),
        Some(_) => return Err(InvalidFormat("body is not a string; write an object as JSON text".to_owned())),
    };
    let mut response = Response::new(if may_have_body(status) { body } else { Bytes::new() });
    *response.status_mut() = status;
    if let Some(headers) = fields.get("headers").filter(|headers| !headers.is_null()) {
        *response.headers_mut() = headers_of(headers)?;
    }
    Ok(if may_have_body(status) { with_type(response) } else { response })
}

fn status_of(value: &Value) -> Result<StatusCode, InvalidFormat> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        // Some frameworks' adapters write it as a string.
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (200..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or_else(|| InvalidFormat(format!("statusCode {value} is not a number from 200 to 599")))
}

fn may_have_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

fn headers_of(value: &Value) -> Result<HeaderMap, InvalidFormat> {
    let Value::Object(fields) = value else {
        return Err(InvalidFormat("headers is not an object".to_owned()));
    };
    let mut headers = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| InvalidFormat(format!("{name:?} is not a header name")))?;
        if is_of_the_connection(&header) {
            continue;
        }
        let values = match value {
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            headers.append(header.clone(), header_value(name, value)?);
        }
    }
    Ok(headers)
}

fn header_value(name: &str, value: &Value) -> Result<HeaderValue, InvalidFormat> {
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Number(_) | Value::Bool(_) => Cow::Owned(value.to_string()),
        _ => return Err(InvalidFormat(format!("header {name:?} is not a string or a list of strings"))),
    };
    HeaderValue::from_str(&text).map_err(|_| InvalidFormat(format!("the value of header {name:?} cannot be sent")))
}

/// Whether a header frames the message or controls the connection, which the gateway does.
fn is_of_the_connection(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn with_type(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().entry(CONTENT_TYPE).or_insert(JSON);
    response
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event_of(headers: &[(&'static str, &'static str)], body: &[u8]) -> Value {
        let headers = headers.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        let call = Call {
            method: &Method::POST,
            path: "/a%20b",
            query: "x=1&x=2&y=%2B",
            headers: &headers,
            body,
            remote: [192, 0, 2, 1].into(),
        };
        serde_json::from_slice(&event(call)).expect("JSON")
    }

    #[test]
    fn a_request_becomes_an_event() {
        let headers = [
            ("host", "h"),
            ("accept", "a"),
            ("accept", "b"),
            ("cookie", "c=1"),
            ("cookie", "d=2"),
            ("x-scf-remote-addr", "forged"),
        ];
        assert_eq!(
            event_of(&headers, "grüße".as_bytes()),
            json!({
                "body": "grüße",
                "headers": {"host": "h", "accept": "a, b", "cookie": "c=1; d=2", "x-scf-remote-addr": "192.0.2.1"},
                "httpMethod": "POST",
                "path": "/a%20b",
                "queryString": {"x": ["1", "2"], "y": "+"},
            })
        );
    }

    #[test]
    fn a_body_of_bytes_is_in_base64_and_marked() {
        let event = event_of(&[], &[0xff, 0x00]);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }

    /// Status, headers and body of a response in one line, or the error.
    fn answered(returned: &str) -> String {
        match response(returned) {
            Ok(response) => {
                let headers: Vec<_> = response
                    .headers()
                    .iter()
                    .map(|(n, v)| format!("{n}={}", String::from_utf8_lossy(v.as_bytes())))
                    .collect();
                let body = String::from_utf8_lossy(response.body()).into_owned();
                format!("{} [{}] {body}", response.status().as_u16(), headers.join(" "))
            }
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn json_without_a_status_is_the_body_of_a_200() {
        for returned in [r#"{"a":  1}"#, "[1,2]", "\"text\"", "null", "3"] {
            assert_eq!(answered(returned), format!("200 [content-type=application/json] {returned}"));
        }
    }

    #[test]
    fn an_object_with_a_status_describes_the_answer() {
        for (returned, expected) in [
            (json!({"statusCode": 201, "body": "b"}), "201 [content-type=application/json] b"),
            (json!({"statusCode": "404"}), "404 [content-type=application/json] "),
            (
                json!({"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": "<p>"}),
                "200 [content-type=text/html] <p>",
            ),
            (
                json!({"statusCode": 200, "headers": {"set-cookie": ["a=1", "b=2"], "x-n": 5, "content-type": "t/t"}}),
                "200 [content-type=t/t set-cookie=a=1 set-cookie=b=2 x-n=5] ",
            ),
            (
                json!({"statusCode": 200, "headers": {"Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "x"}}),
                "200 [content-type=application/json] ",
            ),
            (
                json!({"statusCode": 200, "isBase64Encoded": true, "body": "aGk="}),
                "200 [content-type=application/json] hi",
            ),
            (json!({"statusCode": 204, "body": "dropped"}), "204 [] "),
            (json!({"statusCode": 200, "headers": null, "body": null}), "200 [content-type=application/json] "),
        ] {
            assert_eq!(answered(&returned.to_string()), expected, "{returned}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_refused_with_the_field() {
        for (returned, expected) in [
            ("not json", "the return value is not JSON (expected ident at line 1 column 2)"),
            (r#"{"statusCode":99}"#, "statusCode 99 is not a number from 200 to 599"),
            (r#"{"statusCode":200.5}"#, "statusCode 200.5 is not a number from 200 to 599"),
            (r#"{"statusCode":{}}"#, "statusCode {} is not a number from 200 to 599"),
            (r#"{"statusCode":200,"body":{}}"#, "body is not a string; write an object as JSON text"),
            (r#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#, "body is not base64"),
            (r#"{"statusCode":200,"isBase64Encoded":"yes"}"#, "isBase64Encoded is not true or false"),
            (r#"{"statusCode":200,"headers":[]}"#, "headers is not an object"),
            (r#"{"statusCode":200,"headers":{"a b":"c"}}"#, "\"a b\" is not a header name"),
            (r#"{"statusCode":200,"headers":{"a":{}}}"#, "header \"a\" is not a string or a list of strings"),
            (r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#, "the value of header \"a\" cannot be sent"),
        ] {
            assert_eq!(answered(returned), format!("! Invalid scf response format: {expected}"), "{returned}");
        }
    }

    proptest! {
        #[test]
        fn no_return_value_panics(returned in "\\PC{0,200}") {
            let _ = response(&returned);
        }

        #[test]
        fn every_body_can_be_read_back_from_its_event(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let event = event_of(&[], &body);
            let text = event["body"].as_str().expect("text");
            let read = if event["isBase64Encoded"] == json!(true) {
                BASE64.decode(text).expect("base64")
            } else {
                text.as_bytes().to_vec()
            };
            prop_assert_eq!(read, body);
        }
    }
}
