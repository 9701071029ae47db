//! The way out by IPv6, where the machine has one.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;
use network::{Config, EgressSpec, Ipv6, Network};

use crate::egress::{ask, resolving};
use crate::world::{Instance, PORT, SILENCE, WAIT, World, ip, ip_says};

/// The machine's address, its neighbour outside, one further away, and a metadata address there.
const MACHINE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const NEIGHBOUR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
pub const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// IPv4's 203.0.113.5 in other forms.
const IN_OTHER_FORMS: [&str; 3] = ["64:ff9b::cb00:7105", "2002:cb00:7105::1", "2001:0:cb00:7105::1"];

/// Runs a test in a machine with IPv6 outside.
fn run(test: impl FnOnce(&World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    World::run(|world| {
        ip("-6 address add 2001:db8:1::1/64 dev up0 nodad")?;
        world.outside(|| {
            ip("-6 address add 2001:db8:1::2/64 dev out0 nodad")?;
            for address in ["2001:db8:2::5", "fd00:ec2::254"].into_iter().chain(IN_OTHER_FORMS) {
                ip(&format!("-6 address add {address}/128 dev lo"))?;
            }
            // Others outside know where the instances would be.
            ip("-6 route add fd73:616d:7061:6e00::/64 via 2001:db8:1::1")
        })?;
        ip("-6 route add default via 2001:db8:1::2")?;
        test(world)
    })
}

/// Answers every connection with the address it came from, in the calling thread's namespace.
fn serve(world: &World, port: u16) -> anyhow::Result<()> {
    let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    tcp.set_nonblocking(true)?;
    let _on_runtime = world.runtime.enter();
    let tcp = tokio::net::TcpListener::from_std(tcp)?;
    world.runtime.spawn(async move {
        while let Ok((mut stream, peer)) = tcp.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, peer.ip().to_string().as_bytes()).await.ok();
        }
    });
    Ok(())
}

