//! A realistic application image, Debian with Python and Flask, as a web function and as an event
//! function.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, flask, tools};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_flask_image_answers_web_and_event_calls() -> anyhow::Result<()> {
    let archive = flask::archive().await?;
    let platform = Platform::start().await?;
    tools::run_ok(&mut platform.cli(&["push", &archive.display().to_string(), "flask:v1"])).await?;
    platform.deploy("web", "flask:v1", &["--memory", "256", "--timeout", "20", "--env", "COLOUR=function"]).await?;
    let event_flags = ["--type", "event", "--memory", "256", "--timeout", "20"];
    platform.deploy("event", "flask:v1", &event_flags).await?;

    // The image's user (33 is www-data) and working directory apply; the function's variable
    // overrides the image's.
    let text = platform.get("web", "/").await?.text().await?;
    assert_eq!(text, "flask as 33 in /srv with function");
    assert_eq!(platform.get("web", "/stream").await?.text().await?, "part 0\npart 1\npart 2\npart 3\npart 4\n");
    assert_eq!(platform.get("web", "/nowhere").await?.status(), StatusCode::NOT_FOUND);

    let boundary = "sampan-boundary";
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nada\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}\r\n--{boundary}--\r\n",
        "x".repeat(100_000)
    );
    let form = platform.http.post(platform.url("web", "/form"));
    let form = form.header("content-type", format!("multipart/form-data; boundary={boundary}")).body(body);
    let answer: Value = form.send().await?.json().await?;
    assert_eq!(answer, json!({"name": "ada", "file": 100_000}));

    let result = platform.api.invoke("event", &json!({"numbers": [1, 2, 39]})).await?;
    let message = result["RetMsg"].as_str().unwrap_or_default();
    assert_eq!(serde_json::from_str::<Value>(message)?, json!({"sum": 42}), "{result}");
    let id = result["FunctionRequestId"].as_str().unwrap_or_default();
    let log = platform.api.log_of("event", id).await?;
    assert!(log["Log"].as_str().is_some_and(|text| text.contains(r#"event {"numbers": [1, 2, 39]}"#)), "{log}");

    // A process that exits during an invocation causes status 439; the next call gets a new
    // instance.
    assert_eq!(platform.get("web", "/crash").await?.status().as_u16(), 439);
    assert!(platform.get("web", "/").await?.status().is_success());
    platform.stop().await
}
