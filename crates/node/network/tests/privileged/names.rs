//! The name server of instances.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use anyhow::Context;
use network::{Config, Network};

use crate::world::{Instance, NEIGHBOUR, SILENCE, WAIT, World, udp};

const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01";

/// A platform whose questions go to the neighbour.
fn platform(world: &World) -> anyhow::Result<Network> {
    world.platform_with(1, Config { dns: vec![IpAddr::V4(NEIGHBOUR)], dns_answer_ms_max: 100, ..Config::default() })
}

fn resolve(instance: &Instance, network: &Network) -> anyhow::Result<Vec<u8>> {
    instance.inside(|| Ok(udp(Ipv4Addr::UNSPECIFIED, (network.name_server(), 53).into(), QUESTION)?))
}

#[test]
fn questions_are_passed_on_and_answers_back() -> anyhow::Result<()> {
    World::run(|world| {
        let network = platform(world)?;
        let instance = world.instance(&network)?;
        let server = world.outside(|| Ok(UdpSocket::bind((NEIGHBOUR, 53))?))?;
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = server.recv_from(&mut buffer)?;
            assert_eq!(&buffer[..length], QUESTION);
            // First one to another question, which must not be taken.
            server.send_to(b"\x99\x99\x81\x80\0\x01\0\0\0\0\0\0wrong", from)?;
            server.send_to(b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0right", from)
        });
        let answer = resolve(&instance, &network)?;
        assert!(answer.ends_with(b"right"), "{answer:?}");
        answering.join().expect("it answers")?;
        assert!(network.resolv_conf().starts_with(&format!("nameserver {}\n", network.name_server())));
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn a_silent_server_is_told_as_a_failure() -> anyhow::Result<()> {
    World::run(|world| {
        let network = platform(world)?;
        let instance = world.instance(&network)?;
        let _silent = world.outside(|| Ok(UdpSocket::bind((NEIGHBOUR, 53))?))?;
        assert_eq!(resolve(&instance, &network)?[3] & 0xf, 2);
        Ok(world.wait(network.close())?)
    })
}

/// A message with its length before it (RFC 1035, section 4.2.2).
fn frame(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).expect("short").to_be_bytes(), message].concat()
}

fn read_frame(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn connect(network: &Network) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(network.name_server(), 53).into(), WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    Ok(stream)
}

