//! Functions' lists of what they may reach.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context;
use network::{Config, EgressSpec, Network};

use crate::world::{FAR, Instance, MACHINE, METADATA, NEIGHBOUR, PORT, SILENCE, WAIT, World, tcp, udp, until};

/// How long answers of the name server may be kept.
const ANSWER_LIFE: Duration = Duration::from_secs(1);
/// Whether `turning.example` has another address than at first; of one test alone.
static TURNED: AtomicBool = AtomicBool::new(false);

/// Puts an instance under a list; what is refused to it comes to the receiver.
fn restrict(instance: &Instance, owner: &str, entries: &[&str]) -> anyhow::Result<Receiver<String>> {
    let (tell, told) = channel();
    let list = types::Egress::parse(entries)?;
    let refused = Arc::new(move |refused: &network::Refused| drop(tell.send(refused.to_string())));
    instance.link.restrict(EgressSpec { owner: owner.to_owned(), list, refused })?;
    Ok(told)
}

#[track_caller]
fn refused(instance: &Instance, address: Ipv4Addr, port: u16) {
    let error = instance.tcp(address, port).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}:{port}: {error}");
}

#[test]
fn only_what_is_on_the_list_is_reached_and_the_rest_refused_at_once() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        for port in [PORT, PORT + 1] {
            world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, port))?;
        }
        let (free, ranges, ports, none) = (
            world.instance(&network)?,
            world.instance(&network)?,
            world.instance(&network)?,
            world.instance(&network)?,
        );
        let told = restrict(&ranges, "ranges", &["198.51.100.0/24", "198.51.100.2"])?;
        restrict(&ports, "ports", &["198.51.100.2:7000", "203.0.113.0/24:6000-7000"])?;
        restrict(&none, "none", &["none"])?;
        let reached = MACHINE.to_string();
        assert_eq!(free.tcp(FAR, PORT + 1)?, reached, "without a list");
        assert_eq!(
            (ranges.tcp(NEIGHBOUR, PORT)?, ranges.udp(NEIGHBOUR, PORT + 1)?),
            (reached.clone(), reached.clone())
        );
        refused(&ranges, FAR, PORT);
        assert_eq!(told.recv_timeout(WAIT)?, "tcp 203.0.113.5:7000");
        assert_eq!((ports.udp(NEIGHBOUR, PORT)?, ports.tcp(FAR, PORT)?), (reached.clone(), reached));
        refused(&ports, NEIGHBOUR, PORT + 1);
        refused(&ports, FAR, PORT + 1);
        for address in [NEIGHBOUR, FAR] {
            refused(&none, address, PORT);
            let error = none.udp(address, PORT).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::HostUnreachable, "{error}");
        }
        // Once for each destination, however often it was tried.
        refused(&ranges, FAR, PORT);
        refused(&ranges, FAR, PORT + 1);
        assert_eq!(told.recv_timeout(WAIT)?, "tcp 203.0.113.5:7001");
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn what_the_operator_denies_is_on_no_list() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        world.serve(Ipv4Addr::UNSPECIFIED, PORT)?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let (instance, neighbour) = (world.instance(&network)?, world.instance(&network)?);
        neighbour.inside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        restrict(&instance, "all", &["0.0.0.0/0"])?;
        assert_eq!(instance.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        for address in [MACHINE, METADATA, neighbour.link.address()] {
            refused(&instance, address, PORT);
        }
        // The relay to the machine's ports knows nothing of the instance, and resets.
        for address in [network.name_server(), network.gateway().expect("it is on")] {
            let error = instance.tcp(address, PORT).expect_err("reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{address}");
        }
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn ports_of_a_list_leave_no_way_for_pings() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        let (any, with_ports) = (world.instance(&network)?, world.instance(&network)?);
        restrict(&any, "any", &["198.51.100.2"])?;
        let told = restrict(&with_ports, "ports", &["198.51.100.2:1-65535"])?;
        let ping = |instance: &Instance| instance.inside(|| crate::connectivity::icmp(8, NEIGHBOUR));
        assert_eq!(ping(&any)?, 0);
        // The answer is a refusal (destination unreachable).
        assert_eq!(ping(&with_ports)?, 3);
        assert_eq!(told.recv_timeout(WAIT)?, "icmp 198.51.100.2");
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn a_connection_stays_when_its_name_has_other_addresses() -> anyhow::Result<()> {
    World::run(|world| {
        let (network, _) = resolving(world, Config { egress_addresses_max: 1, ..Config::default() })?;
        world.outside(|| world.serve_echo(PORT))?;
        let instance = world.instance(&network)?;
        restrict(&instance, "f", &["*.example"])?;
        ask(&instance, &network, "near.example")?;
        let mut stream = instance.inside(|| Ok(TcpStream::connect_timeout(&(NEIGHBOUR, PORT).into(), WAIT)?))?;
        stream.set_read_timeout(Some(WAIT))?;
        // The limit of one address closes the first.
        ask(&instance, &network, "far.example")?;
        refused(&instance, NEIGHBOUR, PORT);
        drop(instance.inside(|| Ok(TcpStream::connect_timeout(&(FAR, PORT).into(), WAIT)?))?);
        let mut echo = [0; 5];
        stream.write_all(b"still")?;
        stream.read_exact(&mut echo)?;
        assert_eq!(&echo, b"still");
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn a_name_with_turning_addresses_keeps_all_of_them_past_the_life_of_their_answers() -> anyhow::Result<()> {
    World::run(|world| {
        let (network, _) = resolving(world, Config::default())?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let instance = world.instance(&network)?;
        restrict(&instance, "f", &["turning.example"])?;
        ask(&instance, &network, "turning.example")?;
        refused(&instance, FAR, PORT);
        TURNED.store(true, Ordering::Release);
        ask(&instance, &network, "turning.example")?;
        // Answers live for a second; what they opened is not swapped for the newest one.
        std::thread::sleep(ANSWER_LIFE + Duration::from_millis(100));
        for address in [NEIGHBOUR, FAR] {
            assert_eq!(instance.tcp(address, PORT)?, MACHINE.to_string(), "{address}");
        }
        Ok(world.wait(network.close())?)
    })
}

/// A name as it is in a question.
fn labels(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        name.split('.').flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

fn question(name: &str) -> Vec<u8> {
    [&b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0"[..], &labels(name), b"\0\x01\0\x01"].concat()
}

/// A platform whose questions go to a server outside, which answers by the name; and what it was
/// asked.
pub fn resolving(world: &World, config: Config) -> anyhow::Result<(Network, Receiver<String>)> {
    let network = world.platform_with(1, Config { dns: vec![IpAddr::V4(NEIGHBOUR)], ..config })?;
    let server = world.outside(|| Ok(UdpSocket::bind((NEIGHBOUR, 53))?))?;
    let (tell, asked) = channel();
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = server.recv_from(&mut buffer)?;
            let text = String::from_utf8_lossy(&buffer[13..length]).into_owned();
            let records = answer_of(&text);
            let mut answer = buffer[..length].to_vec();
            answer[2..4].copy_from_slice(&[0x81, 0x80]);
            answer[7] = records.len() as u8;
            for (owner, kind, data) in records {
                answer.extend(owner);
                answer.extend([0, kind, 0, 1, 0, 0, 0, ANSWER_LIFE.as_secs() as u8, 0, data.len() as u8]);
                answer.extend(data);
            }
            tell.send(text.chars().take_while(char::is_ascii_alphanumeric).collect()).ok();
            server.send_to(&answer, from)?;
        }
    });
    Ok((network, asked))
}

/// Owner, type and data of each record of an answer.
fn answer_of(name: &str) -> Vec<(Vec<u8>, u8, Vec<u8>)> {
    let (asked, alias) = (vec![0xc0, 12], labels("edge.cdn.test"));
    let address = |address: Ipv4Addr| vec![(asked.clone(), 1, address.octets().to_vec())];
    match name {
        name if name.starts_with("far") => address(FAR),
        name if name.starts_with("turning") && TURNED.load(Ordering::Acquire) => address(FAR),
        name if name.starts_with("six") => vec![(asked, 28, crate::ipv6::FAR.octets().to_vec())],
        name if name.starts_with("mapped") => vec![(asked, 28, FAR.to_ipv6_mapped().octets().to_vec())],
        name if name.starts_with("own") => vec![(asked, 28, std::net::Ipv6Addr::LOCALHOST.octets().to_vec())],
        name if name.starts_with("metadata") => address(METADATA),
        name if name.starts_with("machine") => address(MACHINE),
        name if name.starts_with("loopback") => address(Ipv4Addr::LOCALHOST),
        name if name.starts_with("alias") => {
            vec![(asked.clone(), 5, alias.clone()), (alias, 1, FAR.octets().to_vec())]
        }
        name if name.starts_with("forger") => vec![(labels("other.test"), 1, FAR.octets().to_vec())],
        _ => address(NEIGHBOUR),
    }
}

/// Asks for a name; the answer's code.
pub fn ask(instance: &Instance, network: &Network, name: &str) -> anyhow::Result<u8> {
    let to = (network.name_server(), 53).into();
    let mut last = None;
    // A datagram may be lost, as anywhere.
    for _ in 0..20 {
        match instance.inside(|| Ok(udp(Ipv4Addr::UNSPECIFIED, to, &question(name))?)) {
            Ok(answer) => return Ok(answer[3] & 0xf),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("it was tried"))
}

#[test]
fn a_name_opens_what_the_instance_was_answered_before_it_has_the_answer() -> anyhow::Result<()> {
    World::run(|world| {
        let (network, asked) = resolving(world, Config::default())?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let (instance, sibling, other) =
            (world.instance(&network)?, world.instance(&network)?, world.instance(&network)?);
        let told = restrict(&instance, "f", &["near.example:7000", "*.far.test", "alias.example", "forger.example"])?;
        restrict(&sibling, "f", &["near.example:7000", "*.far.test", "alias.example", "forger.example"])?;
        restrict(&other, "g", &["near.example:7000", "*.far.test", "alias.example", "forger.example"])?;
        let reached = MACHINE.to_string();
        refused(&instance, NEIGHBOUR, PORT);
        assert_eq!(told.recv_timeout(WAIT)?, "tcp 198.51.100.2:7000");
        assert_eq!(ask(&instance, &network, "near.example")?, 0);
        assert_eq!(instance.tcp(NEIGHBOUR, PORT)?, reached, "at once");
        refused(&instance, NEIGHBOUR, PORT + 1);
        assert_eq!(sibling.tcp(NEIGHBOUR, PORT)?, reached, "of the same function");
        refused(&other, NEIGHBOUR, PORT);
        // Somebody else's record in an answer opens nothing; an alias does.
        ask(&instance, &network, "forger.example")?;
        refused(&instance, FAR, PORT);
        ask(&instance, &network, "alias.example")?;
        assert_eq!(instance.tcp(FAR, PORT)?, reached);
        // What was opened stays.
        assert_eq!(instance.tcp(NEIGHBOUR, PORT)?, reached);
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["near", "forger", "alias"]);
        // Names beyond the list are not passed on.
        for name in ["example", "far.test", "near.example.evil", "metadata.example"] {
            assert_eq!(ask(&instance, &network, name)?, 3, "{name}");
        }
        assert!(asked.try_recv().is_err(), "one was passed on");
        until("they are told", || Ok(told.try_iter().any(|line| line == "the name metadata.example")))?;
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn a_name_opens_nothing_that_is_denied() -> anyhow::Result<()> {
    World::run(|world| {
        let (network, _) = resolving(world, Config::default())?;
        world.serve(Ipv4Addr::UNSPECIFIED, PORT)?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let instance = world.instance(&network)?;
        restrict(&instance, "f", &["*.example"])?;
        for (name, address) in [("machine.example", MACHINE), ("metadata.example", METADATA)] {
            assert_eq!(ask(&instance, &network, name)?, 0);
            refused(&instance, address, PORT);
        }
        ask(&instance, &network, "loopback.example")?;
        let own = instance.tcp(Ipv4Addr::LOCALHOST, PORT).expect_err("nobody listens inside");
        assert_eq!(own.kind(), ErrorKind::ConnectionRefused);
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn a_list_with_addresses_leaves_names_to_be_looked_up() -> anyhow::Result<()> {
    World::run(|world| {
        let (network, _) = resolving(world, Config::default())?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let instance = world.instance(&network)?;
        let told = restrict(&instance, "f", &["198.51.100.0/24"])?;
        assert_eq!(ask(&instance, &network, "near.example")?, 0);
        assert_eq!(instance.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        assert_eq!(ask(&instance, &network, "far.example")?, 0);
        refused(&instance, FAR, PORT);
        assert_eq!(told.recv_timeout(WAIT)?, "tcp 203.0.113.5:7000");
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn an_address_has_no_list_left_of_the_instance_before() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform_with(1, Config { block_prefix_bits: 29, ..Config::default() })?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let mut all = (0..4).map(|_| world.instance(&network)).collect::<anyhow::Result<Vec<_>>>()?;
        let first = all.remove(0);
        restrict(&first, "f", &["none"])?;
        refused(&first, NEIGHBOUR, PORT);
        let address = first.link.address();
        drop(first);
        let next = world.instance(&network)?;
        assert_eq!(next.link.address(), address);
        assert_eq!(next.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        drop((all, next));
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn the_lists_of_a_killed_platform_are_gone_with_the_next_start() -> anyhow::Result<()> {
    World::run(|world| {
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let killed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let network = Network::open(1, Config::default(), killed.handle())?.context("it is switched on")?;
        let orphan = world.instance(&network)?;
        restrict(&orphan, "f", &["none"])?;
        drop(network);
        drop(killed);
        let again = world.platform(1)?;
        let fresh = world.instance(&again)?;
        assert_eq!(fresh.link.address(), orphan.link.address());
        assert_eq!(fresh.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        Ok(world.wait(again.close())?)
    })
}

#[test]
fn a_flood_of_refusals_is_reported_in_part_and_others_are_heard() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform_with(1, Config { egress_refusals_logged_max: 3, ..Config::default() })?;
        let (greedy, modest) = (world.instance(&network)?, world.instance(&network)?);
        let told = restrict(&greedy, "f", &["none"])?;
        let heard = restrict(&modest, "g", &["none"])?;
        greedy.inside(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            for port in 1..2000 {
                // The refusal of the one before is told to the next.
                socket.send_to(b"?", (FAR, port)).ok();
            }
            Ok(())
        })?;
        assert!(modest.inside(|| Ok(tcp(FAR, PORT)?)).is_err());
        assert_eq!(heard.recv_timeout(WAIT)?, "tcp 203.0.113.5:7000");
        let lines: Vec<String> = (0..4).map(|_| told.recv_timeout(WAIT)).collect::<Result<_, _>>()?;
        assert_eq!(lines[3], "further destinations");
        assert!(told.recv_timeout(SILENCE).is_err(), "no more than that");
        Ok(world.wait(network.close())?)
    })
}