fn says(address: impl Into<IpAddr>, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address.into(), port), SILENCE * 3)?;
    stream.set_read_timeout(Some(WAIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn reached(instance: &Instance, address: Ipv6Addr, port: u16) -> anyhow::Result<String> {
    instance.inside(|| Ok(says(address, port)?))
}

/// Says that a connection is refused at once.
#[track_caller]
fn refused(instance: &Instance, address: Ipv6Addr) {
    let error = instance.inside(|| Ok(says(address, PORT).expect_err("refused").kind())).expect("it ran");
    assert_eq!(error, ErrorKind::ConnectionRefused, "{address}");
}

fn restrict(instance: &Instance, entries: &[&str]) -> anyhow::Result<Receiver<String>> {
    let (tell, told) = channel();
    let refused = Arc::new(move |refused: &network::Refused| drop(tell.send(refused.to_string())));
    let list = types::Egress::parse(entries)?;
    instance.link.restrict(EgressSpec { owner: entries.concat(), list, refused })?;
    Ok(told)
}

fn close(world: &World, network: &Network) -> anyhow::Result<()> {
    Ok(world.wait(network.close())?)
}

#[test]
fn instances_leave_as_the_machine_and_nothing_enters() -> anyhow::Result<()> {
    run(|world| {
        let network = world.platform(1)?;
        assert_eq!(network.ipv6_off(), None);
        world.outside(|| serve(world, PORT))?;
        let instance = world.instance(&network)?;
        assert_eq!(reached(&instance, FAR, PORT)?, MACHINE.to_string());
        instance.inside(|| serve(world, PORT))?;
        let address = instance.link.address_6().expect("it has one");
        // From outside, and from the machine itself.
        let outside = world.outside(|| Ok(says(address, PORT).expect_err("dropped").kind()))?;
        assert_eq!(outside, ErrorKind::TimedOut);
        // The machine is no router for others.
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding")?.trim(), "0");
        close(world, &network)
    })
}

#[test]
fn what_is_not_for_instances_is_refused_at_once() -> anyhow::Result<()> {
    run(|world| {
        let network = world.platform(1)?;
        serve(world, PORT)?;
        world.outside(|| serve(world, PORT))?;
        let (instance, neighbour) = (world.instance(&network)?, world.instance(&network)?);
        neighbour.inside(|| serve(world, PORT))?;
        let neighbours = neighbour.link.address_6().expect("it has one");
        for address in [MACHINE, METADATA, neighbours] {
            refused(&instance, address);
        }
        for address in IN_OTHER_FORMS {
            refused(&instance, address.parse()?);
        }
        // From an address that is not its own.
        instance.inside(|| {
            ip("-6 address add 2001:db8:9::9/128 dev eth0 nodad")?;
            let socket = UdpSocket::bind(("2001:db8:9::9".parse::<Ipv6Addr>()?, 0))?;
            socket.set_read_timeout(Some(SILENCE))?;
            socket.send_to(b"?", (FAR, PORT))?;
            assert!(socket.recv(&mut [0; 16]).is_err(), "a forged source was let through");
            Ok(())
        })?;
        close(world, &network)
    })
}

#[test]
fn lists_hold_for_ipv6_too() -> anyhow::Result<()> {
    run(|world| {
        let network = world.platform(1)?;
        for port in [PORT, PORT + 1] {
            world.outside(|| serve(world, port))?;
        }
        let new = || world.instance(&network);
        let (ranges, ports, of_v4, none) = (new()?, new()?, new()?, new()?);
        let told = restrict(&ranges, &["2001:db8:1::/48"])?;
        restrict(&ports, &["[2001:db8:2::/48]:7000"])?;
        restrict(&of_v4, &["0.0.0.0/0"])?;
        restrict(&none, &["none"])?;
        assert_eq!(reached(&ranges, NEIGHBOUR, PORT)?, MACHINE.to_string());
        refused(&ranges, FAR);
        assert_eq!(told.recv_timeout(WAIT)?, "tcp [2001:db8:2::5]:7000");
        assert_eq!(reached(&ports, FAR, PORT)?, MACHINE.to_string());
        assert!(reached(&ports, FAR, PORT + 1).is_err());
        refused(&ports, NEIGHBOUR);
        refused(&of_v4, FAR);
        refused(&none, FAR);
        close(world, &network)
    })
}

#[test]
fn a_name_opens_its_ipv6_addresses_but_none_that_are_denied() -> anyhow::Result<()> {
    run(|world| {
        let (network, _) = resolving(world, Config::default())?;
        world.outside(|| serve(world, PORT))?;
        let (instance, other) = (world.instance(&network)?, world.instance(&network)?);
        let _told = restrict(&instance, &["*.example:7000"])?;
        restrict(&other, &["other.example"])?;
        refused(&instance, FAR);
        assert_eq!(ask(&instance, &network, "six.example")?, 0);
        assert_eq!(reached(&instance, FAR, PORT)?, MACHINE.to_string());
        assert!(reached(&instance, FAR, PORT + 1).is_err());
        refused(&other, FAR);
        for name in ["mapped.example", "own.example"] {
            assert_eq!(ask(&instance, &network, name)?, 0);
        }
        assert!(reached(&instance, crate::world::FAR.to_ipv6_mapped(), PORT).is_err());
        close(world, &network)
    })
}

#[test]
fn it_is_off_without_a_route_or_where_it_is_said_to_be() -> anyhow::Result<()> {
    run(|world| {
        let off = world.platform_with(1, Config { ipv6: Ipv6::Off, ..Config::default() })?;
        assert!(off.ipv6_off().is_some_and(|why| why.contains("ipv6 is \"off\"")));
        world.outside(|| serve(world, PORT))?;
        let instance = world.instance(&off)?;
        assert!(instance.link.address_6().is_none() && reached(&instance, FAR, PORT).is_err());
        drop(instance);
        close(world, &off)?;
        ip("-6 route del default")?;
        let auto = world.platform(1)?;
        assert!(auto.ipv6_off().is_some_and(|why| why.contains("no default route")));
        close(world, &auto)
    })
}

#[test]
fn what_others_send_is_passed_on_by_routers_alone() -> anyhow::Result<()> {
    run(|world| {
        ip("-6 route add 2001:db8:4::/64 dev up0")?;
        world.outside(|| {
            ip("-6 route add 2001:db8:4::/64 via 2001:db8:1::1")?;
            serve(world, PORT)
        })?;
        // Somebody outside sends what is for others; the machine then asks for them, or does not.
        let is_passed_on = |host: u16| {
            let stranger = Ipv6Addr::new(0x2001, 0xdb8, 4, 0, 0, 0, 0, host);
            world.outside(|| Ok(UdpSocket::bind((NEIGHBOUR, 0))?.send_to(b"?", (stranger, PORT))?))?;
            std::thread::sleep(SILENCE);
            anyhow::Ok(ip_says("-6 neigh show dev up0")?.contains(&stranger.to_string()))
        };
        for (number, is_router) in [(4, false), (5, true)] {
            if is_router {
                std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
            }
            let network = world.platform(1)?;
            let instance = world.instance(&network)?;
            assert_eq!(reached(&instance, FAR, PORT)?, MACHINE.to_string());
            assert_eq!(is_passed_on(number)?, is_router);
            drop(instance);
            close(world, &network)?;
        }
        Ok(())
    })
}

/// Asks a server by UDP for the address it saw.
fn udp_says(address: Ipv6Addr, port: u16) -> std::io::Result<String> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(SILENCE))?;
    socket.send_to(b"?", (address, port))?;
    let mut answer = [0; 128];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[test]
fn connections_of_one_instance_are_bounded_over_both_families() -> anyhow::Result<()> {
    run(|world| {
        let network = world.platform_with(1, Config { connections_max: 3, ..Config::default() })?;
        world.outside(|| world.serve(crate::world::NEIGHBOUR, PORT + 1))?;
        world.outside(|| {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT))?;
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                    socket.send_to(peer.ip().to_string().as_bytes(), peer).ok();
                }
            });
            Ok(())
        })?;
        let (greedy, modest) = (world.instance(&network)?, world.instance(&network)?);
        greedy.udp(crate::world::NEIGHBOUR, PORT + 1)?;
        for _ in 0..2 {
            greedy.inside(|| Ok(udp_says(NEIGHBOUR, PORT)?))?;
        }
        assert!(greedy.inside(|| Ok(udp_says(NEIGHBOUR, PORT)))?.is_err(), "the fourth");
        assert!(greedy.udp(crate::world::NEIGHBOUR, PORT + 1).is_err(), "and by IPv4");
        modest.inside(|| Ok(udp_says(NEIGHBOUR, PORT)?))?;
        close(world, &network)
    })
}

