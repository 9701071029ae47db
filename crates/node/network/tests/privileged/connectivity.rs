//! Whom an instance reaches, and who reaches it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use network::Config;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recv, sendto, socket};

use crate::world::{FAR, MACHINE, METADATA, NEIGHBOUR, PORT, SILENCE, World, inside, ip, tcp, udp};

#[test]
fn an_instance_reaches_the_outside_as_the_machine() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let instance = world.instance(&network)?;
        assert!(network.block().contains(instance.link.address()));
        assert_eq!(instance.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        assert_eq!(instance.udp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        assert_eq!(instance.tcp(FAR, PORT)?, MACHINE.to_string());
        Ok(world.wait(network.close())?)
    })
}

/// The answer's type to an ICMP message of a type.
pub fn icmp(kind: u8, to: Ipv4Addr) -> anyhow::Result<u8> {
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?;
    rustix::net::sockopt::set_socket_timeout(&raw, rustix::net::sockopt::Timeout::Recv, Some(SILENCE))?;
    let mut message = [0_u8; 20];
    message[0] = kind;
    // One's complement of the sum, of which only the first word is not 0.
    message[2] = !kind;
    message[3] = 0xff;
    sendto(&raw, &message, SendFlags::empty(), &std::net::SocketAddrV4::new(to, 0))?;
    let mut answer = [0_u8; 128];
    recv(&raw, &mut answer, RecvFlags::empty())?;
    Ok(answer[20])
}

#[test]
fn only_questions_for_a_sign_of_life_go_out_by_icmp() -> anyhow::Result<()> {
    const ECHO: u8 = 8;
    const TIMESTAMP: u8 = 13;
    World::run(|world| {
        let network = world.platform(1)?;
        let instance = world.instance(&network)?;
        assert_eq!(icmp(TIMESTAMP, NEIGHBOUR)?, 14, "the outside answers it to others");
        assert_eq!(instance.inside(|| icmp(ECHO, NEIGHBOUR))?, 0);
        assert!(instance.inside(|| icmp(TIMESTAMP, NEIGHBOUR)).is_err());
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn what_is_denied_is_refused_at_once() -> anyhow::Result<()> {
    World::run(|world| {
        let private = "203.0.113.0/24".parse().expect("a range");
        let denied = Config::default().denied.into_iter().chain([private]).collect();
        let network = world.platform_with(1, Config { denied, ..Config::default() })?;
        let other_platform = world.platform(2)?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        world.serve(Ipv4Addr::UNSPECIFIED, PORT)?;
        let (instance, neighbour) = (world.instance(&network)?, world.instance(&network)?);
        let stranger = world.instance(&other_platform)?;
        for other in [&neighbour, &stranger] {
            other.inside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        }
        assert_eq!(instance.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string(), "others are reached");
        for (what, address) in [
            ("the machine", MACHINE),
            ("another platform's", other_platform.name_server()),
            ("the metadata", METADATA),
            ("what the settings deny", FAR),
            ("another instance", neighbour.link.address()),
            ("another platform's instance", stranger.link.address()),
        ] {
            let refused = instance.tcp(address, PORT).expect_err(what);
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{what}: {refused}");
            assert!(instance.udp(address, PORT).is_err(), "{what}");
        }
        // Whoever listens there does not serve those who asked for nothing.
        let reset = instance.tcp(network.name_server(), PORT).expect_err("its own name server, elsewhere");
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset, "{reset}");
        assert!(instance.udp(network.name_server(), PORT).is_err());
        world.wait(other_platform.close())?;
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn nobody_begins_a_connection_to_an_instance() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        let instance = world.instance(&network)?;
        instance.inside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let address = instance.link.address();
        assert!(world.outside(|| Ok(tcp(address, PORT)?)).is_err(), "from outside");
        assert!(tcp(address, PORT).is_err(), "from the machine itself");
        assert!(udp(Ipv4Addr::UNSPECIFIED, (address, PORT).into(), b"?").is_err());
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn a_forged_source_gets_nowhere() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        let (instance, neighbour) = (world.instance(&network)?, world.instance(&network)?);
        let listener = world.outside(|| Ok(UdpSocket::bind((NEIGHBOUR, PORT))?))?;
        listener.set_read_timeout(Some(Duration::from_secs(10)))?;
        for forged in [FAR, MACHINE, NEIGHBOUR, neighbour.link.address(), Ipv4Addr::new(10, 99, 0, 1)] {
            instance.inside(|| {
                ip(&format!("address add {forged}/32 dev eth0"))?;
                let socket = UdpSocket::bind((forged, 0))?;
                // The neighbour's own address would stay inside.
                let to = if forged == NEIGHBOUR { FAR } else { NEIGHBOUR };
                socket.send_to(forged.to_string().as_bytes(), (to, PORT))?;
                ip(&format!("address del {forged}/32 dev eth0"))
            })?;
        }
        instance.inside(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            Ok(socket.send_to(b"its own", (NEIGHBOUR, PORT)).map(drop)?)
        })?;
        let mut buffer = [0; 64];
        let (length, from) = listener.recv_from(&mut buffer)?;
        assert_eq!((&buffer[..length], from.ip().to_string()), (&b"its own"[..], MACHINE.to_string()));
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn where_the_machine_has_no_way_by_ipv6_instances_have_their_loopback_alone() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        let instance = world.instance(&network)?;
        let all = instance.inside(|| crate::world::ip_says("-6 -o address"))?;
        assert!(all.lines().all(|line| line.contains(" lo ")), "{all}");
        let links = crate::world::ip_says("-6 -o address")?;
        assert!(!links.contains("smp"), "{links}");
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn connections_of_one_instance_are_bounded() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform_with(1, Config { connections_max: 3, ..Config::default() })?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let (greedy, modest) = (world.instance(&network)?, world.instance(&network)?);
        let open = |port| greedy.udp(NEIGHBOUR, port);
        for _ in 0..3 {
            open(PORT)?;
        }
        assert!(open(PORT).is_err(), "the fourth");
        modest.udp(NEIGHBOUR, PORT)?;
        Ok(world.wait(network.close())?)
    })
}

/// Lines of the machine's table of connections that have a text.
fn tracked(text: &str) -> anyhow::Result<usize> {
    let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack")?;
    Ok(table.lines().filter(|line| line.contains(text)).count())
}

#[test]
fn connections_of_all_instances_have_a_ceiling_and_each_instance_has_some_in_any_case() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform_with(1, Config { connections_total_max: 256, ..Config::default() })?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let (greedy, other, modest) = (world.instance(&network)?, world.instance(&network)?, world.instance(&network)?);
        for flooding in [&greedy, &other] {
            flooding.inside(|| {
                for port in 10_000..14_000 {
                    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?.send_to(b"?", (NEIGHBOUR, PORT))?;
                }
                Ok(())
            })?;
        }
        let held = [&greedy, &other].map(|instance| tracked(&format!("src={} ", instance.link.address())));
        let [greedy, other] = [&held[0], &held[1]].map(|held| *held.as_ref().expect("counted"));
        // 256 together, and up to 64 each.
        assert!(greedy > 256 && greedy + other <= 256 + 2 * 64, "{greedy} and {other}");
        assert!(other > 0, "it had none");
        for _ in 0..10 {
            modest.udp(NEIGHBOUR, PORT)?;
        }
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn a_ceiling_that_the_machine_cannot_keep_is_refused_by_name() -> anyhow::Result<()> {
    World::run(|world| {
        let refused = world.platform_with(1, Config { connections_total_max: u32::MAX, ..Config::default() }).err();
        let refused = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("[network] connections_total_max"), "{refused}");
        Ok(())
    })
}

