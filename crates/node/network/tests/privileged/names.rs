//! The name server of instances.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use network::{Config, Network};

use crate::world::{Instance, NEIGHBOUR, SILENCE, WAIT, World, udp};

const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01";

/// A platform whose questions go to the neighbour.
fn platform(world: &World) -> anyhow::Result<Network> {
    world.platform_with(1, Config { dns: vec![IpAddr::V4(NEIGHBOUR)], dns_answer_ms_max: 100, ..Config::default() })
}

fn ask(instance: &Instance, network: &Network) -> anyhow::Result<Vec<u8>> {
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
        let answer = ask(&instance, &network)?;
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
        assert_eq!(ask(&instance, &network)?[3] & 0xf, 2);
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn long_answers_come_by_tcp() -> anyhow::Result<()> {
    World::run(|world| {
        let network = platform(world)?;
        let instance = world.instance(&network)?;
        let server = world.outside(|| Ok(TcpListener::bind((NEIGHBOUR, 53))?))?;
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = server.accept()?;
            let mut question = [0; 4];
            stream.read_exact(&mut question)?;
            stream.write_all(&[b"answer to ", &question[..]].concat())
        });
        let text = instance.inside(|| {
            let mut stream = TcpStream::connect_timeout(&(network.name_server(), 53).into(), WAIT)?;
            stream.set_read_timeout(Some(WAIT))?;
            stream.write_all(b"this")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        })?;
        assert_eq!(text, "answer to this");
        answering.join().expect("it answers")?;
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
