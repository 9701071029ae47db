//! Visible resources and rights of a process in a sandbox, asserted from its own output and from
//! the kernel's files.

use std::path::Path;
use std::time::{Duration, Instant};

use sandbox::Config;

use crate::lifecycle::WAIT;
use crate::runtimes::every_isolation;
use crate::support::Bench;

#[tokio::test]
async fn the_process_is_pid_1_of_its_own_namespaces_with_the_images_identity() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let args = ["ids", "cwd", "env=COLOUR", "env=HOME", "env=HOSTNAME", "cat=/proc/sys/kernel/hostname"];
    let (exit, text) = bench.run(&args).await?;
    assert_eq!(text, "0:0 pid 1\n/\nred\n/root\ninstance\ninstance\n");
    assert_eq!((exit.code, exit.out_of_memory), (Some(0), false));
    let (_, text) = bench
        .run_changed(&["ids", "cwd", "env=HOME"], |spec| {
            spec.user = "app".to_owned();
            spec.working_dir = "/srv/made/here".to_owned();
        })
        .await?;
    assert_eq!(text, "1000:1000 pid 1\n/srv/made/here\n/home/app\n");
    bench.finish().await
}

#[tokio::test]
async fn files_show_the_owners_that_the_image_gave_them() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    std::fs::write(bench.root.join("owned"), b"x")?;
    std::os::unix::fs::chown(bench.root.join("owned"), Some(1000), Some(7))?;
    let (_, text) = bench.run(&["owner=/owned", "owner=/probe", "owner=/", "owner=/tmp", "owner=/dev/shm"]).await?;
    assert_eq!(text, "1000:7\n0:0\n0:0\n0:0\n0:0\n");
    bench.finish().await
}

#[tokio::test]
async fn a_user_above_the_mapped_ids_runs_under_its_own_number() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    // Image preparation stores files of owners above the mapped ids like this.
    std::fs::create_dir(bench.root.join("data"))?;
    std::os::unix::fs::chown(bench.root.join("data"), Some(65_535), Some(65_535))?;
    std::fs::write(bench.root.join("of-root"), "x")?;
    for runtime in every_isolation() {
        for (user, group, data) in [("1000660000", 0, 65_535), ("1000660000:1000660000", 1_000_660_000, 1_000_660_000)]
        {
            let args = ["ids", "owner=/data", "fill=/data/x:1", "owner=/of-root", "owner=/volume", "fill=/volume/x:1"];
            let more = ["fill=/tmp/x:1", "say=/dev/stdout:said\n", "env=HOME"];
            let (exit, text) = bench
                .run_changed(&[&args[..], &more[..]].concat(), |spec| {
                    (spec.runtime, spec.memory_bytes, spec.user) = (runtime.clone(), 256 << 20, user.to_owned());
                    spec.volumes = vec!["/volume".to_owned()];
                })
                .await?;
            let want = format!(
                "1000660000:{group} pid 1\n1000660000:{data}\n/data/x 1 MB whole\n0:0\n1000660000:{group}\n\
                 /volume/x 1 MB whole\n/tmp/x 1 MB whole\nsaid\n/\n"
            );
            assert_eq!((text.as_str(), exit.code), (want.as_str(), Some(0)), "{runtime:?} {user}");
        }
    }
    // The next instance with these host ids is not affected.
    let (_, text) = bench.run(&["ids", "owner=/data", "fill=/data/x:1"]).await?;
    assert_eq!(text, "0:0 pid 1\n65535:65535\n/data/x 1 MB whole\n");
    bench.finish().await
}

