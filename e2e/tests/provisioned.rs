//! Provisioned instances: ready before the first call, replaced when they end, and ready again
//! after a restart.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, leftovers, tools, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A web function with version 1.
async fn with_version() -> anyhow::Result<Platform> {
    with_version_and(&[]).await
}

async fn with_version_and(settings: &[(&str, &str)]) -> anyhow::Result<Platform> {
    let platform = Platform::start_with(settings).await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--memory", "128", "--concurrency", "4", "--no-start-check"]).await?;
    platform.cli_json(&["publish", "web"]).await?;
    Ok(platform)
}

async fn provision(platform: &Platform, number: u32) -> anyhow::Result<()> {
    let put = json!({"FunctionName": "web", "Qualifier": "1", "VersionProvisionedConcurrencyNum": number});
    platform.api.call("PutProvisionedConcurrencyConfig", put).await.map(drop)
}

async fn state(platform: &Platform) -> anyhow::Result<Value> {
    let answer = platform.api.call("GetProvisionedConcurrencyConfig", json!({"FunctionName": "web"})).await?;
    Ok(answer["Allocated"][0].clone())
}

async fn until_done(platform: &Platform) -> anyhow::Result<()> {
    wait::until("all instances are ready", || async { Ok((state(platform).await?["Status"] == "Done").then_some(())) })
        .await
}

fn instances(platform: &Platform) -> Vec<u32> {
    leftovers::processes(&platform.cgroup_name())
}

/// The records of version 1 in the function's log, newest first.
async fn log(platform: &Platform) -> anyhow::Result<Vec<Value>> {
    let query = json!({"FunctionName": "web", "Qualifier": "1", "Limit": 100});
    let answer = platform.api.call("GetFunctionLogs", query).await?;
    Ok(answer["Data"].as_array().cloned().unwrap_or_default())
}

