//! Polled buckets: a store in this process, a real queue, and runs that only record their events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use events::{Attempt, BoxFuture, Events, Outcome, Run};
use object_store::Connection;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sources::{Config, Polling, PollingParts, Sources, description};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use types::{
    AliasMap, Catalog, CatalogFunction, FunctionId, FunctionKey, FunctionKind, FunctionRecord, Installation, Qualifier,
    RunStatus, Status, Trigger, TriggerId, TriggerOptions,
};

/// Longest wait for an expected condition.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A store: its pages of (key, second of the last change).
#[derive(Default)]
struct Bucket {
    pages: Vec<Vec<(String, i64)>>,
    /// Pages from this one on are refused.
    broken_from: Option<usize>,
}

#[derive(Clone, Default)]
struct FakeStore(Arc<Mutex<Bucket>>);

impl FakeStore {
    fn set(&self, pages: &[&[(&str, i64)]], broken_from: Option<usize>) {
        let page = |page: &&[(&str, i64)]| page.iter().map(|(key, second)| ((*key).to_owned(), *second)).collect();
        let mut bucket = self.0.lock();
        (bucket.pages, bucket.broken_from) = (pages.iter().map(page).collect(), broken_from);
    }

    /// Serves until the test ends; returns the address.
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let store = self.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match client.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let answer = store.answer(&String::from_utf8_lossy(&head));
                client.write_all(answer.as_bytes()).await.ok();
            }
        });
        endpoint
    }

    fn answer(&self, head: &str) -> String {
        let token = head.split("continuation-token=").nth(1);
        let digits = token.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        let number: usize = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let bucket = self.0.lock();
        if bucket.broken_from.is_some_and(|from| number >= from) {
            return "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
        }
        let object = |(key, second): &(String, i64)| {
            let time = jiff::Timestamp::from_second(*second).expect("a time");
            format!(
                "<Contents><Key>{key}</Key><LastModified>{time}</LastModified><ETag>e</ETag><Size>1</Size></Contents>"
            )
        };
        let objects: String = bucket.pages.get(number).into_iter().flatten().map(object).collect();
        let more = if number + 1 < bucket.pages.len() {
            format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>", number + 1)
        } else {
            "<IsTruncated>false</IsTruncated>".to_owned()
        };
        let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
        let body = format!("<ListBucketResult xmlns=\"{namespace}\">{objects}{more}</ListBucketResult>");
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }
}

/// Records the payload of each event.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Value>>>);

impl Run for Notes {
    fn run(&self, attempt: Attempt) -> BoxFuture<Outcome> {
        let notes = self.0.clone();
        Box::pin(async move {
            notes.lock().push(serde_json::from_slice(&attempt.payload).unwrap_or_default());
            let status = RunStatus::Success;
            Outcome { status, ret_msg: String::new(), error_message: None, exit: None, retry_after: None, web: None }
        })
    }
}

impl Notes {
    fn keys(&self) -> Vec<String> {
        let key =
            |event: &Value| event.pointer("/Records/0/cos/cosObject/key").and_then(Value::as_str).map(str::to_owned);
        let mut keys: Vec<String> = self.0.lock().iter().filter_map(key).collect();
        keys.sort();
        keys
    }
}

struct Fixture {
    store: FakeStore,
    notes: Notes,
    parts: PollingParts,
    trigger: TriggerId,
    _dir: TempDir,
}

/// 2024-05-01 10:00:00: when the trigger was created.
const MADE: i64 = 1_714_557_600;

impl Fixture {
    async fn start() -> Self {
        let (store, notes, dir) = (FakeStore::default(), Notes::default(), tempfile::tempdir().expect("a folder"));
        let run = Arc::new(notes.clone());
        let events =
            Events::open(dir.path().join("events.db"), run, events::Config::default()).await.expect("it opens");
        let connection = Connection {
            endpoint: store.serve().await,
            region: "r".to_owned(),
            access_key: "AK".to_owned(),
            secret_key: Some("SK".to_owned()),
            secret_key_file: None,
            path_style: true,
        };
        let trigger = trigger();
        let parts = PollingParts {
            sources: Sources::new(Config::default()),
            catalog: Arc::new(ArcSwap::from_pointee(catalog(trigger.clone()))),
            events,
            connections: Arc::new(BTreeMap::from([("store".to_owned(), connection)])),
            installation: Installation { region: "r".to_owned(), app_id: "1".to_owned(), uin: "1".to_owned() },
        };
        Self { store, notes, parts, trigger: trigger.id.clone(), _dir: dir }
    }