#[tokio::test]
async fn the_kernel_says_that_the_process_is_confined() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (_, status) = bench.run(&["cat=/proc/self/status", "cat=/proc/self/uid_map", "cat=/proc/net/dev"]).await?;
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    for set in ["CapBnd:", "CapEff:", "CapPrm:"] {
        assert_eq!(field(set), "00000000000005fb", "{set}");
    }
    assert_eq!(field("CapInh:"), "0000000000000000");
    assert_eq!(field("CapAmb:"), "0000000000000000");
    let map = status.lines().find(|l| l.trim_end().ends_with("65536")).unwrap_or_default();
    let outside: u32 = map.split_whitespace().nth(1).unwrap_or("0").parse()?;
    assert!(outside >= 1_000_000, "ids inside are high ones outside: {map}");
    assert_eq!(status.lines().filter(|l| l.contains("eth") || l.contains("veth")).count(), 0);
    let (_, text) = bench.run_changed(&["cat=/proc/self/status"], |spec| spec.user = "app".to_owned()).await?;
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
    bench.finish().await
}

#[tokio::test]
async fn neither_signals_nor_descriptors_nor_processes_of_the_platform_are_inside() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let held_open = std::fs::File::open("/")?;
    let (_, text) = bench.run(&["cat=/proc/self/status", "processes"]).await?;
    for field in ["SigIgn:", "SigBlk:"] {
        assert!(text.contains(&format!("{field}\t0000000000000000")), "{text}");
    }
    assert_eq!(text.lines().filter(|l| l.starts_with("process ")).collect::<Vec<_>>(), ["process 1"]);
    // Until it executes, the child has the platform's descriptors; a path through them must not
    // become its directory or program.
    for fd in 3..=std::os::fd::AsRawFd::as_raw_fd(&held_open) + 40 {
        let dir = format!("/proc/self/fd/{fd}");
        let outcome = bench.run_changed(&["cwd"], |spec| spec.working_dir = dir.clone()).await;
        assert!(outcome.is_err(), "{dir} was entered: {outcome:?}");
        let program = format!("{dir}/bin/true");
        let outcome = bench.run_changed(&[], |spec| spec.argv = vec![program.clone()]).await;
        assert!(outcome.is_err(), "{program} was executed: {outcome:?}");
    }
    drop(held_open);
    bench.finish().await
}

#[tokio::test]
async fn the_platforms_own_process_is_as_before_and_not_dumpable() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let score = || std::fs::read_to_string("/proc/self/oom_score_adj");
    let before = score()?;
    let (spec, _output) = bench.spec(&["sleep=60"])?;
    let sandbox = bench.sandboxes.launch(spec).await?;
    assert_eq!(rustix::process::dumpable_behavior()?, rustix::process::DumpableBehavior::NotDumpable);
    assert_eq!(score()?, before);
    assert_eq!(std::fs::read_to_string(format!("/proc/{}/oom_score_adj", sandbox.pid()))?.trim(), "500");
    bench.finish().await
}

#[tokio::test]
async fn an_instance_has_its_out_of_memory_score_from_its_first_moment_on() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let args = ["cat=/proc/self/oom_score_adj", "say=/proc/self/oom_score_adj:0", "cat=/proc/self/oom_score_adj"];
    // A score that was raised without CAP_SYS_RESOURCE can be lowered again: the doctor reports
    // that.
    let kept = !sandbox::doctor().iter().any(|check| check.name == "oom score" && !check.remedy.is_empty());
    let want = if kept { "500\n/proc/self/oom_score_adj Permission denied\n500\n" } else { "500\n0\n" };
    for runtime in every_isolation().filter(|runtime| runtime.as_ref().is_none_or(|known| known.name() != "runsc")) {
        let change = |spec: &mut sandbox::LaunchSpec| {
            (spec.runtime, spec.memory_bytes) = (runtime.clone(), 256 << 20);
        };
        let (_, text) = bench.run_changed(&args, change).await?;
        assert_eq!(text, want, "{runtime:?}");
    }
    bench.finish().await
}

