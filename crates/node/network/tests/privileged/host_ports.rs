//! Ports of the machine's loopback that links may reach.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use network::{Config, HostAccess, Network};
use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, SocketType};

use crate::world::{Instance, MACHINE, PORT, SILENCE, WAIT, World, until};

/// Where a server listens on IPv6 only, and where none does.
const SIX: u16 = 7006;
const NONE: u16 = 7007;

fn config() -> Config {
    let host_ports = ["7000-7001", "7006-7007"].map(|text| text.parse().expect("ports")).to_vec();
    Config { host_ports, ..Config::default() }
}

/// Answers with a name, at an address of the machine.
fn named(address: IpAddr, port: u16, name: &'static str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::new(address, port))?;
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.write_all(name.as_bytes()).ok();
        }
    });
    Ok(())
}

fn let_reach(instance: &Instance, ports: &[u16]) -> Arc<Mutex<Vec<String>>> {
    let said = Arc::<Mutex<Vec<String>>>::default();
    let log = said.clone();
    let report = Box::new(move |line: &str| log.lock().expect("no panic").push(line.to_owned()));
    instance.link.let_reach(HostAccess { ports: ports.to_vec(), gateway_ports: Vec::new(), report });
    said
}

fn reached(instance: &Instance, network: &Network, port: u16) -> Result<String, ErrorKind> {
    instance.tcp(network.name_server(), port).map_err(|error| error.kind())
}

