//! The load: one task per kind of operation, each sequential until the platform is gone.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::acknowledged::Acknowledged;
use crate::{ApiClient, Platform, images, tools};

/// Permanent functions whose settings change.
pub const WEB: [&str; 3] = ["w0", "w1", "w2"];
/// The function that receives events.
pub const EVENT: &str = "event";
/// Allowed statuses of calls while versions change and the platform starts.
const EXPECTED: [u16; 4] = [200, 429, 432, 449];

/// Connection of the load to a platform that is killed and restarted in the meantime.
#[derive(Clone)]
struct Target {
    api: ApiClient,
    http: reqwest::Client,
    gateway: String,
    registry: String,
    known: Arc<Acknowledged>,
}

/// The tasks of a load.
pub struct Loads(JoinSet<()>);

impl Loads {
    /// Waits until all tasks have seen that the platform is gone.
    pub async fn stopped(mut self) {
        // Responses in flight are still received; a client waiting for one gets an error.
        while self.0.join_next().await.is_some() {}
    }
}

/// Creates the permanent functions.
pub async fn prepare(platform: &Platform, known: &Acknowledged) -> anyhow::Result<()> {
    platform.push_hello().await?;
    for name in WEB {
        platform.deploy(name, "hello:v1", &["--env", "N=0", "--timeout", "30"]).await?;
        known.with(|state| state.values.insert(name.to_owned(), (0, Default::default())));
    }
    platform.deploy(EVENT, "hello:v1", &["--type", "event"]).await.map(drop)
}

/// Starts all tasks.
pub fn start(platform: &Platform, known: &Arc<Acknowledged>) -> Loads {
    let target = Target {
        api: platform.api.clone(),
        http: platform.http.clone(),
        gateway: platform.gateway.clone(),
        registry: platform.registry().to_owned(),
        known: known.clone(),
    };
    let mut tasks = JoinSet::new();
    for name in WEB {
        tasks.spawn(changes(target.clone(), name));
        tasks.spawn(calls(target.clone(), name));
    }
    tasks.spawn(publishes(target.clone(), WEB[0]));
    tasks.spawn(comes_and_goes(target.clone()));
    tasks.spawn(events(target.clone()));
    tasks.spawn(pushes(target, platform.cli(&["push"])));
    Loads(tasks)
}

impl Target {
    /// Returns the API's response, errors included; `None` when the platform is gone.
    async fn ask(&self, action: &str, body: Value) -> Option<Value> {
        let answer = self.api.response(action, &body).await.ok()?;
        if let Some(code) = answer["Error"]["Code"].as_str()
            && code.starts_with("InternalError")
        {
            self.known.wrong(format!("{action} {body}: {}", answer["Error"]));
        }
        Some(answer)
    }
}

fn is_done(answer: &Value) -> bool {
    answer["Error"].is_null()
}

async fn changes(target: Target, name: &'static str) {
    loop {
        let value = target.known.next();
        target.known.with(|state| state.values.entry(name.to_owned()).or_default().1.insert(value));
        let variables = json!([{"Key": "N", "Value": value.to_string()}]);
        let body = json!({"FunctionName": name, "Environment": {"Variables": variables}});
        let Some(answer) = target.ask("UpdateFunctionConfiguration", body).await else { return };
        target.known.with(|state| {
            let (_, tried) = state.values.entry(name.to_owned()).or_default();
            if !is_done(&answer) {
                tried.remove(&value);
            }
        });
        if is_done(&answer) {
            target.known.done(|state| {
                let (acknowledged, tried) = state.values.entry(name.to_owned()).or_default();
                *acknowledged = value;
                tried.clear();
            });
        }
    }
}

async fn publishes(target: Target, name: &'static str) {
    loop {
        let Some(answer) = target.ask("PublishVersion", json!({"FunctionName": name})).await else { return };
        match answer["FunctionVersion"].as_str().and_then(|version| version.parse().ok()) {
            Some(version) => target.known.done(|state| {
                state.published.entry(name.to_owned()).or_default().insert(version);
            }),
            // The function is being updated: retry.
            None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

async fn comes_and_goes(target: Target) {
    loop {
        let name = format!("t{}", target.known.next());
        // Half of the functions use a tag that was pushed in this storm.
        let pushed =
            target.known.with(|state| state.pushed.last().cloned()).filter(|_| name.ends_with(['0', '2', '4']));
        let image = pushed.unwrap_or_else(|| "hello:v1".to_owned());
        let code =
            json!({"ImageConfig": {"ImageType": "personal", "ImageUri": format!("{}/{image}", target.registry)}});
        let body = json!({"FunctionName": name, "Type": "HTTP", "Code": code});
        let Some(answer) = target.ask("CreateFunction", body).await else { return };
        if !is_done(&answer) {
            target.known.wrong(format!("CreateFunction {name} of {image}: {}", answer["Error"]));
            continue;
        }
        target.known.done(|state| {
            state.created.insert(name.clone());
        });
        // The deletion is lost when the platform is killed first.
        loop {
            let oldest = || target.known.with(|state| state.created.pop_first());
            let Some(oldest) = target.known.with(|state| state.created.len() > 6).then(oldest).flatten() else { break };
            let Some(answer) = target.ask("DeleteFunction", json!({"FunctionName": oldest})).await else { return };
            if is_done(&answer) {
                target.known.done(|state| {
                    state.deleted.insert(oldest);
                });
            } else {
                target.known.with(|state| state.created.insert(oldest));
                break;
            }
        }
    }
}

async fn events(target: Target) {
    loop {
        let request = json!({"FunctionName": EVENT, "ClientContext": "{\"n\":1}"});
        let Some(answer) = target.ask("Invoke", request).await else { return };
        let result = &answer["Result"];
        if let (true, Some(id)) = (result["InvokeResult"] == 0, result["FunctionRequestId"].as_str()) {
            let event = (id.to_owned(), Instant::now());
            target.known.answered();
            target.known.with(|state| state.events.push(event));
        }
    }
}

async fn calls(target: Target, name: &'static str) {
    let url = format!("{}/fn/default/{name}/", target.gateway);
    loop {
        let Ok(answer) = target.http.get(&url).send().await else { return };
        let status = answer.status().as_u16();
        // An aborted response is due to the kill.
        let Ok(text) = answer.text().await else { return };
        match status {
            200 => target.known.answered(),
            status if EXPECTED.contains(&status) => {}
            status => {
                target.known.wrong(format!("GET {name}: {status} {}", text.chars().take(300).collect::<String>()))
            }
        }
    }
}

async fn pushes(target: Target, mut push: tokio::process::Command) {
    let number = target.known.next();
    let Ok(folder) = images::hello_folder() else { return };
    if folder.write("number", number.to_string().as_bytes()).is_err() {
        return;
    }
    let tag = format!("hello:p{number:06}");
    push.arg("--from-dir").arg(folder.path()).args(["--entrypoint", "/hello"]).arg(&tag);
    // A failed push is due to the kill; a rejected one shows at the next deploy of the tag.
    if tools::run(&mut push).await.is_ok_and(|said| said.ok) {
        target.known.done(|state| {
            state.pushed.insert(tag);
        });
    }
}