#[test]
fn a_machine_that_passed_nothing_on_stays_closed_to_others() -> anyhow::Result<()> {
    World::run(|world| {
        // A second network behind the machine.
        let lan = sys::namespace::new_network(std::os::fd::AsFd::as_fd(&world.machine), || Ok(()))?;
        let there = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&lan));
        ip(&format!("link add lan0 type veth peer name in0 netns {there}"))?;
        ip("address add 192.0.2.1/24 dev lan0")?;
        ip("link set lan0 up")?;
        inside(&lan, &world.machine, || {
            ip("address add 192.0.2.2/24 dev in0")?;
            ip("link set in0 up")?;
            ip("route add default via 192.0.2.1")?;
            world.serve(Ipv4Addr::UNSPECIFIED, PORT)
        })?;
        world.outside(|| {
            ip("route add 192.0.2.0/24 via 198.51.100.1")?;
            world.serve(Ipv4Addr::UNSPECIFIED, PORT)
        })?;
        let host = Ipv4Addr::new(192, 0, 2, 2);
        let reaches = || world.outside(|| Ok(tcp(host, PORT)?)).is_ok();
        assert!(!reaches(), "before");
        let network = world.platform(1)?;
        let instance = world.instance(&network)?;
        assert_eq!(instance.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        assert_eq!(instance.tcp(host, PORT)?, "192.0.2.1");
        assert!(!reaches(), "while a platform runs");
        world.wait(network.close())?;
        assert!(!reaches(), "and after it");
        // Somebody wants the machine to be a router: the guard is not in the way of the next
        // platform's machine.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        let network = world.platform(1)?;
        assert!(reaches());
        Ok(world.wait(network.close())?)
    })
}
