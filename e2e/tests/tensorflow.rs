//! The scenario of `examples/tensorflow`: a SavedModel of TensorFlow behind the REST API of
//! TensorFlow Serving, in an image of 1.6 GB, with provisioned instances and a burst of calls.
//! Needs `mmdebstrap`, and pip.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{Platform, leftovers, scenes, tools, wait};
use serde_json::{Value, json};

/// Number of provisioned instances of the version.
const PROVISIONED: u32 = 2;
/// Timeout of the provisioned starts: each instance loads TensorFlow.
const READY_MAX: Duration = Duration::from_secs(240);
/// Number of concurrent calls in the burst.
const BURST: usize = 200;

async fn start() -> anyhow::Result<Platform> {
    let root = scenes::root("tensorflow")?;
    let platform = Platform::start_with(&[("SAMPAN_POOL__KEEP_IDLE_S", "2")]).await?;
    let push = platform.push_folder(&root, &["python3", "/srv/server.py"], "tensorflow:v1");
    scenes::timed("tensorflow, push of the image", push).await?;
    let flags = ["--memory", "1024", "--cpu", "2", "--concurrency", "8", "--timeout", "120", "--init-timeout", "240"];
    let flags = [&flags[..], &["--no-start-check", "--env", "TF_CPP_MIN_LOG_LEVEL=2"]].concat();
    scenes::timed("tensorflow, deploy of it", platform.deploy("half", "tensorflow:v1", &flags)).await?;
    Ok(platform)
}

/// Status and body of a POST to the model.
async fn post(platform: &Platform, function: &str, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
    let url = platform.url(function, path);
    let answer = platform.http.post(url).json(body).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn get(platform: &Platform, function: &str, path: &str) -> anyhow::Result<(u16, Value)> {
    let answer = platform.get(function, path).await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn until_provisioned(platform: &Platform) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_MAX;
    loop {
        let state = platform.api.call("GetProvisionedConcurrencyConfig", json!({"FunctionName": "half"})).await?;
        if state["Allocated"][0]["Status"] == "Done" {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the provisioned instances are not ready: {state}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_model_answers_as_tensorflow_serving_does_cold_provisioned_and_in_a_burst() -> anyhow::Result<()> {
    let platform = start().await?;
    answers_as_tensorflow_serving(&platform).await?;
    scenes::print_cold_start(&platform, "half").await?;

    platform.cli_json(&["publish", "half"]).await?;
    tools::run_ok(&mut platform.cli(&["provision", "half:1", "--number", &PROVISIONED.to_string()])).await?;
    scenes::timed("tensorflow, provisioned instances", until_provisioned(&platform)).await?;
    // The instance of the first calls, which is not provisioned, has ended.
    let cgroup = platform.cgroup_name();
    let instances = || leftovers::processes(&cgroup);
    let two = async || Ok((instances().len() == PROVISIONED as usize).then(instances));
    let ready = wait::until("only the provisioned instances are left", two).await?;
    let body = json!({"instances": [1.0, 2.0, 5.0]});
    let path = "/v1/models/half_plus_two:predict";
    let first = scenes::timed("tensorflow, first answer of a provisioned one", post(&platform, "half:1", path, &body));
    ensure!(first.await? == (200, json!({"predictions": [2.5, 3.0, 4.5]})));
    ensure!(instances() == ready, "the call started none");
    scenes::timed("tensorflow, burst of 200 calls at once", burst(&platform)).await?;
    ensure!(ready.iter().all(|id| instances().contains(id)), "the burst ended none of them");
    platform.stop().await
}

/// Checks the first responses; the first call is a cold start, and the server listens only after
/// the model is loaded.
async fn answers_as_tensorflow_serving(platform: &Platform) -> anyhow::Result<()> {
    let path = "/v1/models/half_plus_two:predict";
    let predict = async |body: Value| post(platform, "half", path, &body).await;
    let rows = predict(json!({"instances": [1.0, 2.0, 5.0]}));
    let answer = scenes::timed("tensorflow, cold start and first answer", rows).await?;
    ensure!(answer == (200, json!({"predictions": [2.5, 3.0, 4.5]})), "{answer:?}");
    let answer = predict(json!({"inputs": {"x": [0.0]}, "signature_name": "serving_default"})).await?;
    ensure!(answer == (200, json!({"outputs": [2.0]})), "{answer:?}");
    for wrong in [
        json!({"instances": ["a"]}),
        json!({}),
        json!({"instances": [1], "inputs": [1]}),
        json!({"inputs": {"z": [1]}}),
        json!({"instances": [1], "signature_name": "none"}),
    ] {
        let (status, said) = predict(wrong.clone()).await?;
        ensure!(status == 400 && said["error"].is_string(), "{wrong}: {status} {said}");
    }
    let (status, said) = get(platform, "half", "/v1/models/half_plus_two").await?;
    let version = &said["model_version_status"][0];
    ensure!(status == 200 && version["version"] == "1" && version["state"] == "AVAILABLE", "{said}");
    let (_, said) = get(platform, "half", "/v1/models/half_plus_two/versions/1/metadata").await?;
    let signature = &said["metadata"]["signature_def"]["signature_def"]["serving_default"];
    ensure!(signature["inputs"]["x"]["dtype"] == "DT_FLOAT", "{said}");
    ensure!(signature["outputs"]["y"]["tensor_shape"]["dim"][0]["size"] == "-1", "{said}");
    for path in ["/v1/models/other", "/v1/models/half_plus_two/versions/2"] {
        let (status, said) = get(platform, "half", path).await?;
        ensure!(status == 404 && said["error"].is_string(), "{path}: {status} {said}");
    }
    Ok(())
}

/// Checks that each of many concurrent calls gets the response to its own input.
async fn burst(platform: &Platform) -> anyhow::Result<()> {
    let calls = (0..BURST).map(|n| {
        let x = f64::from(u32::try_from(n).unwrap_or_default());
        let body = json!({"instances": [x]});
        async move { anyhow::Ok((x, post(platform, "half:1", "/v1/models/half_plus_two:predict", &body).await?)) }
    });
    for (x, answer) in futures_util::future::try_join_all(calls).await? {
        ensure!(answer == (200, json!({"predictions": [x / 2.0 + 2.0]})), "{x}: {answer:?}");
    }
    Ok(())
}