#[tokio::test]
async fn the_images_user_writes_to_its_output_by_name_and_reads_the_platforms_files() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    // As in a daemon with a strict umask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    std::fs::set_permissions(&bench.root, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let all = ["say=/dev/stdout:out\n", "say=/dev/stderr:err\n", "say=/dev/null:x", "cat=/etc/hostname"];
    let (_, text) = bench.run_changed(&all, |spec| spec.user = "app".to_owned()).await?;
    assert_eq!(text, "out\nerr\ninstance\n");
    let (_, text) = bench.run(&["cat=/etc/hosts", "cat=/etc/resolv.conf"]).await?;
    assert!(text.contains("127.0.0.1\tlocalhost instance\n") && text.contains("options timeout"), "{text}");
    bench.finish().await
}

#[tokio::test]
async fn a_program_with_file_capabilities_or_set_id_bits_runs_and_gains_nothing() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    // CAP_NET_RAW in the permitted set, effective at once (linux/capability.h, `vfs_cap_data` of
    // revision 2).
    let capability: Vec<u8> = [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let probe = bench.root.join("probe");
    for runtime in every_isolation() {
        for user in ["", "app"] {
            std::fs::set_permissions(&probe, std::os::unix::fs::PermissionsExt::from_mode(0o6755))?;
            rustix::fs::setxattr(&probe, "security.capability", &capability, rustix::fs::XattrFlags::empty())?;
            let (exit, text) = bench
                .run_changed(&["cat=/proc/self/status"], |spec| {
                    (spec.runtime, spec.memory_bytes, spec.user) = (runtime.clone(), 256 << 20, user.to_owned());
                })
                .await?;
            let (id, capabilities) = if user.is_empty() { (0, "00000000000005fb") } else { (1000, "0000000000000000") };
            assert_eq!(exit.code, Some(0), "{runtime:?} {user}: {text}");
            for line in [
                format!("Uid:\t{id}\t{id}\t{id}\t{id}\n"),
                format!("CapPrm:\t{capabilities}\n"),
                format!("CapEff:\t{capabilities}\n"),
            ] {
                assert!(text.contains(&line), "{runtime:?} {user}: {line} {text}");
            }
        }
    }
    bench.finish().await
}

#[tokio::test]
async fn the_images_user_pings_and_opens_terminals() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    // gVisor has terminals of its own, and no such sockets in the host's network.
    for runtime in every_isolation().filter(|runtime| runtime.as_ref().is_none_or(|known| known.name() != "runsc")) {
        for (user, id) in [("", 0), ("app", 1000), ("65534:60000", 65_534), ("1000660000", 1_000_660_000)] {
            let args = ["echo=127.0.0.1", "terminal", "owner=/dev/pts", "owner=/dev/pts/ptmx", "owner=/dev/ptmx"];
            let (_, text) = bench
                .run_changed(&args, |spec| {
                    (spec.runtime, spec.memory_bytes, spec.user) = (runtime.clone(), 256 << 20, user.to_owned());
                })
                .await?;
            let want = format!("127.0.0.1 answers\n/dev/pts/0 {id}:5 620\n0:0\n0:0\n0:0\n");
            assert_eq!(text, want, "{runtime:?} {user}");
        }
    }
    bench.finish().await
}

#[tokio::test]
async fn names_work_whatever_stands_in_the_place_of_the_platforms_files() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let etc = bench.root.join("etc");
    std::fs::write(bench.root.join("secret"), "kept")?;
    std::os::unix::fs::symlink("/secret", etc.join("hosts"))?;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, etc.join("hostname"), fifo, rustix::fs::Mode::RWXU, 0)?;
    std::os::unix::fs::symlink("../run/systemd/resolve/stub", etc.join("resolv.conf"))?;
    let args =
        ["cat=/secret", "cat=/etc/hostname", "cat=/etc/hosts", "cat=/run/systemd/resolve/stub", "cat=/etc/resolv.conf"];
    let (exit, text) = bench.run(&args).await?;
    assert_eq!(exit.code, Some(0), "{text}");
    assert!(text.starts_with("keptinstance\n127.0.0.1\tlocalhost instance\n"), "{text}");
    assert_eq!(text.matches("options timeout").count(), 2, "the link and where it leads: {text}");
    bench.finish().await
}

