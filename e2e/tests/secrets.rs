//! Secrets: functions receive the values when they start; the values appear nowhere else in clear
//! text.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use e2e::{Platform, leftovers, tools};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value, json};

/// Sets a secret's value from a file, which is then removed.
async fn set(platform: &Platform, name: &str, value: &str, flags: &[&str]) -> anyhow::Result<Value> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), value)?;
    let file = file.path().display().to_string();
    platform.cli_json(&[&["secret", "set", name, "--file", &file], flags].concat()).await
}

async fn body(platform: &Platform, function: &str, path: &str) -> anyhow::Result<String> {
    let answer = platform.get(function, path).await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{path}: {status} {text}");
    Ok(text)
}

#[tokio::test]
async fn a_secret_is_a_variable_of_instances_and_shown_nowhere() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let refused = platform.deploy("web", "hello:v1", &["--secret", "DB_PASSWORD=db"]).await.expect_err("not there");
    ensure!(format!("{refused:#}").contains("sampan secret set"), "{refused:#}");
    let value = "s3cr3t-word$of the database";
    assert_eq!(set(&platform, "db", value, &[]).await?, json!({"version": 1, "restarted": 0}));
    let url = "URL=postgres://app:{{secret:db@1}}@db/app";
    platform.deploy("web", "hello:v1", &["--secret", "DB_PASSWORD=db", "--env", url]).await?;
    assert_eq!(body(&platform, "web", "/env?DB_PASSWORD").await?, value);
    assert_eq!(body(&platform, "web", "/env?URL").await?, format!("postgres://app:{value}@db/app"));
    let shown = platform.cli_json(&["get", "web"]).await?.to_string();
    ensure!(shown.contains("{{secret:db}}") && !shown.contains("s3cr3t-word"), "{shown}");
    let platform = platform.kill_and_restart().await?;
    assert_eq!(body(&platform, "web", "/env?DB_PASSWORD").await?, value, "after a restart");
    e2e::secrecy::ensure_hidden(&platform, &["s3cr3t-word"])?;
    platform.stop().await
}

/// Lines of `/walk`, by name.
async fn listed(platform: &Platform, function: &str, name: &str) -> anyhow::Result<Value> {
    let text = body(platform, function, "/walk?/run/secrets").await?;
    let lines = text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let found = lines.iter().find(|line| line.to_string().contains(&format!("\"{name}\"")));
    found.cloned().with_context(|| format!("{name} is not in {text}"))
}

#[tokio::test]
async fn a_secret_is_a_file_of_the_images_user_in_each_runtime() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_LAUNCHER__RUNTIMES_ALLOWED", "[runc,crun]")]).await?;
    platform.push_hello().await?;
    let folder = e2e::images::hello_folder()?;
    let folder = folder.path().display().to_string();
    let push = ["push", "--from-dir", &folder, "--entrypoint", "/hello", "--user", "1000", "hello:user"];
    tools::run_ok(&mut platform.cli(&push)).await?;
    set(&platform, "db", "first\n", &[]).await?;
    set(&platform, "db", "second\n", &[]).await?;
    for (name, image, flags) in [
        ("root", "hello:v1", &[][..]),
        ("user", "hello:user", &[]),
        ("runc", "hello:user", &["--runtime", "runc", "--memory", "128"]),
        ("crun", "hello:user", &["--runtime", "crun", "--memory", "128"]),
    ] {
        let secrets = ["--secret", "db", "--secret-file", "tls/key.pem=db@1"];
        platform.deploy(name, image, &[&secrets, flags].concat()).await?;
        assert_eq!(body(&platform, name, "/read?/run/secrets/db").await?, "second\n", "{name}");
        assert_eq!(body(&platform, name, "/read?/run/secrets/tls/key.pem").await?, "first\n", "{name}");
        assert!(body(&platform, name, "/write?/run/secrets/new:1").await.is_err(), "{name}");
        let entry = listed(&platform, name, "db").await?;
        let user = if name == "root" { 0 } else { 1000 };
        assert_eq!((&entry["uid"], &entry["gid"]), (&json!(user), &json!(0)), "{name}: {entry}");
        assert_eq!(entry["mode"], "0400", "{name}: {entry}");
        let shown = platform.cli_json(&["get", name]).await?;
        let files = json!([
            {"Path": "/run/secrets/tls/key.pem", "Secret": "db@1"}, {"Path": "/run/secrets/db", "Secret": "db"},
        ]);
        assert_eq!(shown["Sampan"]["SecretFiles"], files, "{name}");
    }
    set(&platform, "db", "third\n", &[]).await?;
    assert_eq!(body(&platform, "user", "/read?/run/secrets/db").await?, "third\n");
    platform.deploy("user", "hello:user", &["--secret-file", ""]).await?;
    assert!(body(&platform, "user", "/read?/run/secrets/db").await.is_err(), "it is taken away");
    platform.stop().await
}

