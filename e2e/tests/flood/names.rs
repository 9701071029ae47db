//! Invalid names of functions.

use e2e::Platform;
use reqwest::header::HOST;

#[tokio::test]
async fn an_overlong_host_is_refused() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    for (len, status, hint) in
        [(60_000, 400, "at most 253"), (127, 404, "longer than that of any"), (126, 404, "exist")]
    {
        let host = format!("{}.default.fn.localhost", "-".repeat(len));
        let answer = platform.http.get(&platform.gateway).header(HOST, host).send().await?;
        assert_eq!(answer.status(), status);
        let said = answer.text().await?;
        assert!(said.contains(hint) && said.len() < 1000, "{said}");
    }
    let answer = platform.http.get(&platform.gateway).header(HOST, "HELLO.default.fn.localhost").send().await?;
    assert_eq!(answer.status(), 200);
    platform.stop().await
}
