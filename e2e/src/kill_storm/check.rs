//! Checks after a restart.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Found;
use super::acknowledged::Acknowledged;
use super::load::{EVENT, WEB};
use crate::{Platform, disk, wait};

/// Log records older than this at the kill must be on disk: the writer flushes every 20 ms, and
/// later on a busy machine.
const LOGGED_AFTER: Duration = Duration::from_millis(500);
/// Number of newest events checked after each restart.
const EVENTS_LOOKED_FOR: usize = 5;
/// Page size of listings, the API's maximum.
const PAGE_LEN: usize = 100;
/// Number of newest published versions checked by name.
const VERSIONS_LOOKED_FOR: usize = 30;

/// Checks everything that was acknowledged.
pub async fn after_start(
    platform: &Platform,
    known: &Acknowledged,
    killed: Instant,
    found: &mut Found,
) -> anyhow::Result<()> {
    let there = functions(platform).await?;
    let exists = |name: &str| there.iter().any(|function| function["FunctionName"] == name);
    let (created, deleted) = known.with(|state| (state.created.clone(), std::mem::take(&mut state.deleted)));
    found.lost.extend(created.iter().filter(|name| !exists(name)).map(|name| format!("function {name}")));
    for name in deleted {
        gone(platform, &name, found).await;
    }
    values(platform, known, found).await?;
    versions(platform, known, found).await?;
    whole(platform, found).await?;
    // An operation that the kill interrupted may have taken effect or not.
    let there = functions(platform).await?;
    let names = there.iter().filter_map(|function| function["FunctionName"].as_str());
    let strays: Vec<String> = names.filter(|name| name.starts_with('t')).map(str::to_owned).collect();
    known.with(|state| state.created.extend(strays));
    logs(platform, known, killed, found).await
}

/// All functions, in pages: interrupted operations leave many.
async fn functions(platform: &Platform) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let page = json!({"Orderby": "FunctionName", "Order": "ASC", "Offset": all.len(), "Limit": PAGE_LEN});
        let answer = platform.api.call("ListFunctions", page).await?;
        let page = answer["Functions"].as_array().cloned().unwrap_or_default();
        let is_last = page.len() < PAGE_LEN;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// Checks that a function whose deletion was acknowledged disappears soon.
async fn gone(platform: &Platform, name: &str, found: &mut Found) {
    let what = format!("{name} is gone");
    let looked = wait::until(&what, || async {
        let answer = platform.api.response("GetFunction", &json!({"FunctionName": name})).await?;
        Ok(answer["Error"]["Code"].as_str().is_some_and(|code| code.contains("NotFound")).then_some(()))
    });
    if looked.await.is_err() {
        found.half_made.push(format!("function {name} was deleted and is there"));
    }
}

/// Checks that each function has the last acknowledged value, or one attempted later.
async fn values(platform: &Platform, known: &Acknowledged, found: &mut Found) -> anyhow::Result<()> {
    for name in WEB {
        let function = platform.api.call("GetFunction", json!({"FunctionName": name})).await?;
        let variables = function["Environment"]["Variables"].as_array().cloned().unwrap_or_default();
        let value = variables.iter().find(|variable| variable["Key"] == "N").and_then(|n| n["Value"].as_str());
        let value: Option<u64> = value.and_then(|value| value.parse().ok());
        known.with(|state| {
            let (acknowledged, tried) = state.values.entry(name.to_owned()).or_default();
            match value {
                Some(value) if value == *acknowledged || tried.contains(&value) => *acknowledged = value,
                other => {
                    found.lost.push(format!("{name} has N={other:?}, acknowledged {acknowledged}, tried {tried:?}"))
                }
            }
            tried.clear();
        });
    }
    Ok(())
}

async fn versions(platform: &Platform, known: &Acknowledged, found: &mut Found) -> anyhow::Result<()> {
    let published = known.with(|state| state.published.clone());
    for (name, numbers) in published {
        // Newest first: a lost version was published by the last load, or the count is too small.
        let answer = platform.api.call("ListVersionByFunction", json!({"FunctionName": name, "Limit": 100})).await?;
        let listed = answer["FunctionVersion"].as_array().into_iter().flatten();
        let there: Vec<u64> = listed.filter_map(|version| version.as_str()?.parse().ok()).collect();
        let newest = numbers.iter().rev().take(VERSIONS_LOOKED_FOR);
        let lost = newest.filter(|number| !there.contains(number));
        found.lost.extend(lost.map(|number| format!("version {number} of {name}")));
        if answer["TotalCount"].as_u64().unwrap_or_default() <= numbers.len() as u64 {
            found.lost.push(format!("{name} has {} versions, {} were published", answer["TotalCount"], numbers.len()));
        }
        if let Some(number) = numbers.last() {
            let answer = platform.get(&format!("{name}:{number}"), "/").await?.status().as_u16();
            if answer != 200 {
                found.wrong.push(format!("version {number} of {name} answers {answer}"));
            }
        }
    }
    Ok(())
}

/// Checks that every function becomes active, or has a reason for its failure.
async fn whole(platform: &Platform, found: &mut Found) -> anyhow::Result<()> {
    let settled = wait::until("no function is half-made", || async {
        let there = functions(platform).await?;
        let half: Vec<String> = there
            .iter()
            .filter(|function| {
                !["Active", "CreateFailed", "UpdateFailed"].contains(&function["Status"].as_str().unwrap_or(""))
            })
            .map(|function| format!("{}: {}", function["FunctionName"], function["Status"]))
            .collect();
        Ok(half.is_empty().then_some(there))
    });
    match settled.await {
        Ok(functions) => {
            for function in functions.iter().filter(|function| function["Status"] != "Active") {
                let name = function["FunctionName"].clone();
                let answer = platform.api.call("GetFunction", json!({"FunctionName": name})).await?;
                found.half_made.push(format!("{name} is {}: {}", answer["Status"], answer["StatusReasons"]));
            }
        }
        Err(error) => found.half_made.push(error.to_string()),
    }
    for name in WEB {
        let status = platform.get(name, "/").await?.status().as_u16();
        if status != 200 {
            found.wrong.push(format!("{name} answers {status} after a start"));
        }
    }
    Ok(())
}

/// Checks that events that ended long enough before the kill are in the log.
async fn logs(platform: &Platform, known: &Acknowledged, killed: Instant, found: &mut Found) -> anyhow::Result<()> {
    let ended = known.with(|state| std::mem::take(&mut state.events));
    let due = ended.iter().rev().filter(|(_, at)| killed.saturating_duration_since(*at) > LOGGED_AFTER);
    for (id, _) in due.take(EVENTS_LOOKED_FOR) {
        let body = json!({"FunctionName": EVENT, "FunctionRequestId": id});
        let answer = platform.api.call("GetFunctionLogs", body).await?;
        if answer["Data"][0]["InvokeFinished"] != 1 {
            found.lost.push(format!("log of event {id}: {}", answer["Data"]));
        }
    }
    Ok(())
}

/// Checks that every image file matches its digest, and that there are no drafts.
pub async fn content(platform: &Platform, found: &mut Found) -> anyhow::Result<()> {
    if let Err(error) = disk::blobs_are_whole(&platform.data_dir()) {
        found.half_made.push(format!("{error:#}"));
    }
    if let Err(error) = disk::no_drafts(platform).await {
        found.half_made.push(format!("{error:#}: {:?}", disk::drafts(&platform.data_dir())));
    }
    Ok(())
}
