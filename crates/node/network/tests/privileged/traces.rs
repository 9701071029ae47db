//! What is counted, and what is left in the kernel: after links, after a platform, after one that
//! was killed.

use std::net::{Ipv4Addr, UdpSocket};

use network::{Config, Error};

use crate::world::{MACHINE, NEIGHBOUR, PORT, World, ip, ip_says, until};

/// Everything that a platform could leave, but its packet rules.
fn traces() -> anyhow::Result<[String; 3]> {
    // A new link takes the kernel a moment to come up.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while ip_says("-o link")?.contains("NO-CARRIER") && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok([ip_says("-o link")?, ip_says("-o -4 address")?, ip_says("-4 route show table all")?])
}

#[test]
fn bytes_are_counted_both_ways() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform(1)?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let instance = world.instance(&network)?;
        assert_eq!((instance.link.bytes()?.sent, instance.link.bytes()?.received), (0, 0));
        // It stays open: the kernel says so of a closed one to whoever answers it, which is sent,
        // too.
        let _socket = instance.inside(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            for _ in 0..10 {
                socket.send_to(&[0; 1000], (NEIGHBOUR, PORT))?;
            }
            Ok(socket)
        })?;
        // Ethernet, IPv4 and UDP headers take 42.
        assert_eq!(instance.link.bytes()?.sent, 10 * 1042);
        let answers = 10 * (42 + MACHINE.to_string().len() as u64);
        until("the answers are counted", || Ok(instance.link.bytes()?.received == answers))?;
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn five_hundred_links_leave_the_kernel_as_it_was() -> anyhow::Result<()> {
    World::run(|world| {
        let before = traces()?;
        let network = world.platform(1)?;
        let with_platform = traces()?;
        for _ in 0..500 {
            drop(world.instance(&network)?);
        }
        until("the links are gone", || Ok(traces()? == with_platform))?;
        world.wait(network.close())?;
        assert_eq!(traces()?, before);
        Ok(())
    })
}

#[test]
fn what_a_killed_platform_left_is_removed_by_the_next_on_its_directory_only() -> anyhow::Result<()> {
    World::run(|world| {
        let before = traces()?;
        let beside = world.platform(7)?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let other = world.instance(&beside)?;
        let with_other = traces()?;

        let killed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let network = network::Network::open(1, Config::default(), killed.handle())?.expect("it is switched on");
        let block = network.block();
        assert!(!block.overlaps(beside.block()));
        let orphan = world.instance(&network)?;
        drop(network);
        drop(killed);
        assert_ne!(traces()?, with_other);

        let again = world.platform(1)?;
        assert_eq!(again.block(), block, "it takes the same block");
        assert!(orphan.tcp(NEIGHBOUR, PORT).is_err(), "the link of before is gone");
        assert_eq!(world.instance(&again)?.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        assert_eq!(other.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        drop(orphan);
        world.wait(again.close())?;
        until("only the other's is there", || Ok(traces()? == with_other))?;
        assert_eq!(other.tcp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        world.wait(beside.close())?;
        assert_eq!(traces()?, before);
        Ok(())
    })
}

#[test]
fn a_block_that_the_machine_uses_is_not_taken() -> anyhow::Result<()> {
    World::run(|world| {
        // Every block but the last.
        for route in ["10.222.0.0/17", "10.222.128.0/18", "10.222.192.0/19", "10.222.224.0/20"] {
            ip(&format!("route add {route} via 198.51.100.2"))?;
        }
        let network = world.platform(1)?;
        assert_eq!(network.block().to_string(), "10.222.240.0/20");
        let none = world.platform(2).err().expect("there is none").to_string();
        assert!(none.contains("every /20 of 10.222.0.0/16") && none.contains("[network] range"), "{none}");
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn addresses_that_run_out_are_told_and_then_given_again_without_their_connections() -> anyhow::Result<()> {
    World::run(|world| {
        let network = world.platform_with(1, Config { block_prefix_bits: 29, ..Config::default() })?;
        world.outside(|| world.serve(Ipv4Addr::UNSPECIFIED, PORT))?;
        let mut instances = (0..4).map(|_| world.instance(&network)).collect::<anyhow::Result<Vec<_>>>()?;
        let refused = world.instance(&network).err().expect("there is no address");
        let refused = refused.downcast_ref::<Error>().expect("ours");
        assert!(refused.is_exhaustion() && refused.to_string().contains("all 4 addresses"), "{refused}");
        let first = instances.remove(0);
        first.udp(NEIGHBOUR, PORT)?;
        let address = first.link.address();
        let known = || {
            let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack")?;
            Ok::<_, anyhow::Error>(table.contains(&format!("src={address} ")))
        };
        assert!(known()?);
        drop(first);
        let next = world.instance(&network)?;
        assert_eq!(next.link.address(), address);
        assert!(!known()?, "answers to the one before would find the next");
        assert_eq!(next.udp(NEIGHBOUR, PORT)?, MACHINE.to_string());
        Ok(world.wait(network.close())?)
    })
}

#[test]
fn the_probe_changes_nothing() -> anyhow::Result<()> {
    World::run(|_| {
        let before = traces()?;
        assert!(network::probe()?.is_empty());
        assert_eq!(traces()?, before);
        Ok(())
    })
}
