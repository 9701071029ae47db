//! A slow client, a slow function and a crashing one at the same time do not affect others.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{Platform, wait};
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client that never reads its response, and one that sends half a request.
async fn slow_clients(platform: &Platform) -> anyhow::Result<(TcpStream, TcpStream)> {
    let address = platform.gateway.trim_start_matches("http://");
    let mut reads_nothing = TcpStream::connect(address).await?;
    reads_nothing.write_all(b"GET /fn/default/big/big?50000000 HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    let mut says_half = TcpStream::connect(address).await?;
    says_half.write_all(b"GET /fn/default/calm/ HTTP/1.1\r\nHost").await?;
    Ok((reads_nothing, says_half))
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_slow_functions_and_crashes_do_not_affect_others() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    for name in ["slow", "dead", "big", "calm"] {
        platform.deploy(name, "hello:v1", &["--memory", "128", "--timeout", "60"]).await?;
    }
    let (mut reads_nothing, _says_half) = slow_clients(&platform).await?;
    let slow = join_all((0..10).map(|_| platform.get("slow", "/sleep?3000")));
    let over = Arc::new(AtomicBool::new(false));
    let dying = async {
        let mut ends = 0;
        while !over.load(Ordering::Relaxed) {
            anyhow::ensure!(platform.get("dead", "/exit?1").await?.status() == 439);
            ends += 1;
        }
        Ok(ends)
    };
    let calm = async {
        for number in 0..200 {
            let answer = platform.get("calm", "/").await?;
            anyhow::ensure!(answer.status() == 200, "call {number} got {}", answer.status());
        }
        over.store(true, Ordering::Relaxed);
        Ok(())
    };
    let (slow, ends, calm) = tokio::join!(slow, dying, calm);
    calm?;
    assert!(ends? > 0, "something died meanwhile");
    for answer in slow {
        assert_eq!(answer?.status(), 200);
    }
    // The slow reader's response is still being sent.
    let mut head = [0; 12];
    reads_nothing.read_exact(&mut head).await?;
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(reads_nothing);
    wait::until("its request is over", || async {
        let log = serde_json::json!({"FunctionName": "big", "Limit": 1});
        let answer = platform.api.call("GetFunctionLogs", log).await?;
        Ok((answer["Data"][0]["InvokeFinished"] == 1).then_some(()))
    })
    .await?;
    platform.stop().await
}