#[tokio::test]
async fn no_link_in_etc_has_the_platform_write_outside_of_the_root() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let outside = bench.root.with_file_name("outside");
    std::fs::write(&outside, "of the machine")?;
    let core_pattern = "/proc/sys/kernel/core_pattern";
    let before = std::fs::read_to_string(core_pattern)?;
    let targets =
        [outside.clone(), "/proc/1/root/tmp/x".into(), core_pattern.into(), "/dev/full".into(), "hosts".into()];
    for runtime in every_isolation() {
        for target in &targets {
            for (name, target) in [("hosts", target.clone()), ("resolv.conf", Path::new("../../../../..").join(target))]
            {
                std::fs::remove_file(bench.root.join("etc").join(name)).ok();
                std::os::unix::fs::symlink(&target, bench.root.join("etc").join(name))?;
            }
            let (exit, text) = bench
                .run_changed(&["cat=/etc/hosts", "cat=/etc/resolv.conf"], |spec| {
                    (spec.runtime, spec.memory_bytes) = (runtime.clone(), 256 << 20);
                })
                .await?;
            assert_eq!(exit.code, Some(0), "{}: {text}", target.display());
            assert!(
                text.contains("localhost instance") && text.contains("options timeout"),
                "{}: {text}",
                target.display()
            );
        }
    }
    assert_eq!(std::fs::read_to_string(&outside)?, "of the machine");
    assert_eq!(std::fs::read_to_string(core_pattern)?, before);
    bench.finish().await
}

