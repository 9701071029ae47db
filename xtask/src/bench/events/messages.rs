//! Complete requests, signed once. A signature is valid for minutes and may be sent repeatedly.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use signature::tc3;

/// The key pair of a platform.
pub struct Pair {
    pub secret_id: String,
    pub secret_key: String,
}

fn now_s() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}

fn text(line: &str, host: &str, headers: &[(&str, String)], body: &str) -> Vec<u8> {
    let mut request = format!("{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    format!("{request}\r\n{body}").into_bytes()
}

/// A call of `/async/`, due after `delay_s` seconds.
pub fn asynchronous(pair: &Pair, host: &str, delay_s: u32, event: &str) -> anyhow::Result<Vec<u8>> {
    let path = "/async/default/event";
    let mut headers = tc3::sign_http(&tc3::HttpRequest {
        secret_id: &pair.secret_id,
        secret_key: &pair.secret_key,
        method: "POST",
        host,
        path,
        query: "",
        content_type: "application/json",
        timestamp_s: now_s()?,
        body: event.as_bytes(),
    });
    headers.push(("x-delay-seconds", delay_s.to_string()));
    Ok(text(&format!("POST {path}"), host, &headers, event))
}

/// A call of `Invoke` with `InvocationType=Event`.
pub fn invoke(pair: &Pair, host: &str, event: &str) -> anyhow::Result<Vec<u8>> {
    let body = json!({"FunctionName": "event", "InvocationType": "Event", "ClientContext": event}).to_string();
    let headers = tc3::sign(&tc3::Request {
        secret_id: &pair.secret_id,
        secret_key: &pair.secret_key,
        product: tc3::SCF,
        host,
        action: "Invoke",
        region: "local",
        timestamp_s: now_s()?,
        body: body.as_bytes(),
    });
    Ok(text("POST /", host, &headers, &body))
}
