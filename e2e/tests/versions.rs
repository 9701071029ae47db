//! Published versions and aliases: official clients, environment of a version's instances, routes
//! by weight and by header.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, images, tools};
use serde_json::{Value, json};

/// Calls in the test of weights.
const CALLS: u32 = 2_000;
/// Number of concurrent clients in that test.
const CLIENTS: u32 = 8;

async fn push_marked(platform: &Platform, mark: &str) -> anyhow::Result<()> {
    let folder = images::hello_folder()?;
    folder.write("mark", mark.as_bytes())?;
    platform.push_folder(folder.path(), &["/hello"], &format!("marked:{mark}")).await
}

/// A web function with version 1 of one image, version 2 of another, and `$LATEST` of a third.
async fn with_versions() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    for (mark, publish) in [("one", true), ("two", true), ("three", false)] {
        push_marked(&platform, mark).await?;
        platform.deploy("web", &format!("marked:{mark}"), &["--concurrency", "10", "--memory", "512"]).await?;
        if publish {
            platform.cli_json(&["publish", "web", "--description", mark]).await?;
        }
    }
    Ok(platform)
}

async fn text(platform: &Platform, qualifier: &str, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<String> {
    let request = platform.http.get(platform.url(&format!("web:{qualifier}"), path));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await?;
    anyhow::ensure!(
        answer.status().is_success(),
        "{qualifier}{path} answers {}: {}",
        answer.status(),
        answer.text().await?
    );
    Ok(answer.text().await?)
}

#[tokio::test]
async fn the_python_sdk_manages_versions_and_routes() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    push_marked(&platform, "second").await?;
    let registry = platform.registry();
    let mut sdk = tools::command(&tools::python().display().to_string());
    sdk.arg(tools::workspace().join("e2e/clients/versions.py"));
    sdk.args([registry, &platform.api.secret_id, &platform.api.secret_key]);
    sdk.args([format!("{registry}/hello:v1"), format!("{registry}/marked:second")]);
    let said = tools::run_ok(&mut sdk).await?;
    assert_eq!(said.trim(), "ok");
    platform.stop().await
}

#[tokio::test]
async fn tccli_publishes_and_lists_with_numbers_as_texts() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &["--type", "event"]).await?;
    let tccli = async |args: &[&str]| {
        let mut command = tools::command(&tools::python().with_file_name("tccli").display().to_string());
        command.arg("scf").args(args).args(["--FunctionName", "hello", "--endpoint", &platform.control]);
        command.env("TENCENTCLOUD_SECRET_ID", &platform.api.secret_id);
        command.env("TENCENTCLOUD_SECRET_KEY", &platform.api.secret_key);
        command.env("TENCENTCLOUD_REGION", "local").env("HOME", platform.work_dir());
        anyhow::Ok(serde_json::from_str::<Value>(&tools::run_ok(&mut command).await?)?)
    };
    for number in ["1", "2"] {
        let made = tccli(&["PublishVersion"]).await?;
        assert_eq!((&made["FunctionVersion"], &made["MemorySize"]), (&json!(number), &json!(128)), "{made}");
    }
    let config = r#"{"AdditionalVersionWeights":[{"Version":"2","Weight":0.5}]}"#;
    tccli(&["CreateAlias", "--Name", "prod", "--FunctionVersion", "1", "--RoutingConfig", config]).await?;
    let listed = tccli(&["ListAliases", "--Offset", "1", "--Limit", "5"]).await?;
    assert_eq!((&listed["TotalCount"], &listed["Aliases"][0]["Name"]), (&json!(2), &json!("prod")), "{listed}");
    let versions = tccli(&["ListVersionByFunction", "--Order", "ASC"]).await?;
    assert_eq!(versions["FunctionVersion"], json!(["$LATEST", "1", "2"]), "{versions}");
    platform.stop().await
}

#[tokio::test]
async fn versions_run_side_by_side_with_their_own_environment() -> anyhow::Result<()> {
    let platform = with_versions().await?;
    for (qualifier, mark) in [("1", "one"), ("2", "two"), ("$LATEST", "three"), ("$DEFAULT", "three")] {
        assert_eq!(text(&platform, qualifier, "/read?/mark", &[]).await?, mark);
        let version = if qualifier == "$DEFAULT" { "$LATEST" } else { qualifier };
        assert_eq!(text(&platform, qualifier, "/env?SCF_FUNCTIONVERSION", &[]).await?, version);
        let headers: Vec<(String, String)> = serde_json::from_str(&text(&platform, qualifier, "/headers", &[]).await?)?;
        let sent: Vec<_> = headers.iter().filter(|(name, _)| name == "x-scf-version").collect();
        assert_eq!(sent, [&("x-scf-version".to_owned(), version.to_owned())]);
    }
    let by_host =
        platform.http.get(format!("{}/read?/mark", platform.gateway)).header("Host", "2--web.default.fn.localhost");
    assert_eq!(by_host.send().await?.text().await?, "two");
    assert_eq!(e2e::leftovers::processes(&platform.cgroup_name()).len(), 3, "one instance of each version");
    platform.stop().await
}

