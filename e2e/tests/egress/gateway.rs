//! Functions that call functions through `gateway.sampan.internal`.

use e2e::{AsyncClient, Platform, hostile, images, tools, wait};
use serde_json::json;

use crate::RESET;
use crate::machine::{NAMED, OUTSIDE, on_machine, settled};

/// Longest chain of calls in these tests.
const DEPTH_MAX: usize = 4;

/// A platform whose gateway listens on the loopback interface only, with the hostile image as `out`
/// and a static server as `web`.
async fn start(env: &[(&str, &str)]) -> anyhow::Result<Platform> {
    settled().await?;
    let depth = DEPTH_MAX.to_string();
    let settings = [("SAMPAN_NETWORK__ENABLED", "true"), ("SAMPAN_GATEWAY__CALL_DEPTH_MAX", depth.as_str())];
    let platform = Platform::start_with(&[&settings[..], env].concat()).await?;
    hostile::push(&platform).await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    deploy(&platform, "out", &[]).await?;
    Ok(platform)
}

async fn deploy(platform: &Platform, name: &str, flags: &[&str]) -> anyhow::Result<()> {
    let settings = ["--memory", "128", "--timeout", "60", "--no-start-check"];
    platform.deploy(name, "hostile:v1", &[&settings[..], flags].concat()).await.map(drop)
}

/// The response of `web` to a function that calls it through the gateway.
async fn ask(platform: &Platform, function: &str, port: &str, path: &str) -> anyhow::Result<String> {
    hostile::attack(platform, function, &format!("/http?gateway.sampan.internal:{port}{path}")).await
}

async fn logged(platform: &Platform, function: &str, text: &str) -> anyhow::Result<usize> {
    wait::until(text, || async {
        let log = tools::run_ok(&mut platform.cli(&["logs", function, "--limit", "200"])).await?;
        let count = log.lines().filter(|line| line.contains(text)).count();
        Ok((count > 0).then_some(count))
    })
    .await
}

fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap_or_default()
}