fn lines(record: &Value) -> &str {
    record["Log"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn provisioned_instances_start_before_the_first_call_and_are_logged() -> anyhow::Result<()> {
    let platform = with_version().await?;
    provision(&platform, 2).await?;
    until_done(&platform).await?;
    let ready = state(&platform).await?;
    assert_eq!((&ready["Qualifier"], &ready["AvailableProvisionedConcurrencyNum"]), (&json!("1"), &json!(2)));
    let before = instances(&platform);
    assert_eq!(before.len(), 2);
    assert!(platform.get("web:1", "/").await?.status().is_success());
    assert_eq!(instances(&platform), before, "the call started none");
    let records = wait::until("the log has all three", || async {
        let records = log(&platform).await?;
        Ok((records.len() == 3).then_some(records))
    })
    .await?;
    let with = |text: &str| records.iter().filter(|record| lines(record).contains(text)).count();
    assert_eq!((with("Provisioned Report RequestId: "), with("Init Report"), with("START RequestId:")), (2, 0, 1));
    platform.stop().await
}

#[tokio::test]
async fn provisioned_instances_are_replaced_after_a_kill_of_theirs_or_the_platforms() -> anyhow::Result<()> {
    let mut platform = with_version().await?;
    provision(&platform, 2).await?;
    until_done(&platform).await?;
    let before = instances(&platform);
    let victim = i32::try_from(before[0]).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(victim, Signal::KILL)?;
    let replaced = || async {
        let now = instances(&platform);
        Ok((now.len() == 2 && !now.contains(&before[0])).then_some(()))
    };
    wait::until("it is replaced", replaced).await?;
    platform.kill().await?;
    let platform = platform.restart().await?;
    until_done(&platform).await?;
    let warm = instances(&platform);
    assert!(platform.get("web:1", "/").await?.status().is_success());
    assert_eq!(instances(&platform), warm);
    platform.stop().await
}

#[tokio::test]
async fn deprovisioned_instances_stop_and_a_provisioned_version_cannot_be_deleted() -> anyhow::Result<()> {
    let platform = with_version().await?;
    let named = json!({"FunctionName": "web", "Qualifier": "1"});
    provision(&platform, 1).await?;
    until_done(&platform).await?;
    let (code, _) = platform.api.refused("DeleteFunctionVersion", named.clone()).await?;
    assert_eq!(code, "FailedOperation.ProvisionedInProgress");
    let usage = platform.api.call("GetAccount", json!({})).await?;
    assert_eq!(usage["AccountUsage"]["Namespace"][0]["TotalAllocatedProvisionedMem"], 128);
    platform.api.call("DeleteProvisionedConcurrencyConfig", named.clone()).await?;
    assert_eq!(state(&platform).await?, Value::Null);
    platform.api.call("DeleteFunctionVersion", named).await?;
    wait::until("no instance is left", || async { Ok(instances(&platform).is_empty().then_some(())) }).await?;
    let table = [
        (json!({"Qualifier": "$LATEST", "VersionProvisionedConcurrencyNum": 1}), "InvalidParameterValue.Qualifier"),
        (json!({"Qualifier": "7", "VersionProvisionedConcurrencyNum": 1}), "ResourceNotFound.FunctionVersion"),
        (json!({"Qualifier": "7"}), "MissingParameter"),
        (
            json!({"Qualifier": "7", "VersionProvisionedConcurrencyNum": 1001}),
            "LimitExceeded.FunctionTotalProvisionedConcurrencyNum",
        ),
        (
            json!({
                "Qualifier": "7", "VersionProvisionedConcurrencyNum": 0,
                "TriggerActions": [{"TriggerName": "a", "TriggerProvisionedConcurrencyNum": 1, "TriggerCronConfig": "* * *"}],
            }),
            "InvalidParameterValue.TriggerCronConfig",
        ),
    ];
    for (mut request, code) in table {
        request["FunctionName"] = "web".into();
        let (refused, message) = platform.api.refused("PutProvisionedConcurrencyConfig", request.clone()).await?;
        assert_eq!(refused, code, "{request}: {message}");
    }
    platform.stop().await
}

#[tokio::test]
async fn provisioning_beyond_the_quota_is_refused_with_the_available_amount() -> anyhow::Result<()> {
    let platform = with_version().await?;
    platform.cli_json(&["quota", "web", "--reserved", "300"]).await?;
    let put = json!({"FunctionName": "web", "Qualifier": "1", "VersionProvisionedConcurrencyNum": 3});
    let (code, message) = platform.api.refused("PutProvisionedConcurrencyConfig", put).await?;
    assert_eq!(code, "FailedOperation.ProvisionedExceedReserved");
    assert!(message.contains("384 MB") && message.contains("300 MB"), "{message}");
    provision(&platform, 2).await?;
    until_done(&platform).await?;
    let mut tccli = tools::command(&tools::python().with_file_name("tccli").display().to_string());
    tccli.args(["scf", "GetProvisionedConcurrencyConfig", "--FunctionName", "web", "--endpoint", &platform.control]);
    tccli.env("TENCENTCLOUD_SECRET_ID", &platform.api.secret_id);
    tccli.env("TENCENTCLOUD_SECRET_KEY", &platform.api.secret_key);
    tccli.env("TENCENTCLOUD_REGION", "local").env("HOME", platform.work_dir());
    let said: Value = serde_json::from_str(&tools::run_ok(&mut tccli).await?)?;
    assert_eq!((&said["UnallocatedConcurrencyNum"], &said["Allocated"][0]["Status"]), (&json!(0), &json!("Done")));
    platform.stop().await
}

#[tokio::test]
async fn scheduled_actions_change_the_number_of_instances() -> anyhow::Result<()> {
    let platform = with_version_and(&[("SAMPAN_POOL__KEEP_IDLE_S", "1")]).await?;
    // Even and odd seconds: after either schedule the other one follows within a second.
    let shown = platform
        .cli_json(&["provision", "web:1", "--number", "0", "--at", "1-59/2 * * * * * *=2", "--at", "*/2 * * * * * *=1"])
        .await?;
    assert_eq!(shown["provisioned"][0]["TriggerActions"][0]["TriggerProvisionedConcurrencyNum"], 2, "{shown}");
    let wants = |number: u64| {
        let platform = &platform;
        async move {
            wait::until("the action is in force", || async {
                Ok((state(platform).await?["AllocatedProvisionedConcurrencyNum"] == number).then_some(()))
            })
            .await
        }
    };
    wants(2).await?;
    wants(1).await?;
    wait::until("its instances are there", || async { Ok((!instances(&platform).is_empty()).then_some(())) }).await?;
    platform.cli_json(&["provision", "web:1", "--off"]).await?;
    wait::until("they are gone", || async { Ok(instances(&platform).is_empty().then_some(())) }).await?;
    platform.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn target_tracking_provisions_more_instances_under_load() -> anyhow::Result<()> {
    let platform = with_version().await?;
    let tracked = ["provision", "web:1", "--utilization", "0.5", "--min", "1", "--max", "3"];
    platform.cli_json(&tracked).await?;
    until_done(&platform).await?;
    assert_eq!(state(&platform).await?["AllocatedProvisionedConcurrencyNum"], 1);
    // Four concurrent calls are twice the target of half an instance.
    let calls = (0..4).map(|_| platform.get("web:1", "/sleep?3000"));
    for answer in futures_util::future::join_all(calls).await {
        assert!(answer?.status().is_success());
    }
    wait::until("there is one more", || async {
        Ok((state(&platform).await?["AllocatedProvisionedConcurrencyNum"] == 2).then_some(()))
    })
    .await?;
    until_done(&platform).await?;
    platform.stop().await
}