#[tokio::test]
async fn a_published_version_outlives_its_tag_its_successors_and_a_crash() -> anyhow::Result<()> {
    let mut platform = with_versions().await?;
    platform.cli_json(&["alias", "create", "web", "stable", "--version", "1", "--weight", "2=0"]).await?;
    platform.kill().await?;
    let platform = platform.restart().await?;
    // The tag now refers to another image.
    let folder = images::hello_folder()?;
    folder.write("mark", b"another one")?;
    platform.push_folder(folder.path(), &["/hello"], "marked:one").await?;
    for (qualifier, mark) in [("stable", "one"), ("1", "one"), ("2", "two"), ("$LATEST", "three")] {
        assert_eq!(text(&platform, qualifier, "/read?/mark", &[]).await?, mark, "{qualifier}");
    }
    let in_use = json!({"FunctionName": "web", "Qualifier": "2"});
    assert_eq!(
        platform.api.refused("DeleteFunctionVersion", in_use.clone()).await?.0,
        "UnsupportedOperation.AliasBind"
    );
    platform.cli_json(&["alias", "update", "web", "stable", "--version", "1"]).await?;
    platform.api.call("DeleteFunctionVersion", in_use).await?;
    let gone = platform.get("web:2", "/").await?;
    assert_eq!((gone.status().as_u16(), &gone.headers()["x-scf-status"]), (404, &"442".parse()?));
    let again = platform.cli_json(&["publish", "web", "--alias", "stable"]).await?;
    assert_eq!((&again["version"], &again["alias"]), (&json!("3"), &json!("stable")), "{again}");
    assert_eq!(text(&platform, "stable", "/read?/mark", &[]).await?, "three");
    platform.stop().await
}

#[tokio::test]
async fn header_rules_route_requests() -> anyhow::Result<()> {
    let platform = with_versions().await?;
    let rule = "2=X-Ring:range:[10,20]";
    platform.cli_json(&["alias", "create", "web", "prod", "--version", "1", "--match", rule]).await?;
    let called = async |headers: &[(&str, &str)]| text(&platform, "prod", "/read?/mark", headers).await;
    assert_eq!(called(&[]).await?, "one");
    assert_eq!(called(&[("X-Ring", "10")]).await?, "two");
    assert_eq!(called(&[("x-ring", "21")]).await?, "one");
    let shown = tools::run_ok(&mut platform.cli(&["alias", "get", "web", "prod"])).await?;
    assert_eq!(shown.trim(), "prod -> 1, invoke.headers.X-Ring in [10,20] to 2");

    // Rules also apply to an event function called by HTTP.
    platform.deploy("event", "marked:one", &["--type", "event"]).await?;
    for _ in 0..2 {
        platform.cli_json(&["publish", "event"]).await?;
    }
    platform.cli_json(&["alias", "update", "event", "$DEFAULT", "--version", "1", "--match", rule]).await?;
    for (ring, version) in [("15", "2"), ("25", "1")] {
        let answer = platform.http.get(platform.url("event", "/")).header("X-Ring", ring).send().await?;
        let id = answer.headers()["x-scf-request-id"].to_str()?.to_owned();
        platform.api.log_of("event", &id).await?;
        let query = json!({"FunctionName": "event", "FunctionRequestId": id, "Qualifier": version});
        let found = platform.api.call("GetFunctionLogs", query).await?;
        assert_eq!(found["TotalCount"], 1, "ring {ring} is version {version}: {found}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_weight_routes_its_share_of_calls() -> anyhow::Result<()> {
    let platform = with_versions().await?;
    platform.cli_json(&["alias", "create", "web", "prod", "--version", "1", "--weight", "2=0.25"]).await?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (http, url) = (platform.http.clone(), platform.url("web:prod", "/read?/mark"));
            tokio::spawn(async move {
                let mut twos = 0_u32;
                for _ in 0..CALLS / CLIENTS {
                    match http.get(&url).send().await?.text().await?.as_str() {
                        "one" => {}
                        "two" => twos += 1,
                        other => anyhow::bail!("a request failed: {other}"),
                    }
                }
                anyhow::Ok(twos)
            })
        })
        .collect();
    let mut twos = 0;
    for client in clients {
        twos += client.await??;
    }
    // Five standard deviations of 2,000 draws with probability 1/4 are 97.
    assert!(twos.abs_diff(CALLS / 4) <= 97, "{twos} of {CALLS}");
    let metrics = platform.http.get(format!("{}/metrics", platform.control)).send().await?.text().await?;
    let counted =
        format!(r#"sampan_invocations_total{{function="web",namespace="default",version="2",status="200"}} {twos}"#);
    assert!(metrics.contains(&counted), "{counted} in {metrics}");
    platform.stop().await
}
