//! Order of starts of several owners.

use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use sandbox::Config;

use crate::support::Bench;

/// Concurrent starts of one owner.
const BURST: usize = 40;

/// On one thread, so that starts end in the order in which they were taken.
#[tokio::test]
async fn the_single_start_of_another_passes_a_burst() -> anyhow::Result<()> {
    let bench = Bench::with(Config { launcher_threads: 1, ..Config::default() }).await?;
    let (order, mut outputs, mut starts) = (Arc::new(Mutex::new(Vec::new())), Vec::new(), Vec::new());
    for number in 0..=BURST {
        let (mut spec, output) = bench.spec(&["sleep=600"])?;
        let owner = if number < BURST { "burst" } else { "single" };
        owner.clone_into(&mut spec.owner);
        outputs.push(output);
        let (sandboxes, order) = (bench.sandboxes.clone(), order.clone());
        // Tasks are polled in this order, and resume in the order of their results.
        starts.push(tokio::spawn(async move {
            let mut launch = Box::pin(sandboxes.launch(spec));
            let first = std::future::poll_fn(|context| Poll::Ready(launch.as_mut().poll(context))).await;
            let started_before = sandboxes.count();
            let sandbox = match first {
                Poll::Ready(sandbox) => sandbox,
                Poll::Pending => launch.await,
            };
            order.lock().push(owner);
            sandbox.map(|sandbox| (sandbox, started_before))
        }));
    }
    let mut sandboxes = Vec::new();
    for start in starts {
        sandboxes.push(start.await??);
    }
    let (_, started_before) = sandboxes.last().expect("the single one");
    let place = order.lock().iter().position(|owner| *owner == "single").expect("it started");
    // Earlier than it are the starts that had ended, the one in progress, and one of the burst.
    assert!(place <= started_before + 2, "{place} before it, {started_before} when it came");
    assert!(started_before + 2 < BURST, "{started_before} had started before it came: there was no burst");
    bench.finish().await
}
