//! Custom domains: paths are routed to functions and versions immediately, until they are removed,
//! and after a crash.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, tools};
use serde_json::{Value, json};

const DOMAIN: &str = "shop.example.com";

async fn with_functions(names: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    for name in names {
        platform.deploy(name, "hello:v1", &[]).await?;
    }
    Ok(platform)
}

/// Status and text of a request to the domain.
async fn got(platform: &Platform, path: &str) -> anyhow::Result<(u16, String)> {
    let url = format!("{}{path}", platform.gateway);
    let answer = platform.http.get(url).header("host", DOMAIN).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// The environment variable of the function or version to which a path is routed.
async fn says(platform: &Platform, path: &str, variable: &str) -> anyhow::Result<String> {
    let (status, text) = got(platform, &format!("{path}?{variable}")).await?;
    anyhow::ensure!(status == 200, "{path} answers {status}: {text}");
    Ok(text.trim().to_owned())
}

async fn function_at(platform: &Platform, path: &str) -> anyhow::Result<String> {
    says(platform, path, "SCF_FUNCTIONNAME").await
}

#[tokio::test]
async fn paths_of_a_domain_are_routed_also_after_a_crash() -> anyhow::Result<()> {
    let mut platform = with_functions(&["shop", "stock"]).await?;
    platform.cli_json(&["publish", "stock"]).await?;
    assert_eq!(got(&platform, "/env").await?.0, 404, "nobody knows the domain yet");
    let routes = ["--route", "/*=shop", "--route", "/stock/*=stock:1", "--rewrite", "/stock/*=/$"];
    let added = platform.cli_json(&[&["domain", "add", DOMAIN][..], &routes[..]].concat()).await?;
    assert_eq!(added["EndpointsConfig"].as_array().map(Vec::len), Some(2));
    assert_eq!(function_at(&platform, "/env").await?, "shop");
    assert_eq!(function_at(&platform, "/stock/env").await?, "stock");
    assert_eq!(says(&platform, "/stock/env", "SCF_FUNCTIONVERSION").await?, "1");

    platform.kill().await?;
    let platform = platform.restart().await?;
    assert_eq!(function_at(&platform, "/stock/env").await?, "stock");
    platform.cli_json(&["domain", "update", DOMAIN, "--route", "/*=stock"]).await?;
    assert_eq!(function_at(&platform, "/env").await?, "stock");
    platform.cli_json(&["domain", "remove", DOMAIN]).await?;
    assert_eq!(got(&platform, "/env").await?.0, 404);
    platform.stop().await
}

#[tokio::test]
async fn commands_manage_domains_and_explain_errors() -> anyhow::Result<()> {
    let platform = with_functions(&["shop"]).await?;
    for name in ["a.example.com", "b.example.com"] {
        platform.cli_json(&["domain", "add", name, "--route", "/=shop"]).await?;
    }
    let all = platform.cli_json(&["domain", "list"]).await?;
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    assert_eq!(platform.cli_json(&["domain", "list", "--function", "other"]).await?, json!([]));
    let shown = tools::run_ok(&mut platform.cli(&["domain", "get", "a.example.com"])).await?;
    assert!(shown.contains("a.example.com") && shown.contains("default/shop:$DEFAULT"), "{shown}");
    for (args, exit, word) in [
        (&["domain", "get", "c.example.com"][..], 3, "there is no custom domain c.example.com"),
        (&["domain", "add", "*.example.com", "--route", "/=shop"][..], 2, "is no host name"),
        (&["domain", "add", "a.example.com", "--route", "/=shop"][..], 1, "there is a custom domain a.example.com"),
        (&["domain", "add", "c.example.com", "--route", "/=none"][..], 3, "function default/none does not exist"),
        (&["domain", "add", "c.example.com", "--route", "/=shop", "--protocol", "https"][..], 2, "--certificate"),
    ] {
        let output = tools::output(&mut platform.cli(args)).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_domain_of_a_deleted_function_reports_it_and_serves_a_recreated_one() -> anyhow::Result<()> {
    let platform = with_functions(&["shop"]).await?;
    platform.cli_json(&["domain", "add", DOMAIN, "--route", "/*=shop"]).await?;
    assert_eq!(function_at(&platform, "/env").await?, "shop");
    let deleted = tools::run(&mut platform.cli(&["delete", "shop"])).await?;
    assert!(deleted.ok && deleted.stderr.contains("routes of shop.example.com still lead to shop"), "{deleted:?}");
    let (status, text) = got(&platform, "/env").await?;
    let said: Value = serde_json::from_str(&text)?;
    assert_eq!((status, &said["statusCode"]), (404, &json!(435)));
    assert!(text.contains("the path of shop.example.com leads nowhere"), "{text}");
    platform.deploy("shop", "hello:v1", &[]).await?;
    assert_eq!(function_at(&platform, "/env").await?, "shop");
    platform.stop().await
}

#[tokio::test]
async fn the_python_sdk_manages_domains() -> anyhow::Result<()> {
    let platform = with_functions(&["shop"]).await?;
    let mut sdk = tools::command(&tools::python().display().to_string());
    sdk.arg(tools::workspace().join("e2e/clients/domains.py"));
    sdk.args([platform.registry(), &platform.api.secret_id, &platform.api.secret_key, "shop"]);
    let said = tools::run_ok(&mut sdk).await?;
    assert_eq!(said.trim(), "ok");
    platform.stop().await
}
