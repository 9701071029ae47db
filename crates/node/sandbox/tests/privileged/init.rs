//! Instances with an init before the image's program, in Sampan's own isolation and under other
//! runtimes.

use std::time::Duration;

use sandbox::{LaunchSpec, Runtime};

use crate::runtimes::installed;
use crate::stopping::ended;
use crate::support::Bench;

/// Sampan's own isolation, and the runtimes that run an init as their child.
fn runtimes() -> Vec<Option<Runtime>> {
    std::iter::once(None).chain(["runc", "crun"].map(|name| Some(installed(name)))).collect()
}

fn with_init(runtime: &Option<Runtime>) -> impl FnOnce(&mut LaunchSpec) {
    let runtime = runtime.clone();
    |spec| (spec.init, spec.runtime, spec.memory_bytes) = (true, runtime, 256 << 20)
}

#[tokio::test]
async fn the_program_is_a_child_with_all_that_it_has_without_and_its_code_is_the_instances() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let args = ["ids", "env=COLOUR", "cwd", "cat=/proc/1/comm", "cat=/proc/self/oom_score_adj", "exit=7"];
    for runtime in runtimes() {
        let change = |spec: &mut LaunchSpec| {
            with_init(&runtime)(spec);
            (spec.user, spec.working_dir) = ("app".to_owned(), "/srv".to_owned());
        };
        let (exit, text) = bench.run_changed(&args, change).await?;
        let (who, rest) = text.split_once('\n').unwrap_or_default();
        assert!(who.starts_with("1000:1000 pid ") && !who.ends_with(" 1"), "{runtime:?}: {who}");
        assert_eq!(rest, "red\n/srv\ninit\n500\n", "{runtime:?}");
        assert_eq!((exit.code, exit.out_of_memory), (Some(7), false), "{runtime:?}");
    }
    bench.finish().await
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_and_one_by_name_is_found() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in runtimes() {
        for (program, code, said) in [
            ("/missing", 127, "init: cannot execute /missing: there is no such file"),
            ("missing", 127, "init: cannot execute missing: there is no such file"),
            ("/etc/passwd", 126, "init: cannot execute /etc/passwd: it is not executable"),
            ("probe", 5, ""),
        ] {
            let change = |spec: &mut LaunchSpec| {
                with_init(&runtime)(spec);
                spec.argv = vec![program.to_owned(), "exit=5".to_owned()];
                spec.env = vec![("PATH".to_owned(), "/nowhere::/etc:/".to_owned())];
            };
            let (exit, text) = bench.run_changed(&[], change).await?;
            assert_eq!(exit.code, Some(code), "{runtime:?} {program} {text}");
            assert!(text.starts_with(said), "{runtime:?} {program} {text}");
        }
    }
    bench.finish().await
}

#[tokio::test]
async fn signals_are_passed_on_and_one_that_ends_the_program_is_told_by_its_code() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in runtimes() {
        for (args, code, said) in [(&["catch=15", "ready"][..], 3, "asked 15\n"), (&["ready"], 128 + 15, "")] {
            let stop = |sandbox: &sandbox::Sandbox| sandbox.stop(libc::SIGTERM, Duration::from_secs(600));
            let (exit, text) = ended(&bench, args, with_init(&runtime), stop).await?;
            assert_eq!((exit.code, text.as_str()), (Some(code), said), "{runtime:?}");
        }
    }
    bench.finish().await
}

#[tokio::test]
async fn whatever_ends_is_reaped_by_the_init_and_stays_without() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in runtimes() {
        let (_, text) = bench.run_changed(&["orphans=5", "zombies"], with_init(&runtime)).await?;
        assert_eq!(text, "zombies 0\n", "{runtime:?}");
        let without = |spec: &mut LaunchSpec| {
            with_init(&runtime)(spec);
            spec.init = false;
        };
        let (_, text) = bench.run_changed(&["orphans=5", "zombies"], without).await?;
        assert_eq!(text, "zombies 5\n", "{runtime:?}: nobody reaps for a program that does not ask for it");
    }
    bench.finish().await
}

#[tokio::test]
async fn the_init_cannot_be_changed_from_inside() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in runtimes() {
        let (_, text) = bench.run_changed(&["write=/proc/1/exe", "write=/dev/init"], with_init(&runtime)).await?;
        assert!(!text.contains("opened"), "{runtime:?}: {text}");
    }
    bench.finish().await
}
