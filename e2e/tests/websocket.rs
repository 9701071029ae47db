//! WebSocket connections between a real client and a real server: messages, closing, and log
//! records.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, flask, tools, wait};
use serde_json::{Value, json};

async fn with_chat(extra: &[&str]) -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    let archive = flask::archive().await?.display().to_string();
    tools::run_ok(&mut platform.cli(&["push", &archive, "chat:v1"])).await?;
    let server = ["--memory", "128", "--command", "python3", "--args", "/srv/websocket.py", "--concurrency", "10"];
    let args = [&server[..], &["--websocket", "--timeout", "20"], extra].concat();
    platform.deploy("chat", "chat:v1", &args).await?;
    Ok(platform)
}

/// The output of one connection of the client.
async fn connect(platform: &Platform, scenario: &str) -> anyhow::Result<String> {
    let url = platform.url("chat", "/").replacen("http:", "ws:", 1);
    let mut client = tools::command(&tools::python().display().to_string());
    client.arg(tools::workspace().join("e2e/clients/websocket_client.py")).args([&url, scenario]);
    tools::run_ok(&mut client).await
}

/// The newest `number` records of the function, once they exist: code and text of each.
async fn records(platform: &Platform, number: usize) -> anyhow::Result<Vec<Value>> {
    wait::until("the connections are in the log", || async {
        let answer = platform.api.call("GetFunctionLogs", json!({"FunctionName": "chat", "Limit": 100})).await?;
        let records = answer["Data"].as_array().cloned().unwrap_or_default();
        let done = records.iter().filter(|record| record["InvokeFinished"] == 1).count();
        Ok((done == number).then_some(records))
    })
    .await
}

#[tokio::test]
async fn messages_pass_in_both_directions_and_a_connection_is_one_invocation() -> anyhow::Result<()> {
    let platform = with_chat(&[]).await?;
    let (one, two) = tokio::join!(connect(&platform, "echo"), connect(&platform, "echo"));
    assert_eq!((one?.trim(), two?.trim()), ("echoed", "echoed"));
    let records = records(&platform, 2).await?;
    assert!(records.iter().all(|record| record["RetCode"] == 0), "{records:?}");
    platform.stop().await
}

#[tokio::test]
async fn the_log_distinguishes_who_closed_and_how() -> anyhow::Result<()> {
    let platform = with_chat(&["--websocket-idle", "2"]).await?;
    let table = [
        ("close 1011", "closed 1011", None),
        ("close 4001", "closed 4001", Some("closed the connection with code 4001")),
        ("leave", "", Some("the caller closed the connection with code 4000")),
        ("big", "closed 1009", Some("from the caller: a frame has 300000 bytes; the limit is 262144")),
        ("silence", "closed 1001 nothing was sent for 2 s", Some("nothing was sent for 2 s")),
        ("die 3", "closed None", Some("xit")),
    ];
    for (number, (scenario, seen, logged)) in table.into_iter().enumerate() {
        let said = connect(&platform, scenario).await?;
        assert!(said.contains(seen), "{scenario}: {said}");
        let records = records(&platform, number + 1).await?;
        let newest = &records[0];
        assert_eq!(newest["RetCode"] == 0, logged.is_none(), "{scenario}: {newest}");
        let text = newest["RetMsg"].as_str().unwrap_or_default();
        assert!(logged.is_none_or(|logged| text.contains(logged)), "{scenario}: {newest}");
    }
    platform.stop().await
}

#[tokio::test]
async fn shutdown_sends_a_close_frame_and_unsupported_upgrades_are_refused() -> anyhow::Result<()> {
    let platform = with_chat(&["--websocket-idle", "60"]).await?;
    platform.push_hello().await?;
    platform.deploy("plain", "hello:v1", &["--memory", "128"]).await?;
    let asks = |url: String| {
        let request = platform.http.get(url).header("connection", "upgrade").header("upgrade", "websocket");
        request.header("sec-websocket-version", "13").header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==").send()
    };
    let refused = asks(platform.url("plain", "/")).await?;
    assert_eq!(refused.status(), 501);
    assert!(refused.text().await?.contains("ProtocolType WS"));
    let url = platform.url("chat", "/").replacen("http:", "ws:", 1);
    let mut client = tools::command(&tools::python().display().to_string());
    let connected = platform.work_dir().join("connected");
    client.arg(tools::workspace().join("e2e/clients/websocket_client.py")).args([&url, "wait for it"]).arg(&connected);
    let waiting = tokio::spawn(async move { tools::run_ok(&mut client).await });
    wait::until("it is connected", || async { Ok(connected.exists().then_some(())) }).await?;
    platform.stop().await?;
    let said = waiting.await??;
    assert!(said.contains("closed 1001 the platform is shutting down"), "{said}");
    Ok(())
}
