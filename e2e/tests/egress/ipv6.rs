//! Egress over IPv6, on a machine that has it.

use std::io::Write;
use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::AsFd;

use anyhow::Context;
use e2e::{Platform, hostile, tools, wait};

use crate::machine::{METADATA, Outside, ip, on_machine};
use crate::{REFUSED, WHO_PORT, start};

const MACHINE: &str = "2606:db8::1";
const OUTSIDE: &str = "2606:db8::2";
/// Addresses that must be unreachable: a cloud's metadata service, and the IPv4 one behind NAT64.
const METADATA6: &str = "fd00:ec2::254";
const NAT64: &str = "64:ff9b::a9fe:a9fe";

/// Sets up IPv6 on the machine and the outside network, with a server on each.
async fn with_ipv6(outside: &Outside) -> anyhow::Result<()> {
    ip(&format!("-6 address add {MACHINE}/64 dev up0 nodad"))?;
    let (there, home) = (std::fs::File::open(outside.namespace())?, sys::namespace::current_network()?);
    let mut built = Ok(String::new());
    sys::namespace::in_network(there.as_fd(), home.as_fd(), || {
        built = ip(&format!("-6 address add {OUTSIDE}/64 dev out0 nodad"))
            .and_then(|_| ip(&format!("-6 address add {METADATA6}/128 dev lo nodad")))
            .and_then(|_| ip(&format!("-6 address add {NAT64}/128 dev lo nodad")));
        tell_who()
    })?;
    built?;
    ip(&format!("-6 route add default via {OUTSIDE}"))?;
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    tell_who()?;
    wait::until("the machine knows its addresses", || async {
        Ok((!ip("-6 address")?.contains("tentative")).then_some(()))
    })
    .await
}

/// Answers each client with its address, over IPv6 only.
fn tell_who() -> std::io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET6, rustix::net::SocketType::STREAM, None)?;
    rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    rustix::net::bind(&socket, &std::net::SocketAddr::from((Ipv6Addr::UNSPECIFIED, WHO_PORT)))?;
    rustix::net::listen(&socket, 16)?;
    let listener = TcpListener::from(socket);
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            // A disconnect of the client is not an error.
            stream.write_all(peer.ip().to_string().as_bytes()).ok();
        }
    });
    Ok(())
}

async fn ask(platform: &Platform, function: &str, address: &str) -> anyhow::Result<String> {
    hostile::attack(platform, function, &format!("/ask?[{address}]:{WHO_PORT}")).await
}

/// The instance's IPv6 address, from the kernel's list of them (proc_net(5)).
async fn own_address(platform: &Platform, function: &str) -> anyhow::Result<String> {
    let table = hostile::attack(platform, function, "/read?/proc/net/if_inet6").await?;
    let line = table.lines().find(|line| line.ends_with("eth0")).with_context(|| format!("none in {table}"))?;
    let number = u128::from_str_radix(line.split(' ').next().unwrap_or_default(), 16)?;
    Ok(Ipv6Addr::from(number).to_string())
}

#[test]
fn an_instance_reaches_the_outside_by_ipv6_and_nothing_that_ipv4_would_refuse() -> anyhow::Result<()> {
    on_machine(async |outside| {
        with_ipv6(&outside).await?;
        let platform = start().await?;
        platform.deploy("neighbour", "hostile:v1", &[]).await?;
        let neighbour = own_address(&platform, "neighbour").await?;
        assert_eq!(ask(&platform, "out", OUTSIDE).await?, MACHINE);
        let mapped = format!("::ffff:{METADATA}");
        for denied in [MACHINE, &neighbour, METADATA6, NAT64, &mapped, "::1"] {
            assert_eq!(ask(&platform, "out", denied).await?, REFUSED, "{denied}");
        }
        platform.stop().await
    })
}

#[test]
fn a_list_has_ranges_of_ipv6_and_the_log_says_what_was_refused() -> anyhow::Result<()> {
    on_machine(async |outside| {
        with_ipv6(&outside).await?;
        let platform = start().await?;
        let deploy = async |name: &str, egress: &str| {
            platform.deploy(name, "hostile:v1", &["--timeout", "30", "--egress", egress]).await.map(drop)
        };
        deploy("listed", "[2606:db8::/64]:7000,192.0.2.0/24").await?;
        deploy("other", "0.0.0.0/0").await?;
        deploy("alone", "none").await?;
        assert_eq!(ask(&platform, "listed", OUTSIDE).await?, MACHINE);
        for function in ["other", "alone"] {
            for _ in 0..2 {
                assert_eq!(ask(&platform, function, OUTSIDE).await?, REFUSED, "{function}");
            }
            let line = format!("egress to tcp [{OUTSIDE}]:{WHO_PORT} was refused: it is not on the function's list");
            let count = wait::until("the refusal is logged", || async {
                let log = tools::run_ok(&mut platform.cli(&["logs", function])).await?;
                let count = log.lines().filter(|text| text.contains(&line)).count();
                Ok((count > 0).then_some(count))
            })
            .await?;
            assert_eq!(count, 1, "once for a destination");
        }
        let arguments = ["deploy", "out", "--image", "hostile:v1", "--egress", METADATA6];
        let said = tools::run(&mut platform.cli(&arguments)).await?;
        assert!(!said.ok && said.stderr.contains("[network] denied6"), "{}", said.stderr);
        platform.stop().await
    })
}

#[test]
fn a_range_of_ipv6_is_refused_at_deploy_where_instances_have_none() -> anyhow::Result<()> {
    on_machine(async |_outside| {
        let platform = start().await?;
        let arguments = ["deploy", "out", "--image", "hostile:v1", "--egress", "2606:db8::/64"];
        let said = tools::run(&mut platform.cli(&arguments)).await?;
        assert!(!said.ok && said.stderr.contains("[network] ipv6"), "{}", said.stderr);
        platform.stop().await
    })
}
