//! `sampan logs`: the newest lines of a function; with `--follow` also new ones.
//!
//! Each line of the text form begins with its time, stream and origin, so that output cannot
//! imitate a line of the platform.

use std::time::Duration;

use serde_json::{Value, json};
use types::wire::{GetLogLinesAnswer, GetLogLinesRequest, LogLine};

use crate::args::{Connection, LogsArgs, Output};
use crate::client::Client;
use crate::{local_time, output, print, terminal};

/// Polling interval of `--follow`.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(300);
/// Most lines of one query with `--follow`.
const FOLLOW_LINES_MAX: i64 = 10_000;
/// Characters of an id that are shown; `--instance` accepts such a prefix.
const ID_CHARS: usize = 10;

/// Prints the logs.
pub async fn run(connection: &Connection, args: LogsArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let mut request = GetLogLinesRequest {
        function_name: Some(args.name),
        namespace: Some(args.namespace),
        function_request_id: args.request_id,
        instance_id: args.instance,
        failed: args.failed,
        start_time_ms: args.since.map(|since| since.unix_ms(now_ms)),
        end_time_ms: args.until.map(|until| until.unix_ms(now_ms)),
        limit: Some(i64::from(args.limit)),
        ..GetLogLinesRequest::default()
    };
    let mut page = ask(&client, &request).await?;
    if page.more && page.lines.len() < args.limit as usize {
        eprintln!("older lines, if there are any, are not shown: [logs] newest_scan_bytes_max and page_log_bytes_max");
    }
    loop {
        for line in &page.lines {
            show(line, format, args.raw)?;
        }
        if !args.follow {
            return Ok(());
        }
        if request.after.is_none() || !page.more {
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
        (request.after, request.limit) = (Some(page.next), Some(FOLLOW_LINES_MAX));
        page = ask(&client, &request).await?;
    }
}

/// Prints the newest lines of an invocation to standard error, in the text form.
pub async fn of_request(client: &Client, name: &str, namespace: &str, id: &str, limit: i64) -> anyhow::Result<()> {
    let request = GetLogLinesRequest {
        function_name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        function_request_id: Some(id.to_owned()),
        limit: Some(limit),
        ..GetLogLinesRequest::default()
    };
    for line in ask(client, &request).await?.lines {
        eprintln!("{}", text(&line, false));
    }
    Ok(())
}

async fn ask(client: &Client, request: &GetLogLinesRequest) -> anyhow::Result<GetLogLinesAnswer> {
    let answer = client.call_extension("GetLogLines", &serde_json::to_value(request)?).await?;
    Ok(serde_json::from_value(answer)?)
}

fn show(line: &LogLine, format: Output, raw: bool) -> anyhow::Result<()> {
    match format {
        Output::Json => output::json(&document(line)),
        Output::Text if raw => {
            print::bytes(format!("{}\n", text(line, raw)).as_bytes());
            Ok(())
        }
        Output::Text => {
            println!("{}", text(line, raw));
            Ok(())
        }
    }
}

fn document(line: &LogLine) -> Value {
    json!({
        "time": local_time::rfc3339(line.time_ms), "stream": line.stream, "request_id": line.request_id,
        "instance": line.instance_id, "version": line.version, "text": line.text,
    })
}

/// Time, stream, prefix of the id of the request or the instance, and the text.
fn text(line: &LogLine, raw: bool) -> String {
    let id = line.request_id.as_ref().or(line.instance_id.as_ref()).map_or("", String::as_str);
    let id: String = id.chars().take(ID_CHARS).collect();
    let text = if raw { line.text.as_str().into() } else { terminal::line(&line.text) };
    format!("{} {:8} {id:ID_CHARS$} {text}", local_time::rfc3339(line.time_ms), line.stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stream: &str, text: &str) -> LogLine {
        LogLine {
            time_ms: 0,
            stream: stream.to_owned(),
            request_id: None,
            instance_id: Some("i-0123456789abcdef0123456789abcdef".to_owned()),
            version: "$LATEST".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn output_cannot_imitate_a_line_of_the_platform() {
        let forged = "x\r2026-11-28T08:15:00.250+01:00 platform i-01234567 END RequestId:1\u{1b}[1A";
        let shown = text(&line("stdout", forged), false);
        let behind_time = shown.split_once(' ').map(|(_, rest)| rest).unwrap_or_default();
        assert_eq!(
            behind_time,
            "stdout   i-01234567 x\\r2026-11-28T08:15:00.250+01:00 platform i-01234567 END RequestId:1\\x1b[1A"
        );
        assert!(text(&line("stdout", forged), true).ends_with(forged));
    }

    #[test]
    fn a_document_has_the_unchanged_text() {
        let document = document(&line("stderr", "\u{1b}[31m"));
        assert_eq!((&document["stream"], &document["text"]), (&json!("stderr"), &json!("\u{1b}[31m")));
        assert!(document.to_string().contains("\\u001b[31m"));
    }
}