#[tokio::test]
async fn a_new_version_replaces_instances_and_no_request_is_lost() -> anyhow::Result<()> {
    let platform = Arc::new(Platform::start().await?);
    platform.push_hello().await?;
    set(&platform, "db", "1", &[]).await?;
    platform.deploy("web", "hello:v1", &["--secret", "V=db", "--concurrency", "4"]).await?;
    platform.deploy("pinned", "hello:v1", &["--secret", "V=db@1"]).await?;
    assert_eq!(body(&platform, "pinned", "/env?V").await?, "1");
    let ended = Arc::new(AtomicBool::new(false));
    let load = (0..6).map(|_| {
        let (platform, ended) = (platform.clone(), ended.clone());
        tokio::spawn(async move {
            let mut calls = 0;
            while !ended.load(Ordering::Relaxed) {
                let value: u32 = body(&platform, "web", "/env?V").await?.parse()?;
                ensure!((1..=5).contains(&value), "{value}");
                calls += 1;
            }
            anyhow::Ok(calls)
        })
    });
    let load: Vec<_> = load.collect();
    let url = platform.url("web", "/sleep?3000");
    let long = tokio::spawn(platform.http.get(url).send());
    for version in 2..=5 {
        let answer = set(&platform, "db", &version.to_string(), &[]).await?;
        assert_eq!(answer, json!({"version": version, "restarted": 1}), "the one that follows");
        // Starts already under way for earlier requests must not serve these.
        let values = (0..8).map(|_| body(&platform, "web", "/env?V"));
        for value in futures_util::future::try_join_all(values).await? {
            assert_eq!(value, version.to_string(), "a request that came after the answer");
        }
    }
    ended.store(true, Ordering::Relaxed);
    for calls in load {
        let calls: u32 = calls.await??;
        assert!(calls > 0);
    }
    for _ in 0..20 {
        assert_eq!(body(&platform, "web", "/env?V").await?, "5");
    }
    assert_eq!(long.await??.status(), 200, "a request that ran goes on to its end");
    assert_eq!(body(&platform, "pinned", "/env?V").await?, "1");
    Arc::into_inner(platform).context("no task has it any more")?.stop().await
}

#[tokio::test]
async fn a_value_is_only_in_the_sealed_file_and_in_the_instance() -> anyhow::Result<()> {
    const VALUE: &str = "hush-hush-4711-word";
    let platform = Platform::start_with(&[("SAMPAN_LOG", "trace")]).await?;
    platform.push_hello().await?;
    set(&platform, "db", VALUE, &[]).await?;
    platform.deploy("web", "hello:v1", &["--secret", "V=db", "--secret", "db"]).await?;
    assert_eq!(body(&platform, "web", "/env?V").await?, VALUE);
    platform.cli_json(&["publish", "web"]).await?;
    let mut answers = Vec::new();
    for args in [&["get", "web"][..], &["secret", "list"], &["secret", "versions", "db"], &["secret", "audit"]] {
        answers.push(platform.cli_json(args).await?.to_string());
    }
    for (action, request) in [
        ("GetFunction", json!({"FunctionName": "web", "Qualifier": "1"})),
        ("ListFunctions", json!({})),
        ("ListVersionByFunction", json!({"FunctionName": "web"})),
        ("GetFunctionLogs", json!({"FunctionName": "web"})),
    ] {
        answers.push(platform.api.call(action, request).await?.to_string());
    }
    // A failed start, and a rejected command.
    let refused = tools::run(&mut platform.cli(&["deploy", "web", "--command", "/nothing"])).await?;
    answers.push(refused.stderr);
    answers.push(tools::run(&mut platform.cli(&["secret", "delete", "db"])).await?.stderr);
    answers.push(platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?);
    for answer in &answers {
        ensure!(!answer.contains(VALUE), "an answer shows it: {answer}");
    }
    let pid = platform.pid()?;
    let proc = |pid: u32, name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let has = |bytes: &[u8]| bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes());
    ensure!(!has(&proc(pid, "environ")) && !has(&proc(pid, "cmdline")), "the platform's own process shows it");
    let instances = leftovers::processes(&platform.cgroup_name());
    ensure!(instances.iter().all(|pid| !has(&proc(*pid, "cmdline"))), "a command line shows it");
    ensure!(instances.iter().any(|pid| has(&proc(*pid, "environ"))), "the instance itself has it");
    e2e::secrecy::ensure_hidden(&platform, &[VALUE])?;
    platform.stop().await
}