#[test]
fn an_address_that_an_instance_gives_itself_leads_nowhere_where_it_is_off() -> anyhow::Result<()> {
    run(|world| {
        let network = world.platform_with(1, Config { ipv6: Ipv6::Off, ..Config::default() })?;
        world.outside(|| serve(world, PORT))?;
        let instance = world.instance(&network)?;
        instance.inside(|| {
            ip("-6 address add fd73:616d:7061:6e00::9/128 dev eth0 nodad")?;
            ip("-6 route add default dev eth0")
        })?;
        assert!(reached(&instance, NEIGHBOUR, PORT).is_err());
        close(world, &network)
    })
}

#[test]
fn nothing_of_a_killed_platform_is_left_by_the_next_start() -> anyhow::Result<()> {
    run(|world| {
        let routes = || anyhow::Ok(ip_says("-6 route show table all")?.contains("fd73:616d:7061:6e00:"));
        let killed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let network = Network::open(1, Config::default(), killed.handle())?.context("it is switched on")?;
        let orphan = world.instance(&network)?;
        drop((network, killed));
        assert!(routes()?);
        // Switched off since, with another range.
        let config = Config { ipv6: Ipv6::Off, range6: "fd00:77::/96".parse().expect("a range"), ..Config::default() };
        let network = world.platform_with(1, config)?;
        assert!(!routes()?);
        drop(orphan);
        close(world, &network)
    })
}

/// Connections that the machine tracks from an address.
fn tracked(address: Ipv6Addr) -> anyhow::Result<usize> {
    let from = format!("src={} ", address.segments().map(|part| format!("{part:04x}")).join(":"));
    let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack")?;
    Ok(table.lines().filter(|line| line.contains(&from)).count())
}

#[test]
fn an_address_that_is_given_again_leaves_the_connections_of_others() -> anyhow::Result<()> {
    run(|world| {
        let network = world.platform_with(1, Config { block_prefix_bits: 29, ..Config::default() })?;
        world.outside(|| serve(world, PORT))?;
        let mut all = (0..4).map(|_| world.instance(&network)).collect::<anyhow::Result<Vec<_>>>()?;
        let first = all.remove(0);
        let (given, other) = (first.link.address(), all[0].link.address_6().expect("it has one"));
        assert_eq!(reached(&all[0], NEIGHBOUR, PORT)?, MACHINE.to_string());
        let before = tracked(other)?;
        assert!(before > 0, "it is tracked");
        drop(first);
        let next = world.instance(&network)?;
        assert_eq!(next.link.address(), given);
        assert_eq!(tracked(other)?, before);
        drop((all, next));
        close(world, &network)
    })
}
