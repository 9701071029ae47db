//! The wrappers on the real kernel. Needs root.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use sys::event::{Timer, readable};
use sys::namespace::{IdRange, UserNamespace};
use sys::process::Ended;
use sys::{Stack, bpf, namespace, process};

fn network() -> String {
    fs::read_link("/proc/thread-self/ns/net").expect("a link").display().to_string()
}

fn interfaces() -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").expect("a table");
    table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

#[test]
fn a_thread_is_home_again_after_it_was_in_another_network() {
    let (home, before) = (namespace::current_network().expect("home"), network());
    let made = namespace::new_network(home.as_fd(), || {
        assert_ne!(network(), before);
        Ok(())
    });
    let made = made.expect("a network");
    assert_eq!(network(), before);
    let inside = namespace::in_network(made.as_fd(), home.as_fd(), || {
        // Its loopback is up: a connection to a closed port is refused, not unreachable.
        let refused = std::net::TcpStream::connect("127.0.0.1:9").expect_err("nobody listens").kind();
        Ok((interfaces(), refused))
    });
    let (interfaces, refused) = inside.expect("inside");
    assert!(interfaces.contains(&"lo".to_owned()) && !interfaces.contains(&"eth0".to_owned()), "{interfaces:?}");
    assert_eq!(refused, io::ErrorKind::ConnectionRefused);
    namespace::in_network(made.as_fd(), home.as_fd(), || Err::<(), _>(io::ErrorKind::Other.into()))
        .expect_err("failed");
    assert_eq!(network(), before, "home again after a failure too");
}

#[test]
fn a_failed_preparation_makes_no_network() {
    let (home, before) = (namespace::current_network().expect("home"), network());
    namespace::new_network(home.as_fd(), || Err(io::ErrorKind::Other.into())).expect_err("not prepared");
    assert_eq!(network(), before);
}

#[test]
fn a_user_namespace_is_made_without_a_process_that_stays() {
    let mut stack = Stack::new().expect("a stack");
    let children = || fs::read_to_string("/proc/thread-self/children").expect("a list");
    let before = children();
    let ids = |outside| [IdRange { inside: 0, outside, count: 1000 }];
    let mut make = |users: &[IdRange]| {
        let limits = &[(libc::RLIMIT_SIGPENDING, 64)];
        UserNamespace { owner: 2_000_000, users, groups: &ids(7), limits }.make(&mut stack)
    };
    for number in 0..3 {
        make(&ids(2_000_000 + number * 1000)).expect("a namespace");
    }
    assert_eq!(children(), before);
    let two = [IdRange { inside: 0, outside: 7, count: 9 }, IdRange { inside: 1_000_660_000, outside: 16, count: 1 }];
    make(&two).expect("of two ranges");
    // Ids beyond the highest cannot be mapped.
    make(&ids(u32::MAX - 5)).expect_err("no such ids");
    assert_eq!((children(), rustix::process::geteuid().as_raw()), (before, 0));
}

#[test]
fn a_user_namespace_that_cannot_be_made_says_why_and_leaves_nothing() {
    let mut stack = Stack::new().expect("a stack");
    let open = || fs::read_dir("/proc/self/fd").expect("a list").count();
    let (before, limits) = (open(), getrlimit(Resource::Sigpending));
    let namespace = UserNamespace { owner: 5, users: &[], groups: &[], limits: &[(u32::MAX, 1)] };
    let error = namespace.make(&mut stack).expect_err("no such resource");
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    assert_eq!((open(), getrlimit(Resource::Sigpending)), (before, limits));
    assert_eq!(dumpable_behavior().expect("known"), DumpableBehavior::NotDumpable);
}

#[tokio::test]
#[allow(clippy::zombie_processes)] // It is waited for by its pidfd, which is what is tested.
async fn the_end_of_a_process_is_seen_and_told() {
    for (script, signal, want) in
        [("exit 7", None, Ended::Code(7)), ("exec sleep 60", Some(libc::SIGKILL), Ended::Signal(libc::SIGKILL))]
    {
        let child = Command::new("sh").args(["-c", script]).spawn().expect("a shell");
        let pidfd = process::open(i32::try_from(child.id()).expect("a pid")).expect("our child");
        if let Some(signal) = signal {
            process::send_signal(&pidfd, signal).expect("sent");
        }
        let end = readable(pidfd).expect("registered");
        end.readable().await.expect("its end").retain_ready();
        assert_eq!(process::wait(end.get_ref()).expect("reaped"), want, "{script}");
        process::wait(end.get_ref()).expect_err("reaped once only");
    }
    assert!(process::open(i32::MAX).is_err());
}

#[tokio::test]
async fn a_timer_waits_as_long_as_it_is_told_and_can_be_given_up() {
    let mut timer = Timer::new().expect("a timer");
    // A cancelled wait leaves no expiration that the next one would take for its own.
    tokio::select! {
        biased;
        slept = timer.sleep(Duration::from_secs(60)) => panic!("{slept:?}"),
        () = tokio::task::yield_now() => {}
    }
    for wait in [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(3)] {
        let begun = Instant::now();
        timer.sleep(wait).await.expect("it fires");
        assert!(begun.elapsed() >= wait);
    }
}

#[test]
fn this_kernel_has_clone3() {
    assert!(sys::clone3_available());
}

/// Removes the test's cgroup directory even when the test fails.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

/// Environment variable with the cgroup directory of [`a_process_that_listens`].
const LISTENER: &str = "SAMPAN_TEST_LISTENER";
/// More than the ring buffer holds at once.
const LISTENS: usize = 4000;

/// Not a test of its own: the next one runs it in another process, which joins a cgroup and listens
/// there.
#[test]
fn a_process_that_listens() {
    let Some(directory) = std::env::var_os(LISTENER) else { return };
    fs::write(PathBuf::from(directory).join("cgroup.procs"), "0").expect("joined");
    for _ in 0..LISTENS {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        println!("\nport {}", listener.local_addr().expect("an address").port());
        io::stdin().read_line(&mut String::new()).expect("a line");
    }
}

#[test]
fn sockets_that_begin_to_listen_are_told_of_with_their_network_and_port() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("a table");
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("cgroup2 is mounted");
    let root = mount.split(' ').nth(4).expect("a mount point");
    let directory = Directory(format!("{root}/sampan-test-{}", std::process::id()).into());
    fs::create_dir(&directory.0).expect("made");
    let mut listens = bpf::Listens::attach(&File::open(&directory.0).expect("open")).expect("attached");
    let mut seen = Vec::new();
    listens.read(|listen| seen.push(listen));
    assert!(seen.is_empty(), "nobody is in the directory: {seen:?}");

    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_process_that_listens", "--nocapture"])
        .env(LISTENER, &directory.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let (mut input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut told = 0;
    let here = bpf::network_cookie(&UdpSocket::bind("127.0.0.1:0").expect("a socket")).expect("a cookie");
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    for port in lines.filter_map(|line| line.strip_prefix("port ")?.parse::<u16>().ok()) {
        let mut seen = Vec::new();
        listens.read(|listen| seen.push((listen.network, listen.port())));
        assert_eq!(seen, [(here, port)]);
        input.write_all(b"\n").expect("it reads");
        told += 1;
    }
    assert_eq!(told, LISTENS);
    assert!(child.wait().expect("it ends").success());
}