/// Number of occurrences of a text in the writable memory of a process.
async fn times_in_memory(pid: u32, text: &str) -> anyhow::Result<u32> {
    let mut count = tools::command(&tools::python().display().to_string());
    count.arg(tools::workspace().join("e2e/clients/memory_count.py")).args([&pid.to_string(), text]);
    Ok(tools::run_ok(&mut count).await?.trim().parse()?)
}

#[tokio::test]
async fn a_value_does_not_stay_in_the_platforms_memory_and_no_crash_writes_that() -> anyhow::Result<()> {
    const VALUE: &str = "zeroed-0815-word-of-the-database";
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    set(&platform, "db", VALUE, &[]).await?;
    let secrets = ["--secret", "db", "--env", "URL=postgres://app:{{secret:db}}@db/app"];
    platform.deploy("web", "hello:v1", &secrets).await?;
    let pid = platform.pid()?;
    // The start check has passed the value to an instance.
    let instances = leftovers::processes(&platform.cgroup_name());
    let instance = *instances.first().context("the instance of the check")?;
    ensure!(times_in_memory(instance, VALUE).await? > 0, "the look finds what is there");
    assert_eq!(times_in_memory(pid, VALUE).await?, 0);

    let process = Pid::from_raw(i32::try_from(pid)?).context("a process")?;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).context("limits")?;
    assert_eq!(core.split_whitespace().nth(1), Some("1"), "{limits}");
    // Also when the limit is lifted, which some machines deny even to root.
    prlimit(Some(process), Resource::Core, Rlimit { current: None, maximum: None }).ok();
    kill_process(process, Signal::ABORT)?;
    let ended = platform.ended().await?;
    ensure!(ended.signal().is_some() && !ended.core_dumped(), "{ended}");
    let platform = platform.restart().await?;
    platform.stop().await
}

#[tokio::test]
async fn another_key_fails_the_start_and_harms_nothing() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    set(&platform, "db", "kept", &[]).await?;
    platform.deploy("web", "hello:v1", &["--secret", "V=db"]).await?;
    platform.kill().await?;
    let dir = platform.data_dir();
    let (key, data) = (dir.join("secrets.key"), dir.display().to_string());
    let right = fs::read_to_string(&key)?;
    let fails = async |settings: &[(&str, &str)]| {
        let mut up = tools::command(&tools::sampan().display().to_string());
        up.args(["up", "--data-dir", &data, "--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0"]);
        let said = tools::run(up.envs(settings.iter().copied())).await?;
        ensure!(!said.ok, "it came up: {}", said.stdout);
        anyhow::Ok(said.stderr)
    };
    fs::write(&key, "00".repeat(32))?;
    let said = fails(&[]).await?;
    ensure!(said.contains("secret default/db") && said.contains("restore the key"), "{said}");
    fs::remove_file(&key)?;
    let said = fails(&[]).await?;
    ensure!(said.contains("is missing") && said.contains("docs/BACKUP.md") && !key.exists(), "{said}");
    let said = fails(&[("SAMPAN_SECRETS__KEY_COMMAND", "echo no identity >&2; exit 4")]).await?;
    ensure!(said.contains("key_command") && said.contains("no identity"), "{said}");
    fs::write(&key, right)?;
    let platform = platform.restart().await?;
    assert_eq!(body(&platform, "web", "/env?V").await?, "kept");
    platform.stop().await
}

#[tokio::test]
async fn the_key_can_come_from_a_command() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let key = work.path().join("key");
    fs::write(&key, format!("{}\n", "5a".repeat(32)))?;
    let command = format!("cat {}", key.display());
    let platform = Platform::start_with(&[("SAMPAN_SECRETS__KEY_COMMAND", &command)]).await?;
    platform.push_hello().await?;
    set(&platform, "db", "by command", &[]).await?;
    platform.deploy("web", "hello:v1", &["--secret", "V=db"]).await?;
    let platform = platform.restart().await?;
    assert_eq!(body(&platform, "web", "/env?V").await?, "by command");
    ensure!(!platform.data_dir().join("secrets.key").exists(), "no key is on the disk of the data directory");
    platform.stop().await
}