#[tokio::test]
async fn volumes_are_there_for_the_user_and_a_tmp_with_entries_stays() -> anyhow::Result<()> {
    for runtime in every_isolation() {
        let bench = Bench::new().await?;
        let volumes = ["/data", "/srv/deep/data", "/there", "/tmp/cache"];
        std::fs::create_dir(bench.root.join("there"))?;
        std::os::unix::fs::chown(bench.root.join("there"), Some(5), Some(6))?;
        let change = |spec: &mut sandbox::LaunchSpec| {
            (spec.runtime, spec.memory_bytes, spec.user) = (runtime.clone(), 256 << 20, "app".to_owned());
            spec.volumes = volumes.map(str::to_owned).to_vec();
        };
        let owners = volumes.map(|volume| format!("owner={volume}"));
        let fills = ["fill=/data/x:1", "fill=/srv/deep/data/x:1", "fill=/tmp/cache/x:1", "fill=/tmp/x:1"];
        let args: Vec<_> = owners.iter().map(String::as_str).chain(["owner=/srv/deep"]).chain(fills).collect();
        let (_, text) = bench.run_changed(&args, change).await?;
        assert!(text.starts_with("1000:1000\n1000:1000\n5:6\n1000:1000\n0:0\n"), "{runtime:?} {text}");
        assert_eq!(text.matches("whole").count(), fills.len(), "{runtime:?} {text}");

        // A directory that is not empty is the image's, open to all users, and bounded as the
        // writable layer is.
        std::fs::create_dir(bench.root.join("tmp"))?;
        std::fs::write(bench.root.join("tmp/model"), "of the image\n")?;
        let args = ["cat=/tmp/model", "owner=/tmp/cache", "fill=/tmp/x:1", "fill=/tmp/y:20"];
        let (_, text) = bench.run_changed(&args, change).await?;
        assert!(text.starts_with("of the image\n1000:1000\n/tmp/x 1 MB whole\n"), "{runtime:?} {text}");
        assert!(text.contains("/tmp/y 7 MB"), "{runtime:?} {text}");
        bench.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_tmp_that_is_a_link_to_nothing_is_a_mount_all_the_same() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    std::os::unix::fs::symlink("var/volatile/tmp", bench.root.join("tmp"))?;
    for runtime in every_isolation() {
        let (_, text) = bench
            .run_changed(&["fill=/tmp/x:1", "fill=/var/volatile/tmp/x:1", "fill=/tmp/x:20", "cwd"], |spec| {
                (spec.runtime, spec.memory_bytes, spec.user) = (runtime.clone(), 256 << 20, "app".to_owned());
                spec.working_dir = "/tmp/work".to_owned();
            })
            .await?;
        assert_eq!(text.matches("whole").count(), 2, "{runtime:?} {text}");
        assert!(text.ends_with("\n/var/volatile/tmp/work\n"), "{runtime:?} {text}");
    }
    bench.finish().await
}

#[tokio::test]
async fn what_is_in_the_way_of_mounts_is_the_images_fault_and_named() -> anyhow::Result<()> {
    for path in ["proc", "sys", "dev", "tmp"] {
        let bench = Bench::new().await?;
        std::fs::write(bench.root.join(path), "a file")?;
        let error = bench.run(&[]).await.expect_err("no mount can be there");
        let error = error.downcast_ref::<sandbox::Error>().expect("of the sandbox");
        assert!(error.is_images_fault() && error.to_string().contains(&format!("a file at /{path},")), "{error}");
        bench.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn ways_out_are_refused() -> anyhow::Result<()> {
    // The instance is the same whether mounts are assembled ahead or by each start.
    for assemble_mounts in [true, false] {
        refuses(Bench::with(Config { assemble_mounts, ..Config::default() }).await?).await?;
    }
    Ok(())
}

async fn refuses(bench: Bench) -> anyhow::Result<()> {
    let (_, text) = bench.run(&["unshare", "mount", "packet", "mknod", "tiocsti"]).await?;
    let refused = "Operation not permitted";
    let want = format!(
        "unshare {refused}\nmount {refused}\npacket Address family not supported by protocol\nmknod {refused}\ntiocsti {refused}\n"
    );
    assert_eq!(text, want);
    let paths = ["write=/proc/sys/kernel/core_pattern", "write=/proc/sysrq-trigger", "write=/sys/kernel/uevent_helper"];
    let (_, text) = bench.run(&paths).await?;
    assert_eq!(text.lines().filter(|l| l.ends_with("opened")).count(), 0, "{text}");
    let (_, text) = bench.run(&["cat=/proc/kcore", "cat=/proc/keys", "cat=/proc/timer_list"]).await?;
    let shown: Vec<&str> = text.lines().filter(|l| !l.ends_with("No such file or directory")).collect();
    assert!(shown.is_empty(), "masked files are empty, where the kernel has them: {shown:?}");
    let (_, text) = bench.run(&["cat=/proc/self/mountinfo"]).await?;
    for covered in ["/sys/firmware", "/proc/keys", "/proc/timer_list"] {
        let there = std::path::Path::new(covered).exists();
        assert_eq!(text.contains(&format!(" {covered} ")), there, "{covered} is covered if the kernel has it: {text}");
    }
    let host = std::fs::read_to_string("/proc/self/mountinfo")?;
    let device = host.lines().find(|l| l.contains(" / / ")).and_then(|l| l.split(' ').nth(2)).unwrap_or("none");
    assert!(!text.contains(&format!(" {device} / ")), "the host's root is mounted: {text}");
    bench.finish().await
}

#[tokio::test]
async fn the_kernel_has_the_limits_that_were_asked_for() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (mut spec, _output) = bench.spec(&["serve=9000"])?;
    (spec.memory_bytes, spec.cpu_quota_us, spec.pids_max, spec.files_max) = (96 << 20, 50_000, 77, 99);
    spec.cpu_start_quota_us = 150_000;
    let sandbox = bench.sandboxes.launch(spec).await?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", sandbox.pid()))?;
    let limit = |name: &str| limits.lines().find(|l| l.starts_with(name)).map(|l| l[26..].trim_end().to_owned());
    assert_eq!(limit("Max open files").as_deref(), Some("99                   99                   files"));
    assert_eq!(limit("Max core file size").as_deref(), Some("1                    1                    bytes"));
    let read = |file: &str| {
        let places = bench.cgroups_of(&sandbox).into_iter().map(|dir| dir.join(file));
        places.filter_map(|path| std::fs::read_to_string(path).ok()).next().map(|text| text.trim().to_owned())
    };
    // Version 2 or version 1, whichever this machine has.
    let either = |v2: &str, v1: &str| read(v2).or_else(|| read(v1));
    assert_eq!(either("memory.max", "memory.limit_in_bytes").as_deref(), Some("100663296"));
    let quota = || either("cpu.max", "cpu.cfs_quota_us").unwrap_or_default();
    assert!(matches!(quota().as_str(), "150000 100000" | "150000"), "until it listens: {}", quota());
    assert_eq!(read("pids.max").as_deref(), Some("77"));
    assert_eq!(either("cgroup.procs", "tasks"), Some(sandbox.pid().to_string()));
    sandbox.wait_listening(9000, WAIT).await.expect("it listens");
    let deadline = Instant::now() + WAIT;
    while !matches!(quota().as_str(), "50000 100000" | "50000") {
        assert!(Instant::now() < deadline, "its quota is still {}", quota());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bench.finish().await
}

#[tokio::test]
async fn an_instance_starts_however_many_files_the_platform_has_open() -> anyhow::Result<()> {
    const FILES_MAX: u64 = 99;
    let bench = Bench::new().await?;
    let open = (0..2 * FILES_MAX).map(|_| std::fs::File::open("/dev/null")).collect::<Result<Vec<_>, _>>()?;
    let (exit, text) = bench.run_changed(&["ids"], |spec| spec.files_max = FILES_MAX).await?;
    assert_eq!((text.as_str(), exit.code), ("0:0 pid 1\n", Some(0)));
    drop(open);
    bench.finish().await
}

#[tokio::test]
async fn bombs_stay_inside() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (exit, text) = bench.run(&["forks", "files"]).await?;
    assert_eq!((text.as_str(), exit.code), ("forks bounded\nfiles bounded\n", Some(0)));
    let (exit, _) = bench.run(&["alloc=200", "sleep=5"]).await?;
    assert!(exit.out_of_memory && exit.signal == Some(9), "{exit:?}");
    let (exit, _) = bench.run(&["exit=3"]).await?;
    assert_eq!((exit.code, exit.out_of_memory), (Some(3), false));
    bench.finish().await
}

#[tokio::test]
async fn the_writable_layer_and_tmp_are_bounded_and_go_with_the_instance() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let fills = ["fill=/in-root:4", "fill=/tmp/file:4", "fill=/in-root:20", "fill=/tmp/file:20"];
    let (_, text) = bench.run(&fills).await?;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("whole") && lines[1].ends_with("whole"), "{text}");
    assert!(!lines[2].ends_with("whole") && !lines[3].ends_with("whole"), "{text}");
    assert!(!bench.root.join("in-root").exists(), "the image's own directory is never written");
    bench.finish().await
}

#[tokio::test]
async fn an_image_of_more_layers_than_a_launcher_has_seats_starts() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let more: Vec<_> = (0..64).map(|number| bench.root.with_file_name(format!("layer-{number}"))).collect();
    for layer in &more {
        std::fs::create_dir(layer)?;
    }
    std::fs::write(more[63].join("lowest"), "there")?;
    let layers = more.iter().chain([&bench.root]).cloned().collect();
    let (exit, text) =
        bench.run_changed(&["cat=/lowest", "cat=/etc/hostname"], |spec| spec.lower_dirs = layers).await?;
    assert_eq!((exit.code, text.as_str()), (Some(0), "thereinstance\n"));
    bench.finish().await
}
