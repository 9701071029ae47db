//! `sampan logs`: prints the newest lines of a function, and with `--follow` also new ones.
//!
//! Each line of the text form begins with its time, stream and origin, so that a function's output
//! cannot imitate platform lines.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use types::wire::{GetLogLinesAnswer, GetLogLinesRequest, LogLine};

use crate::args::moment::Moment;
use crate::args::{Connection, LogsArgs, Output};
use crate::client::{self, Client};
use crate::failure::{Exit, Failure};
use crate::{local_time, output, print, terminal};

/// Polling interval of `--follow`.
pub(super) const FOLLOW_INTERVAL: Duration = Duration::from_millis(300);
/// Most lines of one query with `--follow`.
pub(super) const FOLLOW_LINES_MAX: i64 = 10_000;
/// Length of a full request id.
const REQUEST_ID_LEN: usize = 36;
/// Characters of an id that are shown; `--instance` accepts such a prefix.
const ID_CHARS: usize = 10;

/// Prints the logs.
pub async fn run(connection: &Connection, args: LogsArgs, format: Output) -> anyhow::Result<()> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    check_interval(args.since, args.until, now_ms)?;
    let client = Client::new(connection)?;
    let mut request = GetLogLinesRequest {
        function_name: Some(args.name),
        namespace: Some(args.namespace),
        function_request_id: None,
        instance_id: args.instance,
        failed: args.failed,
        start_time_ms: args.since.map(|since| since.unix_ms(now_ms)),
        end_time_ms: args.until.map(|until| until.unix_ms(now_ms)),
        limit: Some(i64::from(args.limit)),
        ..GetLogLinesRequest::default()
    };
    if let Some(id) = args.request_id {
        request.function_request_id = Some(whole_id(&client, &request, id).await?);
    }
    let mut page = query(&client, &request).await?;
    if page.more && page.lines.len() < args.limit as usize {
        eprintln!(
            "older lines may exist and are not shown, by the limits [logs] newest_scan_bytes_max and page_log_bytes_max"
        );
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
        page = query_until_reachable(&client, &request).await?;
    }
}

/// Rejects an empty interval.
fn check_interval(since: Option<Moment>, until: Option<Moment>, now_ms: i64) -> anyhow::Result<()> {
    let (Some(since_ms), Some(until_ms)) = (since.map(|t| t.unix_ms(now_ms)), until.map(|t| t.unix_ms(now_ms))) else {
        return Ok(());
    };
    if since_ms < until_ms {
        return Ok(());
    }
    let [since, until] = [since_ms, until_ms].map(local_time::rfc3339);
    let message = format!("the interval is empty: --since {since} is not before --until {until}");
    Err(Failure::new(Exit::Usage, message, "A time such as 2h is before now: --since 2h --until 1h.").into())
}

/// Queries lines; retries while the platform is unreachable, as during a restart.
pub(super) async fn query_until_reachable(
    client: &Client,
    request: &GetLogLinesRequest,
) -> anyhow::Result<GetLogLinesAnswer> {
    let mut is_away = false;
    loop {
        match query(client, request).await {
            Err(error) if client::is_away(&error) => {
                if !std::mem::replace(&mut is_away, true) {
                    eprintln!("the platform cannot be reached; retrying");
                }
                tokio::time::sleep(FOLLOW_INTERVAL).await;
            }
            answered => return answered,
        }
    }
}

/// Expands a prefix of a request id, by the newest lines that match the other filters.
async fn whole_id(client: &Client, request: &GetLogLinesRequest, begin: String) -> anyhow::Result<String> {
    if begin.len() >= REQUEST_ID_LEN {
        return Ok(begin);
    }
    let request = GetLogLinesRequest { limit: Some(FOLLOW_LINES_MAX), ..request.clone() };
    only_id(&query(client, &request).await?.lines, &begin)
}

