//! `bench timers`: delay from a timer's due time to the commit of its event, with 10,000 timers
//! spread over a minute, and with 10,000 in one second.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use serde_json::json;

use super::api::Api;
use super::{Extent, binaries};
use crate::quickstart::Up;

/// The platform's metric: delay from a timer's due time to the commit of its event.
const DELAYS: &str = "sampan_timer_commit_delay_seconds";
/// The distributions.
pub const PARTS: [&str; 2] = ["minute", "second"];
/// Number of functions among which the timers are distributed.
const FUNCTIONS: usize = 100;
const TIMERS: usize = 10_000;
/// Number of timers created first, to estimate the creation time of the others; they are never due.
const PROBES: usize = 100;
/// Fewest seconds between the last creation and the minute in which the timers are due; half of the
/// expected creation time is added.
const QUIET_S: u64 = 5;
/// Timeout until functions are active, and until the last timer is committed.
const WAIT_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(500);

/// Label of a distribution, its goal, and the second of each timer.
type Part = (&'static str, &'static str, fn(usize) -> usize);

/// Measures both distributions, each on its own platform.
pub fn run(root: &Path, extent: &Extent) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello"))?;
    let push = ["push", "--from-dir", &image.display().to_string(), "--entrypoint", "/hello", "hello:v1"];
    let parts: [Part; 2] =
        [("spread over a minute", "goal <= 50 ms", |number| number % 60), ("in one second", "goal <= 1000 ms", |_| 30)];
    for (part, (name, goal, second)) in PARTS.into_iter().zip(parts) {
        if extent.has(part) {
            measure(&sampan, &work.path().join(part), &push, (extent.of(TIMERS), name, goal), second)?;
        }
    }
    Ok(())
}

fn measure(
    sampan: &Path,
    data: &Path,
    push: &[&str],
    (timers, name, goal): (usize, &str, &str),
    second: impl Fn(usize) -> usize,
) -> anyhow::Result<()> {
    let timers_max = (timers + PROBES).div_ceil(FUNCTIONS).to_string();
    // One run at a time: acceptance is measured while the queue is processed.
    let settings = [("SAMPAN_STORE__TRIGGERS_PER_KIND_MAX", timers_max.as_str()), ("SAMPAN_EVENTS__RUNS_MAX", "1")];
    let up = Up::start_with(sampan, data, &settings)?;
    up.client(push)?;
    let mut api = Api::open(&up)?;
    create_functions(&mut api)?;
    let started = Instant::now();
    create(&mut api, "probe", PROBES, |_| "0 0 0 1 1 * 2099".to_owned())?;
    let expected_s = (started.elapsed().as_secs_f64() / PROBES as f64 * timers as f64).ceil() as u64;
    let minute_s = (now_s()? + expected_s + expected_s / 2 + QUIET_S).div_ceil(60) * 60;
    eprintln!("creating {timers} timers, which takes about {expected_s} s; they are due from then to the next minute");
    // Any minute of the hour serves, because the measurement contains only one.
    create(&mut api, "t", timers, |number| format!("{} {} * * * * *", second(number), minute_s / 60 % 60))?;
    let left_s = minute_s.saturating_sub(now_s()?);
    ensure!(left_s > 0, "creating the timers took longer than expected: measure on a machine that does nothing else");
    std::thread::sleep(Duration::from_secs(left_s));
    let metrics = until_committed(&mut api, timers)?;
    let (sum, count) = (value(&metrics, &format!("{DELAYS}_sum "))?, value(&metrics, &format!("{DELAYS}_count "))?);
    println!(
        "{timers} timers {name}, due to commit: {:.1} ms on average, p50 at most {} ms, p99 at most {} ms ({goal})",
        sum / count * 1e3,
        at_most_ms(&metrics, 0.5)?,
        at_most_ms(&metrics, 0.99)?,
    );
    Ok(())
}

fn create(api: &mut Api, name: &str, timers: usize, cron: impl Fn(usize) -> String) -> anyhow::Result<()> {
    for number in 0..timers {
        let timer = json!({
            "FunctionName": function(number % FUNCTIONS), "TriggerName": format!("{name}{number}"), "Type": "timer",
            "TriggerDesc": cron(number),
        });
        api.call("CreateTrigger", &timer)?;
    }
    Ok(())
}

fn create_functions(api: &mut Api) -> anyhow::Result<()> {
    let image = format!("{}/hello:v1", api.host);
    for number in 0..FUNCTIONS {
        let made = json!({
            "FunctionName": function(number), "Type": "Event",
            "Code": {"ImageConfig": {"ImageType": "personal", "ImageUri": image}},
            "Tags": [{"Key": "sampan:start-check", "Value": "off"}],
        });
        api.call("CreateFunction", &made)?;
    }
    let (started, creating) = (Instant::now(), json!({"Filters": [{"Name": "Status", "Values": ["Creating"]}]}));
    while api.call("ListFunctions", &creating)?.1["TotalCount"] != 0 {
        ensure!(started.elapsed() < WAIT_MAX, "functions are still not active");
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Returns the metrics once `wanted` ticks are committed.
fn until_committed(api: &mut Api, wanted: usize) -> anyhow::Result<String> {
    let started = Instant::now();
    api.reconnect()?;
    loop {
        let metrics = api.metrics()?;
        let accepted = value(&metrics, "sampan_timer_ticks_total{outcome=\"accepted\"}").unwrap_or_default();
        if accepted >= wanted as f64 {
            return Ok(metrics);
        }
        ensure!(started.elapsed() < WAIT_MAX, "only {accepted} of {wanted} timers were committed");
        std::thread::sleep(POLL);
    }
}

/// Upper bound of the first bucket that contains this share of all delays, in milliseconds.
fn at_most_ms(metrics: &str, share: f64) -> anyhow::Result<f64> {
    let count = value(metrics, &format!("{DELAYS}_count "))?;
    let buckets = metrics.lines().filter_map(|line| {
        let (bound, within) = line.strip_prefix(DELAYS)?.strip_prefix("_bucket{le=\"")?.split_once("\"}")?;
        Some((bound.parse::<f64>().ok()?, within.trim().parse::<f64>().ok()?))
    });
    let found = buckets.into_iter().find(|(_, within)| *within >= share * count);
    Ok(found.context("the buckets have all delays")?.0 * 1e3)
}

fn value(metrics: &str, name: &str) -> anyhow::Result<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no metric {name}"))?;
    line.trim().parse().with_context(|| format!("{name} is a number"))
}

fn function(number: usize) -> String {
    format!("function-{number}")
}

fn now_s() -> anyhow::Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_with_its_labels() {
        let text = "# TYPE a summary\na{quantile=\"0.5\"} 0.25\na{quantile=\"0.99\"} 2\n";
        assert_eq!(value(text, "a{quantile=\"0.99\"}").expect("there"), 2.0);
        let line = |what: &str| format!("{DELAYS}_{what}\n");
        let lines =
            ["bucket{le=\"0.01\"} 98", "bucket{le=\"0.05\"} 100", "bucket{le=\"+Inf\"} 100", "count 100"].map(line);
        let text = lines.concat();
        assert_eq!((at_most_ms(&text, 0.5).expect("one"), at_most_ms(&text, 0.99).expect("one")), (10.0, 50.0));
        assert!(value(&text, "b").is_err());
    }
}
