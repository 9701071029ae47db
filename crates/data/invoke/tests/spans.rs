//! Spans of invocations in the platform's log. The only test of its process, because `tracing`
//! caches the interest in a call site for all threads, by the subscriber of the first one.

#[allow(dead_code)] // The fixtures of the other tests.
#[path = "invoke/server.rs"]
mod server;
#[allow(dead_code)] // As above.
#[path = "invoke/support.rs"]
mod support;

use std::io::{self, Write};
use std::sync::Arc;

use invoke::Config;
use parking_lot::Mutex;
use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;
use types::RequestId;

use support::{Bench, EVENT, WEB};

/// The log output.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log of a web request and an event at a level, and their ids.
async fn log_at(level: Level) -> (String, [RequestId; 2]) {
    let written = Written::default();
    let writer = written.clone();
    let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_span_events(FmtSpan::CLOSE);
    let _logging = tracing::subscriber::set_default(log.with_writer(move || writer.clone()).finish());
    let bench = Bench::new(Config::default(), &[WEB, EVENT]).await;
    let web = RequestId::random();
    drop(bench.get_as(web.clone(), WEB, "/headers").await);
    let event = bench.event("{}").await.request_id;
    let log = String::from_utf8(written.0.lock().clone()).expect("text");
    (log, [web, event])
}

#[tokio::test]
async fn invocations_have_spans_at_debug_and_none_at_the_default_level() {
    let (log, _) = log_at(Level::INFO).await;
    assert!(!log.contains("invoke{"), "{log}");
    let (log, ids) = log_at(Level::DEBUG).await;
    for (id, name) in ids.iter().zip([WEB, EVENT]) {
        let name = name.name;
        let span = format!("invoke{{request={id} function=default/{name} instance=i-");
        assert!(log.contains(&span), "{span}: {log}");
    }
}