fn only_id(lines: &[LogLine], begin: &str) -> anyhow::Result<String> {
    let ids = lines.iter().filter_map(|line| line.request_id.as_deref());
    let found: BTreeSet<&str> = ids.filter(|id| id.starts_with(begin)).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (None, _) => {
            let message = format!("no request whose id begins with {begin} is in the newest lines of the function");
            Err(Failure::new(Exit::NotFound, message, "Give the whole id, which finds older requests too.").into())
        }
        (Some(one), Some(other)) => {
            let message = format!("several requests have ids that begin with {begin}, such as {one} and {other}");
            Err(Failure::new(Exit::Usage, message, "Give more of the id.").into())
        }
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
    for line in query(client, &request).await?.lines {
        eprintln!("{}", text(&line, false));
    }
    Ok(())
}

async fn query(client: &Client, request: &GetLogLinesRequest) -> anyhow::Result<GetLogLinesAnswer> {
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

pub(super) fn document(line: &LogLine) -> Value {
    json!({
        "time": local_time::rfc3339(line.time_ms), "stream": line.stream, "request_id": line.request_id,
        "instance": line.instance_id, "version": line.version, "text": line.text,
    })
}

/// Formats a line: time, stream, prefix of the request's or instance's id, and the text.
fn text(line: &LogLine, raw: bool) -> String {
    let id = line.request_id.as_ref().or(line.instance_id.as_ref()).map_or("", String::as_str);
    let id: String = id.chars().take(ID_CHARS).collect();
    let text = if raw { line.text.as_str().into() } else { terminal::line(&line.text) };
    format!("{} {:8} {id:ID_CHARS$} {text}", local_time::rfc3339(line.time_ms), line.stream)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

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
    fn an_empty_interval_is_refused() {
        let check = |since: &str, until: &str| {
            let moment = |text: &str| Some(text.parse().expect("a time"));
            check_interval(moment(since), moment(until), 1_800_000_000_000)
        };
        assert!(check("2h", "1h").is_ok() && check("2026-11-27", "2026-11-28").is_ok());
        for (since, until) in [("1h", "2h"), ("1h", "1h"), ("2026-11-28", "2026-11-27")] {
            let refused = Failure::of(&check(since, until).expect_err(since));
            assert_eq!(refused.exit(), Exit::Usage);
            assert!(refused.to_string().starts_with("the interval is empty: --since"), "{refused}");
        }
        assert!(check_interval(None, "2h".parse().ok(), 0).is_ok());
    }

    #[test]
    fn the_beginning_of_an_id_is_enough() {
        let of = |id: &str| LogLine { request_id: Some(id.to_owned()), ..line("stdout", "x") };
        let lines = [of("abc1"), of("abc1"), of("abd2"), line("stdout", "outside")];
        assert_eq!(only_id(&lines, "abc").expect("one"), "abc1");
        let exit = |begin: &str| Failure::of(&only_id(&lines, begin).expect_err(begin)).exit();
        assert_eq!((exit("ab"), exit("x")), (Exit::Usage, Exit::NotFound));
    }

    #[tokio::test]
    async fn following_goes_on_when_the_platform_is_back() {
        let port = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound");
        let connection = Connection {
            endpoint: Some(format!("http://{port}")),
            secret_id: Some("id".to_owned()),
            secret_key: Some("key".to_owned()),
            ..Connection::default()
        };
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::new(&connection).expect("a client");
        // No listener: the connection is refused.
        assert!(client::is_away(&query(&client, &GetLogLinesRequest::default()).await.expect_err("nothing listens")));
        let request = GetLogLinesRequest::default();
        let retried = query_until_reachable(&client, &request);
        let back = async {
            let listener = TcpListener::bind(port).await.expect("the port is free again");
            let (mut stream, _) = listener.accept().await.expect("it retries");
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await.expect("a request");
            let body = json!({"Response": {"Lines": [], "Next": "n", "More": false}}).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.expect("the answer is taken");
        };
        let (page, ()) = tokio::join!(retried, back);
        assert_eq!(page.expect("an answer").next, "n");
    }

    #[test]
    fn a_document_has_the_unchanged_text() {
        let document = document(&line("stderr", "\u{1b}[31m"));
        assert_eq!((&document["stream"], &document["text"]), (&json!("stderr"), &json!("\u{1b}[31m")));
        assert!(document.to_string().contains("\\u001b[31m"));
    }
}
