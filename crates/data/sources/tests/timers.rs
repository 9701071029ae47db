//! Timers over a real store and a real queue, under clocks that the tests set.
#![allow(clippy::unwrap_used)] // Tests may unwrap.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use events::{Attempt, BoxFuture, Events, InvokeType, Outcome, Run};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sources::{Clock, Config, Sources, Timers};
use store::{NewFunction, NewTrigger, Store, TriggerChange, TriggerName};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use types::{
    FunctionKey, FunctionKind, ImageSpec, ImageType, Qualifier, RunStatus, Trigger, TriggerOptions, VersionSpec,
};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Records the events that run; those of the function `full` wait for a permit.
struct Seen(Mutex<Vec<Attempt>>, Arc<Semaphore>);

impl Run for Seen {
    fn run(&self, attempt: Attempt) -> BoxFuture<Outcome> {
        let held = attempt.address.function.name.as_str() == "full";
        self.0.lock().push(attempt);
        let outcome = Outcome {
            status: RunStatus::Success,
            ret_msg: String::new(),
            error_message: None,
            retry_after: None,
            web: None,
            exit: None,
        };
        let permits = Arc::clone(&self.1);
        Box::pin(async move {
            if held {
                permits.acquire().await.unwrap().forget();
            }
            outcome
        })
    }
}

/// A platform of only a store, a queue and timers.
struct Platform {
    store: Store,
    events: Events,
    seen: Arc<Seen>,
    /// The time of the timers' clock, Unix milliseconds.
    now_ms: Arc<AtomicI64>,
    stop: CancellationToken,
    timers: Vec<Timers>,
    folder: TempDir,
}

fn key() -> FunctionKey {
    key_of("hello")
}

fn key_of(function: &str) -> FunctionKey {
    FunctionKey { namespace: "default".parse().unwrap(), name: function.parse().unwrap() }
}

fn name(name: &str) -> TriggerName {
    TriggerName { kind: "timer".to_owned(), name: name.to_owned(), qualifier: Qualifier::LATEST }
}

fn desc(cron: &str) -> Map<String, Value> {
    json!({ "cron": cron }).as_object().unwrap().clone()
}

fn function(name: &str) -> NewFunction {
    let image = ImageSpec {
        image_type: ImageType::Personal,
        uri: "localhost/hello:v1".to_owned(),
        registry_id: None,
        command: None,
        args: None,
        accelerate: false,
        port: 9000,
    };
    let spec = VersionSpec {
        image,
        memory_mb: 128,
        timeout_s: 3,
        init_timeout_s: 90,
        description: String::new(),
        environment: Vec::new(),
        concurrency: None,
        carried: Map::new(),
        extras: types::Extras::default(),
    };
    let kind = FunctionKind::Event;
    NewFunction { key: key_of(name), kind, protocol: None, async_run: false, trace: false, tags: Vec::new(), spec }
}

/// A full hour well after triggers that are created now.
fn next_hour_ms() -> i64 {
    (real_now_ms() / HOUR_MS + 2) * HOUR_MS
}

/// The hour of the day in UTC+8. Schedules of one hour have no missed time before it.
fn in_china(at_ms: i64) -> i64 {
    (at_ms / HOUR_MS + 8) % 24
}

fn real_now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

impl Platform {
    /// A platform with a function, whose timers' clock starts at `now_ms`.
    async fn start(now_ms: i64) -> Self {
        let folder = TempDir::new().unwrap();
        let platform = Self::open(folder, now_ms).await;
        platform.store.create_function(function("hello")).await.unwrap();
        platform
    }

    async fn open(folder: TempDir, now_ms: i64) -> Self {
        Self::open_with(folder, now_ms, events::Config::default()).await
    }

    async fn open_with(folder: TempDir, now_ms: i64, config: events::Config) -> Self {
        let store = Store::open(&folder.path().join("sampan.db"), store::Config::default()).await.unwrap();
        let seen = Arc::new(Seen(Mutex::default(), Arc::new(Semaphore::new(0))));
        let queue = folder.path().join("events.db");
        let events = Events::open(queue, seen.clone(), config).await.unwrap();
        let now_ms = Arc::new(AtomicI64::new(now_ms));
        let (stop, timers) = (CancellationToken::new(), Vec::new());
        Self { store, events, seen, now_ms, stop, timers, folder }
    }

    /// Another scheduler, whose clock is behind by `behind_ms`.
    fn run_timers(&mut self, behind_ms: i64) {
        self.run_timers_with(behind_ms, Config { timer_sleep_ms_max: 5, ..Config::default() });
    }

    fn run_timers_with(&mut self, behind_ms: i64, config: Config) {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Clock::of(move || now_ms.load(Ordering::SeqCst) - behind_ms);
        let sources = Sources::new(config);
        self.timers.push(Timers::start(sources, self.store.clone(), self.events.clone(), clock, self.stop.clone()));
    }