#[test]
fn a_link_reaches_the_ports_that_it_was_given_and_no_other() -> anyhow::Result<()> {
    World::run(|world| {
        crate::world::ip("link set lo up")?;
        let network = world.platform_with(1, config())?;
        named(Ipv4Addr::LOCALHOST.into(), PORT, "four")?;
        named(Ipv6Addr::LOCALHOST.into(), SIX, "six")?;
        let (database, other, nobody) =
            (world.instance(&network)?, world.instance(&network)?, world.instance(&network)?);
        let said = let_reach(&database, &[PORT, SIX, NONE, 22]);
        let others_said = let_reach(&other, &[PORT + 1]);
        assert_eq!(reached(&database, &network, PORT), Ok("four".to_owned()));
        assert_eq!(reached(&database, &network, SIX), Ok("six".to_owned()));
        for (instance, port) in
            [(&database, NONE), (&database, PORT + 1), (&database, 22), (&other, PORT), (&nobody, PORT)]
        {
            assert_eq!(reached(instance, &network, port), Err(ErrorKind::ConnectionReset), "{port}");
        }
        // By no other address of the machine.
        assert_eq!(database.tcp(MACHINE, PORT).map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
        until("all is said", || Ok(said.lock().expect("no panic").len() == 3))?;
        let said = said.lock().expect("no panic").join("\n");
        for wanted in
            ["no server accepts it at 127.0.0.1:7007", "--host-port 7001", ":22 was refused: [network] host_ports"]
        {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        assert!(others_said.lock().expect("no panic")[0].ends_with("--host-port 7000"));
        // The machine itself does not get in by this way.
        assert!(crate::world::tcp(network.name_server(), PORT).is_err());
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn connections_to_the_machine_are_bounded_and_end_with_their_link() -> anyhow::Result<()> {
    World::run(|world| {
        crate::world::ip("link set lo up")?;
        let network = world.platform_with(1, Config { host_connections_per_instance_max: 2, ..config() })?;
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
        let instance = world.instance(&network)?;
        let said = let_reach(&instance, &[PORT]);
        let connect = || -> anyhow::Result<TcpStream> {
            let stream = TcpStream::connect_timeout(&(network.name_server(), PORT).into(), WAIT)?;
            stream.set_read_timeout(Some(WAIT))?;
            Ok(stream)
        };
        let (mut held, mut served, mut clients) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2 {
            held.push(instance.inside(connect)?);
            let (stream, client) = server.accept()?;
            served.push(stream);
            clients.push(client);
        }
        // The server's side can tell whose connections they are, as long as they are open.
        let address = Some(instance.link.address());
        for client in &clients {
            until("it is known", || Ok(network.link_behind(*client, PORT) == address))?;
        }
        let third = instance.tcp(network.name_server(), PORT).expect_err("too many");
        assert_eq!(third.kind(), ErrorKind::ConnectionReset);
        until("it is said", || Ok(!said.lock().expect("no panic").is_empty()))?;
        assert!(said.lock().expect("no panic")[0].contains("[network] host_connections_per_instance_max"));
        // A reset of the server is one for the client.
        rustix::net::sockopt::set_socket_linger(&served[0], Some(Duration::ZERO))?;
        drop(served.remove(0));
        assert_eq!(held[0].read(&mut [0]).expect_err("reset").kind(), ErrorKind::ConnectionReset);
        // The other one ends with its link.
        let mut last = served.remove(0);
        last.set_read_timeout(Some(WAIT))?;
        let Instance { link, .. } = instance;
        drop(link);
        assert!(matches!(last.read(&mut [0]), Ok(0) | Err(_)), "it ended");
        until("none is known", || Ok(clients.iter().all(|client| network.link_behind(*client, PORT).is_none())))?;
        assert_ne!(last.take_error()?.map(|error| error.kind()), Some(ErrorKind::TimedOut));
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn connections_to_the_gateway_are_handed_over_with_the_address_of_their_link() -> anyhow::Result<()> {
    World::run(|world| {
        crate::world::ip("link set lo up")?;
        let config = Config { gateway_connections_per_instance_max: 1, ..config() };
        let network = world.platform_with(1, config)?;
        let gateway = network.gateway().expect("it is on");
        let mut connections = network.gateway_connections(&[80, 8080]).expect("it is on");
        let (caller, other) = (world.instance(&network)?, world.instance(&network)?);
        let said = Arc::<Mutex<Vec<String>>>::default();
        let log = said.clone();
        let report = Box::new(move |line: &str| log.lock().expect("no panic").push(line.to_owned()));
        caller.link.let_reach(HostAccess { ports: vec![PORT], gateway_ports: vec![(1, 8080)], report });
        let_reach(&other, &[PORT]);
        let stream = caller.inside(|| Ok(TcpStream::connect_timeout(&(gateway, 8080).into(), WAIT)?))?;
        let (_socket, from, held) = world.wait(connections.recv()).expect("handed over");
        assert_eq!(from.ip(), IpAddr::V4(caller.link.address()));
        assert_eq!(from.port(), stream.local_addr()?.port());
        let reset = |instance: &Instance, port| {
            let error = instance.tcp(gateway, port).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{port}");
        };
        // It has its one; a port of the machine is none of the gateway's; no list has these.
        reset(&caller, 80);
        reset(&caller, PORT);
        reset(&caller, 8081);
        reset(&other, 80);
        until("all is said", || Ok(said.lock().expect("no panic").len() == 3))?;
        let lines = said.lock().expect("no panic").join("\n");
        for wanted in
            ["gateway_connections_per_instance_max", "gateway.sampan.internal:7000", ":8081 was refused: it is"]
        {
            assert!(lines.contains(wanted), "{wanted}: {lines}");
        }
        drop(held);
        let _next = caller.inside(|| Ok(TcpStream::connect_timeout(&(gateway, 80).into(), WAIT)?))?;
        assert!(world.wait(connections.recv()).is_some());
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn the_address_of_another_link_reaches_nothing_of_this_machine() -> anyhow::Result<()> {
    World::run(|world| {
        crate::world::ip("link set lo up")?;
        let network = world.platform_with(1, config())?;
        named(Ipv4Addr::LOCALHOST.into(), PORT, "four")?;
        let gateway = network.gateway().expect("it is on");
        let mut connections = network.gateway_connections(&[80]).expect("it is on");
        let (database, thief) = (world.instance(&network)?, world.instance(&network)?);
        let report = Box::new(|_: &str| ());
        database.link.let_reach(HostAccess { ports: vec![PORT], gateway_ports: vec![(80, 80)], report });
        thief.link.let_reach(HostAccess { ports: vec![], gateway_ports: vec![], report: Box::new(|_: &str| ()) });
        assert_eq!(reached(&database, &network, PORT), Ok("four".to_owned()));
        let forged = database.link.address();
        thief.inside(|| {
            crate::world::ip(&format!("address add {forged}/32 dev eth0"))?;
            for to in [(network.name_server(), PORT), (gateway, 80)] {
                let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
                rustix::net::bind(&socket, &SocketAddr::from((forged, 0)))?;
                rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(SILENCE * 3))?;
                let error = rustix::net::connect(&socket, &SocketAddr::from(to)).expect_err("dropped");
                assert!([Errno::INPROGRESS, Errno::AGAIN, Errno::TIMEDOUT].contains(&error), "{to:?}: {error}");
            }
            Ok(())
        })?;
        assert!(connections.try_recv().is_err(), "the gateway heard of none");
        Ok(world.wait(network.close())?)
    })
}