#[test]
fn long_answers_come_by_tcp_one_question_after_the_other() -> anyhow::Result<()> {
    World::run(|world| {
        let network = platform(world)?;
        let instance = world.instance(&network)?;
        let server = world.outside(|| Ok(TcpListener::bind((NEIGHBOUR, 53))?))?;
        let answering = std::thread::spawn(move || -> std::io::Result<()> {
            for letter in [b'a', b'b'] {
                let (mut stream, _) = server.accept()?;
                assert_eq!(read_frame(&mut stream)?, QUESTION);
                stream.write_all(&frame(&[&b"\x12\x34\x81\x80\0\0\0\x01\0\0\0\0"[..], &[letter; 60_000]].concat()))?;
            }
            Ok(())
        });
        instance.inside(|| {
            let mut stream = connect(&network)?;
            // In pieces, and the second before the first is answered.
            stream.write_all(&frame(QUESTION)[..1])?;
            stream.write_all(&frame(QUESTION)[1..9])?;
            stream.write_all(&[&frame(QUESTION)[9..], &frame(QUESTION)].concat())?;
            for letter in [b'a', b'b'] {
                let answer = read_frame(&mut stream)?;
                assert_eq!((answer.len(), answer.last()), (60_012, Some(&letter)));
            }
            // What is no query never leaves the machine: a zone transfer is refused, a long or
            // empty message ends it.
            let transfer = [&QUESTION[..QUESTION.len() - 3], &[252, 0, 1]].concat();
            stream.write_all(&frame(&transfer))?;
            assert_eq!(read_frame(&mut stream)?, b"\x12\x34\x81\x05\0\0\0\0\0\0\0\0");
            for bad in [&b"\xff\xff"[..], b"\0\0", b"\0\x02hi"] {
                let mut stream = connect(&network)?;
                stream.write_all(bad)?;
                assert!(read_frame(&mut stream).is_err(), "{bad:?}");
            }
            Ok(())
        })?;
        answering.join().expect("it answers")?;
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn other_operations_and_more_than_one_question_are_answered_by_the_relay() -> anyhow::Result<()> {
    World::run(|world| {
        let network = platform(world)?;
        let instance = world.instance(&network)?;
        let server = world.outside(|| Ok(UdpSocket::bind((NEIGHBOUR, 53))?))?;
        server.set_nonblocking(true)?;
        // An update, two questions, a zone transfer, class CHAOS, and one that is cut off.
        for (at, byte, code) in [(2, 0x28, 4), (5, 2, 1), (22, 252, 5), (24, 3, 5), (12, 60, 1)] {
            let mut question = QUESTION.to_vec();
            question[at] = byte;
            let answer = instance
                .inside(|| Ok(udp(Ipv4Addr::UNSPECIFIED, (network.name_server(), 53).into(), &question)?))
                .with_context(|| format!("{at}"))?;
            assert_eq!((answer.len(), answer[3] & 0xf), (12, code), "{question:?}");
        }
        assert!(server.recv(&mut [0; 512]).is_err(), "something was passed on");
        Ok(world.wait(network.close())?)
    })
}

/// Answers questions for another name than `example`.
fn answer_the_modest(server: UdpSocket) -> std::thread::JoinHandle<std::io::Result<usize>> {
    std::thread::spawn(move || {
        let (mut buffer, mut asked) = ([0; 512], 0);
        loop {
            let (length, from) = server.recv_from(&mut buffer)?;
            if buffer[..length].windows(7).any(|word| word == b"example") {
                asked += 1;
                continue;
            }
            server.send_to(b"\x12\x34\x81\x80\0\0\0\0\0\0\0\0", from)?;
            return Ok(asked);
        }
    })
}

#[test]
fn floods_of_one_instance_leave_the_others_their_share() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform_with(
            1,
            Config {
                dns: vec![IpAddr::V4(NEIGHBOUR)],
                dns_answer_ms_max: 60_000,
                dns_queries_max: 4,
                dns_connections_max: 4,
                dns_connection_ms_max: 60_000,
                dns_queries_per_instance_per_s_max: 50,
                ..Config::default()
            },
        )?;
        let (greedy, modest) = (world.instance(&network)?, world.instance(&network)?);
        let server = answer_the_modest(world.outside(|| Ok(UdpSocket::bind((NEIGHBOUR, 53))?))?);
        let to = (network.name_server(), 53);
        let begun = std::time::Instant::now();
        let held = greedy.inside(|| {
            let held: Vec<TcpStream> = (0..4).map(|_| connect(&network)).collect::<Result<_, _>>()?;
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            for _ in 0..20_000 {
                socket.send_to(QUESTION, to)?;
            }
            Ok(held)
        })?;
        let question = String::from_utf8_lossy(QUESTION).replace("example", "modesty").into_bytes();
        let (by_udp, by_tcp) = modest.inside(|| {
            let by_udp = udp(Ipv4Addr::UNSPECIFIED, to.into(), &question)?;
            let mut stream = connect(&network)?;
            stream.write_all(&frame(&[&question[..24], &[3]].concat()))?;
            Ok((by_udp, read_frame(&mut stream)?))
        })?;
        assert_eq!((by_udp[3] & 0xf, by_tcp[3] & 0xf), (0, 5));
        let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack")?;
        let greedy = format!("src={} ", greedy.link.address());
        assert!(!table.contains(&greedy), "questions are tracked as connections");
        // 50 at once and 50 a second, of which four are under way at a time; all else was dropped
        // by the kernel.
        let asked = server.join().expect("it answers")?;
        assert!(asked as f64 <= 50.0 + 50.0 * begun.elapsed().as_secs_f64(), "{asked}");
        drop(held);
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn nobody_but_instances_is_answered() -> anyhow::Result<()> {
    World::run(|world| {
        let network = platform(world)?;
        let server = (network.name_server(), 53);
        assert!(udp(Ipv4Addr::UNSPECIFIED, server.into(), QUESTION).is_err(), "not the machine");
        let answered = world.outside(|| Ok(udp(Ipv4Addr::UNSPECIFIED, server.into(), QUESTION)?));
        assert!(answered.is_err(), "not the outside");
        let connected = world.outside(|| Ok(TcpStream::connect_timeout(&server.into(), SILENCE)?));
        assert!(connected.is_err());
        Ok(world.wait(network.close())?)
    })
}
