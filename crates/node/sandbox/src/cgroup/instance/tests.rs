//! The cgroup of an instance on trees of plain files that look like version 1 and 2.

use std::fs;

use super::*;
use crate::cgroup::files::lift_quota;
use crate::cgroup::{Ceilings, Cgroups};

const CEILINGS: Ceilings = Ceilings { tasks_max: Some(900), socket_bytes_max: Some(9 << 20) };

const SMALL: Limits =
    Limits { memory_bytes: 128 << 20, cpu_quota_us: 7_142, cpu_start_quota_us: 100_000, pids_max: 64 };

/// A tree of plain files that looks like version 2; what is written can be read back.
#[test]
fn version_2_directories_get_their_limits_and_are_read_back() {
    let tree = tempfile::tempdir().expect("a folder");
    let layout = Layout { v1: Default::default(), freezer: None, v2: Some(tree.path().to_owned()) };
    let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
    let handed = fs::read_to_string(tree.path().join("ours/cgroup.subtree_control")).expect("written");
    assert_eq!(handed, "+pids", "the last controller that was handed down");
    let ceiling = fs::read_to_string(tree.path().join("ours/pids.max")).expect("written");
    assert_eq!(ceiling, "900", "of all instances together");
    let mut instance = cgroups.create("i-1").expect("made");
    instance.limit(SMALL).expect("limited");
    let folder = tree.path().join("ours/i-1");
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("written");
    assert_eq!(read("memory.max"), (128 << 20).to_string());
    assert_eq!(read("memory.swap.max"), "0");
    assert_eq!(read("cpu.max"), "100000 100000", "a start takes its processor time ahead");
    assert_eq!(read("cpu.weight"), "7");
    // The kernel's files have no length that a shorter value would leave something of.
    fs::write(folder.join("cpu.max"), "").expect("emptied");
    instance.settle().expect("settled");
    assert_eq!(read("cpu.max"), "7142 100000");
    assert_eq!(read("pids.max"), "64");
    assert_eq!(instance.memory_peak_bytes(), 0, "nothing is known of it");
    fs::write(folder.join("memory.stat"), "anon 5\nfile 90\n").expect("written");
    fs::write(folder.join("memory.current"), "95\n").expect("written");
    assert_eq!(instance.memory_peak_bytes(), 5, "of a kernel without memory.peak");
    fs::write(folder.join("memory.stat"), "anon 7\nfile 90\n").expect("written");
    fs::write(folder.join("memory.peak"), "97\n").expect("written");
    assert_eq!(instance.memory_peak_bytes(), 5, "as good as the same");
    instance.sample_memory();
    assert_eq!(instance.memory_peak_bytes(), 7);
    fs::write(folder.join("memory.peak"), "128\n").expect("written");
    fs::write(folder.join("memory.stat"), "anon 9\nfile 90\n").expect("written");
    assert_eq!(instance.memory_peak_bytes(), 9, "more is charged to it");
    fs::write(folder.join("memory.events.local"), "low 0\noom 1\noom_kill 2\n").expect("written");
    assert_eq!(instance.out_of_memory_kills(), 2);
    assert_eq!(instance.memory_peak_bytes(), 128 << 20, "what was killed for memory used its limit");
    let fds = instance.fds().expect("opened");
    assert!(fds.v1_tasks.is_empty() && fds.v2_directory.is_some());
    let freezer = instance.freezer().expect("there").clone();
    freezer.freeze().expect("written");
    assert_eq!(read("cgroup.freeze"), "1");
    freezer.thaw().expect("written");
    assert!(read("cgroup.freeze") == "0" && !freezer.holds_kills());
    fs::write(folder.join("memory.stat"), "anon 7\ninactive_file 4096\nactive_file 3\n").expect("written");
    instance.reclaim().expect("there").run().expect("written");
    assert_eq!(read("memory.reclaim"), "4096");
}

#[test]
fn a_directory_that_is_removed_has_no_processor_quota_any_more() {
    let tree = tempfile::tempdir().expect("a folder");
    let layout = Layout { v1: Default::default(), freezer: None, v2: Some(tree.path().to_owned()) };
    let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
    let mut instance = cgroups.create("i-1").expect("made");
    instance.limit(SMALL).expect("limited");
    // Plain files keep it from going.
    instance.remove();
    let quota = |file: &str| fs::read_to_string(tree.path().join("ours/i-1").join(file)).expect("there");
    assert_eq!(quota("cpu.max"), "max");
    fs::write(tree.path().join("ours/i-1/cpu.cfs_quota_us"), "7142").expect("written");
    lift_quota(&tree.path().join("ours/i-1")).expect("lifted");
    assert_eq!(quota("cpu.cfs_quota_us"), "-1");
}

#[test]
fn limits_are_written_again_only_when_they_change() {
    let tree = tempfile::tempdir().expect("a folder");
    let layout = Layout { v1: Default::default(), freezer: None, v2: Some(tree.path().to_owned()) };
    let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
    let mut instance = cgroups.create("i-1").expect("made");
    let file = tree.path().join("ours/i-1/memory.max");
    instance.limit(SMALL).expect("limited");
    fs::remove_file(&file).expect("there");
    instance.limit(SMALL).expect("limited");
    assert!(!file.exists());
    instance.limit(Limits { memory_bytes: 1 << 30, ..SMALL }).expect("limited");
    assert_eq!(fs::read_to_string(&file).expect("written"), (1 << 30).to_string());
}

#[test]
fn version_1_alone_freezes_by_its_freezer() {
    let tree = tempfile::tempdir().expect("a folder");
    let root = |name: &str| {
        let root = tree.path().join(name);
        fs::create_dir(&root).expect("made");
        root
    };
    let v1 = ["memory", "cpu", "pids"].map(|name| (name, root(name))).into();
    let layout = Layout { v1, freezer: Some(root("freezer")), v2: None };
    let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
    let mut instance = cgroups.create("i-1").expect("made");
    instance.limit(SMALL).expect("limited");
    let read = |file: &str| fs::read_to_string(tree.path().join(file)).expect("written");
    assert_eq!(read("pids/ours/pids.max"), "900");
    assert_eq!(read("memory/ours/memory.kmem.tcp.limit_in_bytes"), (9 << 20).to_string());
    assert_eq!(read("memory/ours/i-1/memory.kmem.tcp.limit_in_bytes"), SMALL.memory_bytes.to_string());
    let freezer = instance.freezer().expect("there");
    freezer.freeze().expect("written");
    let file = tree.path().join("freezer/ours/i-1/freezer.state");
    assert_eq!(fs::read_to_string(&file).expect("written"), "FROZEN");
    assert!(freezer.holds_kills(), "a frozen process of version 1 dies only when it is thawed");
    assert!(instance.reclaim().is_none());
}