    /// Polls until `done`, as a platform that is started and stopped does.
    async fn look_until(&self, done: impl Fn() -> bool) {
        let stop = CancellationToken::new();
        let polling = Polling::start(self.parts.clone(), stop.clone());
        let wait = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, wait).await.expect("it comes");
        stop.cancel();
        polling.join().await;
    }

    /// Polls until the mark is set.
    async fn until_marked(&self) -> i64 {
        let stop = CancellationToken::new();
        let polling = Polling::start(self.parts.clone(), stop.clone());
        let wait = async {
            loop {
                match self.mark().await {
                    Some(mark) => return mark,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let mark = tokio::time::timeout(WAIT_MAX, wait).await.expect("it comes");
        stop.cancel();
        polling.join().await;
        mark
    }

    async fn mark(&self) -> Option<i64> {
        self.parts.events.mark(self.trigger.as_str()).await.expect("readable")
    }
}

fn trigger() -> Arc<Trigger> {
    let text = json!({"filter": {"Suffix": ".mp4"}, "Poll": {"Connection": "store", "IntervalSeconds": 5}}).to_string();
    let sources =
        Sources::with_connections(Config::default(), BTreeSet::from(["store".to_owned()]), Installation::default());
    let source = sources.find("cos").expect("built");
    let (desc, options) = description::read(source, &text, 4096, 0).expect("a description");
    Arc::new(Trigger {
        id: TriggerId::random(),
        kind: "cos".to_owned(),
        name: "films".to_owned(),
        qualifier: Qualifier::LATEST,
        desc,
        options,
        enabled: true,
        custom_argument: String::new(),
        description: String::new(),
        since_ms: MADE * 1000,
        added_ms: MADE * 1000,
        modified_ms: MADE * 1000,
    })
}

fn catalog(trigger: Arc<Trigger>) -> Catalog {
    let key = FunctionKey { namespace: "default".parse().expect("valid"), name: "film".parse().expect("valid") };
    let record = FunctionRecord {
        id: FunctionId::random(),
        key: key.clone(),
        kind: FunctionKind::Event,
        protocol: None,
        async_run: false,
        trace: false,
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    };
    let function = CatalogFunction {
        record: Arc::new(record),
        status: Status::Active,
        versions: BTreeMap::new(),
        aliases: AliasMap::default(),
        reserved_mb: None,
        provisioned: BTreeMap::new(),
        event_invoke: Default::default(),
        triggers: vec![trigger],
    };
    Catalog { revision: 1, functions: [(key, Arc::new(function))].into_iter().collect(), ..Catalog::default() }
}

#[tokio::test]
async fn the_mark_moves_only_after_a_full_pass_and_nothing_is_made_twice() {
    let fixture = Fixture::start().await;
    let (store, notes) = (&fixture.store, &fixture.notes);
    // The second page fails: events of the first one are created, and the mark is unchanged.
    store.set(&[&[("a.mp4", MADE + 100), ("b.txt", MADE + 100)], &[("c.mp4", MADE + 50)]], Some(1));
    fixture.look_until(|| notes.keys().len() == 1).await;
    assert_eq!((notes.keys(), fixture.mark().await), (vec!["/1/films/a.mp4".to_owned()], None));
    // The next pass, of another process, reads to the end.
    store.set(&[&[("a.mp4", MADE + 100), ("b.txt", MADE + 100)], &[("c.mp4", MADE + 50), ("old.mp4", MADE - 1)]], None);
    assert_eq!(fixture.until_marked().await, (MADE + 100) * 1000);
    fixture.look_until(|| notes.keys().len() == 2).await;
    assert_eq!(notes.keys(), ["/1/films/a.mp4", "/1/films/c.mp4"]);
    // Trap 30: another object of the newest second appears.
    store.set(&[&[("a.mp4", MADE + 100), ("d.mp4", MADE + 100)], &[("c.mp4", MADE + 50)]], None);
    fixture.look_until(|| notes.keys().len() == 3).await;
    assert_eq!(notes.keys(), ["/1/films/a.mp4", "/1/films/c.mp4", "/1/films/d.mp4"]);
}

#[tokio::test]
async fn an_object_that_is_written_again_is_an_event_again() {
    let fixture = Fixture::start().await;
    let (store, notes) = (&fixture.store, &fixture.notes);
    store.set(&[&[("a.mp4", MADE + 100)]], None);
    fixture.look_until(|| notes.keys().len() == 1).await;
    store.set(&[&[("a.mp4", MADE + 101)]], None);
    fixture.look_until(|| notes.keys().len() == 2).await;
    assert_eq!(notes.keys(), ["/1/films/a.mp4", "/1/films/a.mp4"]);
}

#[test]
fn a_store_that_is_not_in_the_settings_is_refused_at_creation() {
    let sources =
        Sources::with_connections(Config::default(), BTreeSet::from(["store".to_owned()]), Installation::default());
    let read = |text: &str| description::read(sources.find("cos").expect("built"), text, 4096, 0);
    let error = read(r#"{"Poll":{"Connection":"other"}}"#).expect_err("unknown").message;
    assert_eq!(
        error,
        "TriggerDesc.Poll.Connection: \"other\" is none of [connections] in the settings; there are: store"
    );
    let (desc, options) = read(r#"{"Poll":{"Connection":"store"},"rate_per_minute":60}"#).expect("known");
    assert_eq!(desc["Poll"], json!({"Connection": "store"}));
    assert_eq!(options, TriggerOptions { rate_per_minute: Some(60), ..TriggerOptions::default() });
}
