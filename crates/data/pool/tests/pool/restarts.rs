//! Versions whose instances are replaced without a new version.

use pool::SessionKey;
use types::FunctionKind;

use super::*;

fn restart(bench: &Bench, version: &Arc<CatalogVersion>) -> usize {
    bench.pool.restart(|other| other.key == version.key)
}

#[tokio::test(start_paused = true)]
async fn a_restart_replaces_instances_as_their_requests_end_and_refuses_none() {
    let (bench, versions) = serving(Config::default(), &[EVENT, OTHER]);
    let (busy, other) = (lease(&bench, &versions[0]).await, lease(&bench, &versions[1]).await);
    let idle = lease(&bench, &versions[0]).await;
    let (busy_id, idle_id, other_id) = (busy.id.clone(), idle.id.clone(), other.id.clone());
    drop((idle, other));
    assert_eq!(restart(&bench, &versions[0]), 1);
    until("the idle one ends", || bench.launch.alive() == 2).await;
    let next = lease(&bench, &versions[0]).await;
    assert!(next.cold().is_some() && next.id != busy_id && next.id != idle_id);
    assert_eq!(bench.launch.alive(), 3, "the busy one still answers its request");
    drop(busy);
    until("it ends with its request", || bench.launch.alive() == 2).await;
    assert_eq!(lease(&bench, &versions[1]).await.id, other_id, "of another version");
    let next_id = next.id.clone();
    drop(next);
    assert_eq!(lease(&bench, &versions[0]).await.id, next_id, "once");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_starting_serves_its_request_and_no_more() {
    let (bench, versions) = serving(Config::default(), &[WEB]);
    let waits = request(&bench, &versions[0]);
    until("it starts", || bench.launch.begun() == 1).await;
    restart(&bench, &versions[0]);
    // It could serve ten at once, but takes no request that comes now.
    let comes = request(&bench, &versions[0]);
    let first = waits.await.expect("no panic").expect("a lease");
    let second = comes.await.expect("no panic").expect("a lease");
    assert!(second.id != first.id && second.cold().is_some());
    assert_eq!(lease(&bench, &versions[0]).await.id, second.id);
    drop(first);
    until("it ends", || bench.launch.alive() == 1).await;
    assert_eq!(lease(&bench, &versions[0]).await.id, second.id);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_with_what_was_before_is_begun_again() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.launch.plan(Plan::Fail(Duration::from_secs(1)));
    let waits = request(&bench, &versions[0]);
    until("it starts", || bench.launch.begun() == 1).await;
    restart(&bench, &versions[0]);
    bench.launch.plan(Plan::Succeed(Duration::from_secs(1)));
    waits.await.expect("no panic").expect("a lease, without a pause for a failure");
    assert_eq!(bench.launch.begun(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_started_for_nobody_yet_serves_nobody() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.serve_ready(&versions, 1);
    until("it starts", || bench.launch.begun() == 1).await;
    restart(&bench, &versions[0]);
    let lease = lease(&bench, &versions[0]).await;
    assert!(lease.cold().is_some(), "a start of its own");
    drop(lease);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.launch.alive(), 1, "the one from before has ended");
}

#[tokio::test(start_paused = true)]
async fn provisioned_instances_come_back() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.serve_ready(&versions, 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((bench.launch.alive(), bench.launch.begun()), (2, 2));
    restart(&bench, &versions[0]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((bench.launch.alive(), bench.launch.begun()), (2, 4), "two others");
    assert!(lease(&bench, &versions[0]).await.cold().is_none());
}

#[tokio::test(start_paused = true)]
async fn sessions_go_on_in_other_instances() {
    let chat = Function { name: "chat", concurrency: 10, sessions: Some(2), ..WEB };
    let (bench, versions) = serving(Config::default(), &[chat]);
    assert_eq!(versions[0].function.kind, FunctionKind::Http);
    let key = SessionKey::new("a").expect("a key");
    let lease = || async { bench.pool.lease(&versions[0], &RequestId::random(), Some(&key)).await.expect("a lease") };
    let first = lease().await.id.clone();
    restart(&bench, &versions[0]);
    until("a silent session holds no instance", || bench.launch.alive() == 0).await;
    let second = lease().await;
    assert_ne!(second.id, first);
    let id = second.id.clone();
    restart(&bench, &versions[0]);
    let third = lease().await;
    assert_ne!(third.id, id, "also while another request of the session runs");
    drop(second);
    until("that one ends", || bench.launch.alive() == 1).await;
}