#[tokio::test]
async fn what_is_used_stays_and_the_audit_log_has_who_did_what() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    set(&platform, "db", "one", &[]).await?;
    platform.deploy("web", "hello:v1", &["--secret", "V=db"]).await?;
    assert_eq!(body(&platform, "web", "/env?V").await?, "one");
    let refused = tools::run(&mut platform.cli(&["secret", "delete", "db"])).await?;
    ensure!(!refused.ok && refused.stderr.contains("default/web:$LATEST"), "{}", refused.stderr);
    let listed = platform.cli_json(&["secret", "list"]).await?;
    assert_eq!(listed["secrets"][0]["used_by"], json!(["default/web"]));
    let versions = platform.cli_json(&["secret", "versions", "db"]).await?;
    assert_eq!(versions["versions"][0]["used_by"], json!(["default/web:$LATEST"]));
    platform.cli_json(&["delete", "web"]).await?;
    platform.cli_json(&["secret", "delete", "db"]).await?;
    let platform = platform.kill_and_restart().await?;
    let audit = platform.cli_json(&["secret", "audit", "db"]).await?;
    let lines = audit["lines"].as_array().context("lines")?;
    let of = |action: &str| lines.iter().filter(|line| line["action"] == action).collect::<Vec<_>>();
    let (set, read, deleted) = (of("set"), of("read"), of("delete"));
    ensure!(set.len() == 1 && set[0]["version"] == 1 && set[0]["by"].is_string(), "{audit}");
    ensure!(!read.is_empty() && read[0]["function"] == "default/web" && read[0]["instance"].is_string(), "{audit}");
    ensure!(deleted.len() == 1 && deleted[0]["by"] == set[0]["by"], "{audit}");
    platform.stop().await
}

#[tokio::test]
async fn a_value_is_never_an_argument_and_standard_input_is_taken_as_it_is() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    let refused = tools::run(&mut platform.cli(&["secret", "set", "db", "value"])).await?;
    ensure!(refused.code == Some(2), "{}", refused.stderr);
    let refused = tools::run(&mut platform.cli(&["secret", "set", "db"])).await?;
    ensure!(!refused.ok && refused.stderr.contains("is empty"), "{}", refused.stderr);
    let script = "printf 'a\\nb\\n' | \"$0\" \"$@\"";
    let mut piped = tools::command("sh");
    piped.args(["-c", script]).arg(tools::sampan()).args(["secret", "set", "db", "--trim", "--credentials"]);
    tools::run_ok(piped.arg(platform.data_dir().join("credentials.toml"))).await?;
    platform.deploy("web", "hello:v1", &["--secret", "V=db"]).await?;
    assert_eq!(body(&platform, "web", "/env?V").await?, "a\nb", "one line break less");
    let large = "x".repeat(70_000);
    let refused = set(&platform, "large", &large, &[]).await.expect_err("too long");
    ensure!(format!("{refused:#}").contains("[secrets] value_bytes_max"), "{refused:#}");
    platform.stop().await
}

#[tokio::test]
async fn a_job_without_a_function_of_its_own_has_secrets_too() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    set(&platform, "db", "word\n", &[]).await?;
    let secrets = ["--secret", "V=db", "--secret", "db@1", "--secret-file", "tls/key.pem=db"];
    let job = ["job", "run", "hello:v1", "--command", "/hello walk /run/secrets", "--wait", "--keep"];
    let done = tools::run(&mut platform.cli(&[&job[..], &secrets].concat())).await?;
    ensure!(done.ok && done.stdout.contains("\"db\"") && done.stdout.contains("tls/key.pem\""), "{done:?}");
    let functions = platform.cli_json(&["list"]).await?;
    let name = functions[0]["FunctionName"].as_str().context("the kept function")?;
    let shown = platform.cli_json(&["get", name]).await?;
    assert_eq!(shown["Environment"]["Variables"], json!([{"Key": "V", "Value": "{{secret:db}}"}]));
    let missing = platform.cli(&["job", "run", "hello:v1", "--secret", "V=none"]).output().await?;
    let said = String::from_utf8_lossy(&missing.stderr);
    ensure!(!missing.status.success() && said.contains("sampan secret set"), "{said}");
    platform.stop().await
}