#[test]
fn a_function_calls_another_by_path_and_by_host() -> anyhow::Result<()> {
    on_machine(async |_| {
        let platform = start(&[("SAMPAN_GATEWAY__TRUST_FORWARDED", "true")]).await?;
        let own = port(&platform.gateway);
        for port in ["80", own] {
            let said = ask(&platform, "out", port, "/fn/default/web/headers").await?;
            assert!(said.starts_with("HTTP/1.1 200"), "{port}: {said}");
            // The calling instance is the client: the gateway ignores its proxy headers.
            let hosts = hostile::attack(&platform, "out", "/read?/proc/net/fib_trie").await?;
            let client = said.split_once("x-forwarded-for\",\"").and_then(|(_, rest)| rest.split('"').next());
            assert!(client.is_some_and(|client| client.starts_with("10.") && hosts.contains(client)), "{said}");
        }
        let by_host = ask(&platform, "out", "80", "/headers@web.default.fn.localhost").await?;
        assert!(by_host.starts_with("HTTP/1.1 200"), "{by_host}");
        assert!(by_host.contains(r#""host","web.default.fn.localhost""#), "{by_host}");
        // Only the public gateway is reachable, neither the control address nor another port.
        let missing = ask(&platform, "out", "80", "/healthz").await?;
        assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
        for closed in [port(&platform.control), "22", "443", "53"] {
            assert_eq!(ask(&platform, "out", closed, "/healthz").await?, RESET, "{closed}");
        }
        let line = format!("gateway.sampan.internal:{} was refused: the gateway has port 80", port(&platform.control));
        assert_eq!(logged(&platform, "out", &line).await?, 1);
        platform.stop().await
    })
}

#[test]
fn names_of_the_gateway_lead_to_it_from_inside() -> anyhow::Result<()> {
    on_machine(async |_| {
        let dns = format!("[\"{OUTSIDE}\"]");
        let domains = "[\"functions.example.com\"]";
        let env = [("SAMPAN_NETWORK__DNS", dns.as_str()), ("SAMPAN_GATEWAY__DOMAINS", domains)];
        let platform = start(&env).await?;
        let resolve = async |name: &str| hostile::attack(&platform, "out", &format!("/resolve?{name}")).await;
        let hosts = hostile::attack(&platform, "out", "/read?/etc/hosts").await?;
        let line = hosts.lines().find(|line| line.ends_with("gateway.sampan.internal")).unwrap_or_default();
        let gateway = line.split_whitespace().next().unwrap_or_default();
        assert_eq!(resolve("blog.example.com").await?, NAMED.to_string(), "nobody's yet");
        tools::run_ok(&mut platform.cli(&["domain", "add", "blog.example.com", "--route", "/*=web"])).await?;
        for own in ["blog.example.com", "web.default.functions.example.com"] {
            wait::until("it is the gateway's", async || Ok((resolve(own).await? == gateway).then_some(()))).await?;
            let said = hostile::attack(&platform, "out", &format!("/http?{gateway}:80/headers@{own}")).await?;
            assert!(said.starts_with("HTTP/1.1 200") && said.contains(own), "{said}");
        }
        assert_eq!(resolve("functions.example.com").await?, NAMED.to_string(), "no function's");
        platform.stop().await
    })
}

#[test]
fn a_list_closes_the_gateway_unless_it_names_it() -> anyhow::Result<()> {
    on_machine(async |_| {
        let platform = start(&[]).await?;
        deploy(&platform, "alone", &["--egress", "none"]).await?;
        deploy(&platform, "named", &["--egress", "gateway.sampan.internal:80"]).await?;
        let path = "/fn/default/web/";
        assert_eq!(ask(&platform, "alone", "80", path).await?, RESET);
        logged(&platform, "alone", "gateway.sampan.internal:80 was refused: it is not on the function's list").await?;
        assert!(ask(&platform, "named", "80", path).await?.starts_with("HTTP/1.1 200"));
        assert_eq!(ask(&platform, "named", port(&platform.gateway), path).await?, RESET);
        platform.stop().await?;

        let closed = start(&[("SAMPAN_NETWORK__GATEWAY", "false")]).await?;
        assert!(ask(&closed, "out", "80", path).await?.starts_with("error"), "no such name");
        closed.stop().await
    })
}

#[test]
fn a_function_that_calls_itself_without_end_is_stopped_by_the_depth_of_the_chain() -> anyhow::Result<()> {
    on_machine(async |_| {
        let platform = start(&[]).await?;
        let endless = hostile::attack(&platform, "out", "/again?gateway.sampan.internal:80/fn/default/out");
        let others = async {
            for _ in 0..5 {
                let answer = platform.get("web", "/").await?;
                assert_eq!(answer.status(), 200, "others are served meanwhile");
            }
            anyhow::Ok(())
        };
        let (said, others) = tokio::join!(endless, others);
        others?;
        let said = said?;
        assert_eq!(said.matches("HTTP/1.1 200").count(), DEPTH_MAX, "{said}");
        assert_eq!(said.matches("HTTP/1.1 508").count(), 1, "{said}");
        assert!(said.contains("gateway.call_depth_max"), "{said}");
        logged(&platform, "out", "a call by the gateway was refused: the call is number 5 of a chain").await?;
        // The depth does not persist: the next call begins a new chain.
        let next =
            ask(&platform, "out", "80", "/fn/default/out/http?gateway.sampan.internal:80/fn/default/web/").await?;
        assert_eq!(next.matches("HTTP/1.1 200").count(), 2, "{next}");
        platform.stop().await
    })
}

#[test]
fn a_chain_that_waits_for_its_own_only_place_ends_with_the_wait() -> anyhow::Result<()> {
    on_machine(async |_| {
        let platform = start(&[("SAMPAN_POOL__WAIT_MS_MAX", "3000")]).await?;
        let only = json!({"FunctionName": "out", "ReservedConcurrencyMem": 128});
        platform.api.call("PutReservedConcurrencyConfig", only).await?;
        let said = ask(&platform, "out", "80", "/fn/default/out/").await?;
        assert!(said.starts_with("HTTP/1.1 432"), "{said}");
        assert!(hostile::attack(&platform, "out", "/").await?.contains("hostile"), "its place is free again");
        platform.stop().await
    })
}

/// The response of an event's run.
async fn result(platform: &Platform, id: &str) -> anyhow::Result<String> {
    tools::run_ok(&mut platform.cli(&["events", "wait", id])).await?;
    tools::run_ok(&mut platform.cli(&["events", "get", id, "--result"])).await
}

/// The event id in a response of `/async/`.
fn caused(said: &str) -> &str {
    let (_, rest) = said.split_once("requestId").unwrap_or_default();
    rest.trim_start_matches(['\\', '"', ':']).split(['\\', '"']).next().unwrap_or_default()
}

#[test]
fn events_that_a_run_causes_by_the_gateway_are_counted_without_a_header() -> anyhow::Result<()> {
    on_machine(async |_| {
        let platform = start(&[]).await?;
        deploy(&platform, "mid", &[]).await?;
        let open = ["trigger", "create", "web", "open", "--type", "http", "--desc", r#"{"AuthType":"NONE"}"#];
        tools::run_ok(&mut platform.cli(&open)).await?;
        let client = AsyncClient::of(&platform);
        let call = "/http?gateway.sampan.internal:80";
        let then = "/async/default/web/headers";
        // Sent by the run itself, and by another function that it calls.
        for path in [format!("{call}{then}"), format!("{call}/fn/default/mid{call}{then}")] {
            let path = format!("out{path}");
            let sent = client.send(reqwest::Method::GET, &path, &[("X-Scf-Chain-Depth", "3")], vec![]);
            let id = sent.await?.headers()["x-call-id"].to_str()?.to_owned();
            let said = result(&platform, &id).await?;
            assert!(said.contains("202"), "{said}");
            let headers = result(&platform, caused(&said)).await?;
            assert!(headers.contains(r#"\"x-scf-chain-depth\",\"5\""#), "{headers}");
        }
        // A call from outside a run begins a new chain.
        let said = ask(&platform, "out", "80", then).await?;
        let headers = result(&platform, caused(&said)).await?;
        assert!(headers.contains(r#"\"x-scf-chain-depth\",\"0\""#), "{headers}");

        let folder = images::hello_folder()?;
        platform.push_folder(folder.path(), &["/hello", "job"], "job:v1").await?;
        platform.deploy("job", "job:v1", &["--job", "--timeout", "30"]).await?;
        let event = json!({"route": "call?80", "path": then}).to_string();
        let id = client.accepted("job", &[("X-Scf-Chain-Depth", "8")], &event).await?;
        tools::run_ok(&mut platform.cli(&["events", "wait", &id])).await?;
        let log = platform.api.log_of("job", &id).await?["Log"].as_str().unwrap_or_default().to_owned();
        assert!(log.contains("depth 9") && log.contains("202"), "{log}");
        let headers = result(&platform, caused(&log)).await?;
        assert!(headers.contains(r#"\"x-scf-chain-depth\",\"10\""#), "{headers}");
        platform.stop().await
    })
}
