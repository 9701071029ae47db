//! Name servers: what `resolv.conf(5)` says of them, and the one for instances. Pure.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

/// Name servers that are asked at most, as the C library's limit is.
const SERVERS_MAX: usize = 3;
/// What a machine without the file uses (resolv.conf(5)).
const LOCAL_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The machine's way to find names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolvers {
    /// Servers, the first asked first.
    pub servers: Vec<IpAddr>,
    /// Domains that names without dots are looked up in.
    pub search: Vec<String>,
}

/// Reads the machine's file. Servers on its own loopback are as good as others: it is the platform
/// that asks them.
pub fn read(text: &str) -> Resolvers {
    let mut found = Resolvers::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => found.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
            // The last one counts.
            Some("search" | "domain") => found.search = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    found.servers.truncate(SERVERS_MAX);
    if found.servers.is_empty() {
        found.servers.push(LOCAL_SERVER);
    }
    found
}

/// The file of an instance.
pub fn write(server: Ipv4Addr, search: &[String]) -> String {
    let mut text = format!("nameserver {server}\n");
    if !search.is_empty() {
        // Writing to memory cannot fail.
        writeln!(text, "search {}", search.join(" ")).ok();
    }
    text + "options timeout:3 attempts:2\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_domains_are_read() {
        let text = "# made by\nnameserver 127.0.0.53\nnameserver 2001:db8::1 # second\nnameserver fe80::1%eth0\n\
                    domain first.example\nsearch a.example b.example\noptions edns0\nnameserver 192.0.2.1\n\
                    nameserver 192.0.2.2\n";
        let found = read(text);
        assert_eq!(
            found.servers.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
            ["127.0.0.53", "2001:db8::1", "192.0.2.1"]
        );
        assert_eq!(found.search, ["a.example", "b.example"]);
        assert_eq!(read("").servers, [LOCAL_SERVER]);
    }

    #[test]
    fn an_instance_asks_the_platform() {
        let server = Ipv4Addr::new(10, 222, 0, 1);
        assert_eq!(write(server, &[]), "nameserver 10.222.0.1\noptions timeout:3 attempts:2\n");
        assert!(write(server, &["a.example".to_owned()]).contains("\nsearch a.example\n"));
    }
}
