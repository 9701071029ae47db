//! Calls a web function through the gateway and prints its answer.

use std::io::IsTerminal;
use std::time::Instant;

use anyhow::Context;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use types::RunStatus;

use crate::args::{InvokeArgs, Output};
use crate::client::Client;
use crate::commands::invoke_async;
use crate::failure::{Exit, Failure};
use crate::terminal::Escaper;
use crate::{output, print};

/// Calls a web function and prints its answer.
pub(super) async fn call(
    client: &Client,
    args: &InvokeArgs,
    (name, qualifier): (&str, &str),
    data: Option<Vec<u8>>,
    format: Output,
) -> anyhow::Result<()> {
    let gateway = client.health().await?.gateway;
    let path = args.path.as_deref().unwrap_or_default().trim_start_matches('/');
    let qualifier = if qualifier == "$DEFAULT" { String::new() } else { format!(":{qualifier}") };
    let below = if args.asynchronous { "async" } else { "fn" };
    let url = format!("{gateway}/{below}/{}/{name}{qualifier}/{path}", args.namespace);
    let method = args.method.clone().unwrap_or(if data.is_some() { Method::POST } else { Method::GET });
    let mut request = client.http().request(method, url);
    for header in &args.header {
        request = request.header(&header.name, &header.value);
    }
    if args.asynchronous {
        return invoke_async::accept(client, request.body(data.unwrap_or_default()), format).await;
    }
    let started = Instant::now();
    let request = request.body(data.unwrap_or_default()).build().context("the call cannot be made")?;
    let answer = send(client, request).await?;
    let status = answer.status();
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let (request_id, run_status) = (header("x-scf-request-id"), header("x-scf-status"));
    match format {
        Output::Json => print_json(answer, &request_id).await?,
        Output::Text => {
            print_body(answer, args.raw).await?;
            let took_ms = started.elapsed().as_secs_f64() * 1000.0;
            eprintln!("\n{}, {request_id}, {took_ms:.2} ms", named(status, &run_status));
        }
    }
    // The platform's own error answers have a status header; an HTTP error status from the function
    // is not a failure of the command.
    if run_status.is_empty() || run_status == "200" {
        return Ok(());
    }
    let hint = format!("`sampan logs {name} --request-id {request_id}` has its log.");
    let failure =
        Failure::new(Exit::RunFailed, format!("the invocation failed with status {}", run_named(&run_status)), hint);
    Err(failure.with_request_id(request_id).into())
}

/// Prints an answer with its head as one JSON document.
async fn print_json(answer: reqwest::Response, request_id: &str) -> anyhow::Result<()> {
    let status = answer.status().as_u16();
    let headers: Vec<_> = answer
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let body = answer.text().await.context("the answer was truncated")?;
    output::json(&json!({"status": status, "request_id": request_id, "headers": headers, "body": body}))
}

/// Prints the body of an answer as it arrives.
async fn print_body(mut answer: reqwest::Response, raw: bool) -> anyhow::Result<()> {
    let mut escaper = is_escaped(raw, answer.headers()).then(Escaper::default);
    while let Some(chunk) = answer.chunk().await.context("the answer was truncated")? {
        match &mut escaper {
            Some(escaper) => print::bytes(escaper.push(&chunk).as_bytes()),
            None => print::bytes(&chunk),
        }
    }
    print::bytes(escaper.unwrap_or_default().finish().as_bytes());
    Ok(())
}

/// Sends a call, and repeats it signed if the gateway rejected it as unsigned. The function has not
/// received the first one in that case.
async fn send(client: &Client, request: reqwest::Request) -> anyhow::Result<reqwest::Response> {
    let again = request.try_clone().filter(|request| !request.headers().contains_key(AUTHORIZATION));
    let unreachable = "the gateway cannot be reached";
    let answer = client.http().execute(request).await.context(unreachable)?;
    match again {
        Some(request) if wants_signature(answer.status(), answer.headers()) => {
            let request = invoke_async::signed(request, client.key_pair())?;
            client.http().execute(request).await.context(unreachable)
        }
        _ => Ok(answer),
    }
}

/// Whether the gateway rejected an unsigned call. Functions cannot give such an answer, because
/// only the gateway sets the status header.
fn wants_signature(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED
        && headers.get("x-scf-status").is_some_and(|status| !status.is_empty())
        && headers.get(WWW_AUTHENTICATE).is_some_and(|scheme| scheme == "TC3-HMAC-SHA256")
}

/// Whether to print the body of an answer through [`crate::terminal::escaped`]: always on a
/// terminal, and text anywhere. Binary content for a file or a program is unchanged.
fn is_escaped(raw: bool, headers: &HeaderMap) -> bool {
    !raw && (std::io::stdout().is_terminal() || is_text(headers))
}

/// Whether an answer's content type is text or missing.
fn is_text(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = header("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let named = ["json", "xml", "javascript", "yaml", "x-www-form-urlencoded", "x-ndjson"];
    let (main, sub) = media_type.split_once('/').unwrap_or_default();
    let text = main.is_empty()
        || main == "text"
        || named.iter().any(|name| sub == *name || sub.ends_with(&format!("+{name}")));
    text && matches!(header("content-encoding"), "" | "identity")
}

/// A status with its reason: from the contract for a failed invocation, otherwise from HTTP.
fn named(status: StatusCode, run_status: &str) -> String {
    match status.canonical_reason().filter(|_| status.as_str() != run_status) {
        Some(phrase) => format!("{} {phrase}", status.as_u16()),
        None => format!("{} {}", status.as_u16(), RunStatus::reason_phrase(status.as_u16())),
    }
}

/// A status code with its name in the contract.
fn run_named(status: &str) -> String {
    status.parse().map_or_else(|_| status.to_owned(), |code| format!("{status} {}", RunStatus::reason_phrase(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_content_is_not_escaped() {
        let text = |media_type: &str, coding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", media_type.parse().expect("valid"));
            headers.insert("content-encoding", coding.parse().expect("valid"));
            is_text(&headers)
        };
        for media_type in
            ["", "text/html; charset=utf-8", "application/json", "application/problem+json", "image/svg+xml"]
        {
            assert!(text(media_type, ""), "{media_type}");
        }
        for media_type in ["application/octet-stream", "image/png", "application/zip"] {
            assert!(!text(media_type, ""), "{media_type}");
        }
        assert!(!text("text/plain", "gzip"));
    }

    #[test]
    fn statuses_are_shown_with_their_names() {
        let http = |code| StatusCode::from_u16(code).expect("a status");
        assert_eq!(named(http(200), ""), "200 OK");
        assert_eq!(named(http(404), "435"), "404 Not Found");
        assert_eq!(named(http(438), "438"), "438 FunctionStatusError");
        assert_eq!(named(http(406), "406"), "406 RequestTooLarge");
        assert_eq!(run_named("435"), "435 FunctionNotFound");
    }
}