    async fn create(&self, trigger: &str, cron: &str) -> Arc<Trigger> {
        self.create_with("hello", trigger, cron, TriggerOptions::default()).await
    }

    async fn create_with(&self, function: &str, trigger: &str, cron: &str, options: TriggerOptions) -> Arc<Trigger> {
        let new = NewTrigger {
            key: key_of(function),
            name: name(trigger),
            desc: desc(cron),
            options,
            enabled: true,
            custom_argument: "hi".to_owned(),
            description: String::new(),
        };
        self.store.create_trigger(new).await.unwrap()
    }

    fn set_clock(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Times of the events that ran, in order.
    fn times(&self) -> Vec<i64> {
        let time = |attempt: &Attempt| {
            let event: Value = serde_json::from_slice(&attempt.payload).unwrap();
            event["Time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
        };
        let mut times: Vec<i64> = self.seen.0.lock().iter().map(time).collect();
        times.sort_unstable();
        times
    }

    /// Waits until the events of these times ran, and no other.
    async fn until(&self, times: &[i64]) {
        let reached = tokio::time::timeout(Duration::from_secs(60), async {
            while self.times() != times {
                assert!(self.times().len() <= times.len(), "{:?} instead of {times:?}", self.times());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(reached.await.is_ok(), "{:?} instead of {times:?}", self.times());
    }

    /// Stops it, and keeps the data on disk.
    async fn stop(self) -> TempDir {
        self.stop.cancel();
        for timers in &self.timers {
            timers.join().await;
        }
        assert!(self.events.drain(Duration::from_secs(20)).await);
        self.store.close().await;
        self.folder
    }
}

#[tokio::test]
async fn a_time_becomes_an_event_of_the_contract() {
    let hour = next_hour_ms();
    let mut platform = Platform::start(hour - MINUTE_MS).await;
    let made = platform.create("tick", &format!("0 0 {} * * * *", in_china(hour))).await;
    platform.run_timers(0);
    platform.set_clock(hour + 20);
    platform.until(&[hour]).await;
    let attempt = platform.seen.0.lock()[0].clone();
    let time = jiff::Timestamp::from_millisecond(hour).unwrap().to_string();
    let expected = json!({"Type": "Timer", "TriggerName": "tick", "Time": time, "Message": "hi"});
    assert_eq!(serde_json::from_slice::<Value>(&attempt.payload).unwrap(), expected);
    assert_eq!((attempt.invoke_type, &attempt.address.qualifier), (InvokeType::Timer, &made.qualifier));
    platform.stop().await;
}

#[tokio::test]
async fn two_schedulers_on_one_store_run_each_time_once() {
    let hour = next_hour_ms();
    let mut platform = Platform::start(hour - MINUTE_MS).await;
    for trigger in ["a", "b"] {
        platform.create(trigger, &format!("* {} * * *", in_china(hour))).await;
    }
    platform.run_timers(0);
    platform.run_timers(2_000);
    let mut expected = Vec::new();
    for minute in 0..10 {
        let at_ms = hour + minute * MINUTE_MS;
        expected.extend([at_ms, at_ms]);
        platform.set_clock(at_ms);
        platform.until(&expected).await;
        // The other one's clock reaches the same time.
        platform.set_clock(at_ms + 2_000);
    }
    // The later one has taken its last time too, and found the event there, before its clock shows
    // the next minute.
    let last = hour + 10 * MINUTE_MS;
    platform.set_clock(last + 2_000);
    expected.extend([last, last]);
    platform.until(&expected).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    platform.until(&expected).await;
    platform.stop().await;
}

#[tokio::test]
async fn what_came_while_the_platform_was_down_is_made_up_for_once() {
    let hour = next_hour_ms();
    let mut platform = Platform::start(hour).await;
    platform.create("tick", "* * * * *").await;
    platform.run_timers(0);
    platform.until(&[hour]).await;
    let folder = platform.stop().await;

    // Within the same minute: it has come already.
    let mut again = Platform::open(folder, hour + 30_000).await;
    again.run_timers(0);
    again.set_clock(hour + MINUTE_MS);
    again.until(&[hour + MINUTE_MS]).await;
    let folder = again.stop().await;

    // 101 minutes later: one, and then every minute.
    let late = hour + 102 * MINUTE_MS;
    let mut later = Platform::open(folder, late + 30_000).await;
    later.run_timers(0);
    later.until(&[late]).await;
    later.set_clock(late + MINUTE_MS);
    later.until(&[late, late + MINUTE_MS]).await;
    later.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_makes_no_burst_and_no_pause() {
    let hour = next_hour_ms();
    let mut platform = Platform::start(hour).await;
    platform.create("tick", "*/5 * * * *").await;
    platform.run_timers(0);
    platform.until(&[hour]).await;
    // An hour forward.
    platform.set_clock(hour + HOUR_MS + 1);
    platform.until(&[hour, hour + HOUR_MS]).await;
    // Two hours back: the next time by the new clock comes.
    platform.set_clock(hour - HOUR_MS + 1);
    let soon = hour - HOUR_MS + 5 * MINUTE_MS;
    // One pass at the new time, so that the next step does not skip it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    platform.set_clock(soon);
    platform.until(&[soon, hour, hour + HOUR_MS]).await;
    platform.stop().await;
}

#[tokio::test]
async fn times_of_a_clock_that_was_wrong_by_hours_come_again() {
    let hour = next_hour_ms();
    let mut platform = Platform::start(hour + 10 * HOUR_MS - MINUTE_MS).await;
    platform.create("tick", "0 * * * *").await;
    platform.run_timers(0);
    let wrong = hour + 10 * HOUR_MS;
    // The last one is within the deadline, and was missed.
    platform.until(&[wrong - HOUR_MS]).await;
    platform.set_clock(wrong);
    platform.until(&[wrong - HOUR_MS, wrong]).await;
    platform.set_clock(hour + HOUR_MS / 2);
    tokio::time::sleep(Duration::from_millis(50)).await;
    platform.set_clock(wrong - HOUR_MS);
    platform.until(&[wrong - HOUR_MS, wrong - HOUR_MS, wrong]).await;
    platform.set_clock(wrong);
    platform.until(&[wrong - HOUR_MS, wrong - HOUR_MS, wrong, wrong]).await;
    platform.stop().await;
}

#[tokio::test]
async fn triggers_that_are_paused_edited_or_gone_are_followed_while_it_runs() {
    let hour = next_hour_ms();
    let mut platform = Platform::start(hour - MINUTE_MS).await;
    platform.run_timers(0);
    let hours = format!("{},{} * * * *", in_china(hour), in_china(hour + HOUR_MS));
    platform.create("a", &format!("0 0 {hours}")).await;
    platform.create("b", &format!("0 1 {hours}")).await;
    platform.create("c", &format!("0 2 {hours}")).await;
    let pause = TriggerChange { enabled: Some(false), ..TriggerChange::default() };
    platform.store.change_trigger(&key(), &name("a"), pause).await.unwrap();
    let desc = desc(&format!("0 3 {hours}"));
    let edit = TriggerChange { desc: Some((desc, TriggerOptions::default())), ..TriggerChange::default() };
    platform.store.change_trigger(&key(), &name("b"), edit).await.unwrap();
    platform.store.delete_trigger(&key(), &name("c")).await.unwrap();
    for minute in 0..=3 {
        platform.set_clock(hour + minute * MINUTE_MS);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    platform.until(&[hour + 3 * MINUTE_MS]).await;
    let id = platform.store.begin_delete(&key()).await.unwrap();
    platform.store.finish_delete(&id).await.unwrap();
    platform.set_clock(hour + HOUR_MS + 3 * MINUTE_MS);
    tokio::time::sleep(Duration::from_millis(50)).await;
    platform.until(&[hour + 3 * MINUTE_MS]).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_trigger_makes_no_more_events_in_a_minute_than_it_may() {
    let hour = next_hour_ms();
    let mut platform = Platform::start(hour - MINUTE_MS).await;
    let options = TriggerOptions { rate_per_minute: Some(2), ..TriggerOptions::default() };
    platform.create_with("hello", "limited", &format!("* * {} * * * *", in_china(hour)), options).await;
    platform.create("after", &format!("5 0 {} * * * *", in_china(hour))).await;
    platform.run_timers(0);
    for second in 0..6 {
        platform.set_clock(hour + second * 1000);
        // The times come one by one, not as one that was missed.
        platform
            .until(&[hour, hour + 1000, hour + 5000][..(second as usize + 1).min(2) + usize::from(second == 5)])
            .await;
    }
    platform.set_clock(hour + MINUTE_MS);
    platform.until(&[hour, hour + 1000, hour + 5000, hour + MINUTE_MS]).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_function_whose_queue_is_full_delays_no_other_and_has_one_tick_waiting() {
    let hour = next_hour_ms();
    let config = events::Config { function_rows_max: 1, ..events::Config::default() };
    let mut platform = Platform::open_with(TempDir::new().unwrap(), hour - MINUTE_MS, config).await;
    let cron = format!("* {} * * *", in_china(hour));
    for name in ["full", "hello"] {
        platform.store.create_function(function(name)).await.unwrap();
        platform.create_with(name, "tick", &cron, TriggerOptions::default()).await;
    }
    platform.run_timers_with(0, Config { timer_sleep_ms_max: 5, timer_commits_max: 1, ..Config::default() });
    let mut expected = vec![hour, hour];
    platform.set_clock(hour);
    platform.until(&expected).await;
    for minute in 1..=3 {
        expected.push(hour + minute * MINUTE_MS);
        platform.set_clock(hour + minute * MINUTE_MS);
        platform.until(&expected).await;
    }
    platform.seen.1.add_permits(100);
    expected.push(hour + 3 * MINUTE_MS);
    platform.until(&expected).await;
    platform.stop().await;
}
