//! Egress lists of functions, as users deploy them.

use e2e::{Platform, hostile, tools, wait};
use serde_json::{Value, json};

use crate::machine::{MACHINE, METADATA, NAMED, OUTSIDE, WHO_PORT, on_machine};
use crate::{REFUSED, start};

/// Error of a rejected datagram (EHOSTUNREACH).
const FILTERED: &str = "error 113";

async fn deploy(platform: &Platform, name: &str, egress: &str) -> anyhow::Result<()> {
    platform.deploy(name, "hostile:v1", &["--timeout", "30", "--egress", egress]).await.map(drop)
}

async fn ask(platform: &Platform, function: &str, address: &str) -> anyhow::Result<String> {
    hostile::attack(platform, function, &format!("/ask?{address}:{WHO_PORT}")).await
}

/// Waits until a function's log contains lines with a text, and returns their number.
async fn logged(platform: &Platform, function: &str, text: &str) -> anyhow::Result<usize> {
    wait::until(text, || async {
        let log = tools::run_ok(&mut platform.cli(&["logs", function])).await?;
        let count = log.lines().filter(|line| line.contains(text)).count();
        Ok((count > 0).then_some(count))
    })
    .await
}

#[test]
fn a_function_reaches_what_is_on_its_list_and_its_log_says_what_was_refused() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        deploy(&platform, "listed", "198.51.100.0/24:7000,192.0.2.0/24").await?;
        deploy(&platform, "alone", "none").await?;
        let named = NAMED.to_string();
        assert_eq!(ask(&platform, "out", &named).await?, MACHINE, "without a list");
        assert_eq!(ask(&platform, "listed", OUTSIDE).await?, MACHINE);
        for _ in 0..3 {
            assert_eq!(ask(&platform, "listed", &named).await?, REFUSED);
        }
        for address in [OUTSIDE, &named] {
            assert_eq!(ask(&platform, "alone", address).await?, REFUSED);
        }
        let line = format!("egress to tcp {named}:{WHO_PORT} was refused: it is not on the function's list");
        assert_eq!(logged(&platform, "listed", &line).await?, 1, "once for a destination");
        logged(&platform, "alone", &line).await?;
        // Egress lists do not override the operator's denied ranges.
        for denied in [MACHINE, METADATA] {
            assert_eq!(ask(&platform, "listed", denied).await?, REFUSED);
        }
        let shown = platform.cli_json(&["get", "listed"]).await?;
        assert_eq!(shown["Sampan"]["Egress"], json!(["198.51.100.0/24:7000", "192.0.2.0/24"]));
        platform.stop().await
    })
}

#[test]
fn a_list_changes_with_new_instances_and_is_taken_away() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        let named = NAMED.to_string();
        deploy(&platform, "out", "none").await?;
        assert_eq!(ask(&platform, "out", &named).await?, REFUSED);
        deploy(&platform, "out", &named).await?;
        assert_eq!(ask(&platform, "out", &named).await?, MACHINE);
        // A deploy that does not mention the list leaves it unchanged.
        platform.deploy("out", "hostile:v1", &["--memory", "256"]).await?;
        assert_eq!(ask(&platform, "out", OUTSIDE).await?, REFUSED);
        deploy(&platform, "out", "any").await?;
        assert_eq!(ask(&platform, "out", OUTSIDE).await?, MACHINE);
        let shown = platform.api.call("GetFunction", json!({"FunctionName": "out"})).await?;
        assert_eq!(shown["Sampan"]["Egress"], Value::Array(Vec::new()));
        platform.stop().await
    })
}

#[test]
fn a_list_that_cannot_be_is_refused_at_deploy() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        for (egress, want) in [
            ("169.254.169.254:80", "169.254.169.254:80 is within 169.254.0.0/16"),
            ("169.254.169.254", "[network] denied"),
            ("10.222.7.0/24", "[network] range"),
            ("10.0.0.1/8", "did you mean 10.0.0.0/8?"),
            ("db.example.com:99999", "for its ports"),
        ] {
            let arguments = ["deploy", "out", "--image", "hostile:v1", "--egress", egress];
            let said = tools::run(&mut platform.cli(&arguments)).await?;
            assert!(!said.ok && said.stderr.contains("Egress") && said.stderr.contains(want), "{}", said.stderr);
        }
        platform.stop().await
    })
}

#[test]
fn a_name_on_the_list_is_reached_at_the_address_that_was_answered() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        deploy(&platform, "listed", "*.example.com:7000").await?;
        let (attack, named) = (async |path: &str| hostile::attack(&platform, "listed", path).await, NAMED.to_string());
        assert_eq!(ask(&platform, "listed", &named).await?, REFUSED, "before it was asked for");
        assert_eq!(attack("/resolve?database.example.com").await?, named);
        assert_eq!(ask(&platform, "listed", &named).await?, MACHINE);
        assert_eq!(attack(&format!("/ask?{named}:7001")).await?, REFUSED, "another port");
        assert_eq!(ask(&platform, "listed", OUTSIDE).await?, REFUSED);
        assert_ne!(attack("/resolve?database.example.org").await?, named);
        logged(&platform, "listed", "egress to the name database.example.org was refused").await?;
        platform.stop().await
    })
}

#[test]
fn lists_hold_in_other_runtimes() -> anyhow::Result<()> {
    const RUNTIMES: [&str; 3] = ["runc", "crun", "runsc"];
    on_machine(async |_outside| {
        let dns = format!("[\"{OUTSIDE}\"]");
        let allowed = format!("[{}]", RUNTIMES.join(","));
        let env = [
            ("SAMPAN_NETWORK__ENABLED", "true"),
            ("SAMPAN_NETWORK__DNS", dns.as_str()),
            ("SAMPAN_LAUNCHER__RUNTIMES_ALLOWED", allowed.as_str()),
        ];
        let platform = Platform::start_with(&env).await?;
        hostile::push(&platform).await?;
        let named = NAMED.to_string();
        for runtime in RUNTIMES {
            let settings = ["--memory", "256", "--timeout", "60", "--runtime", runtime];
            platform.deploy(runtime, "hostile:v1", &[&settings[..], &["--egress", OUTSIDE]].concat()).await?;
            assert_eq!(ask(&platform, runtime, OUTSIDE).await?, MACHINE, "{runtime}");
            let refused = ask(&platform, runtime, &named).await?;
            assert!([REFUSED, FILTERED].contains(&refused.as_str()), "{runtime}: {refused}");
            logged(&platform, runtime, &format!("egress to tcp {named}:{WHO_PORT} was refused")).await?;
        }
        platform.stop().await
    })
}
