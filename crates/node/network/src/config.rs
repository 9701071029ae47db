//! Limits and choices of the instances' way out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use types::PortRange;
use types::egress::IpRange;

use crate::error::Error;
use crate::subnet::Subnet;
use crate::subnet6::{BITS_BEFORE_V4, Subnet6};

/// What is never reached: "this network", loopback, multicast, reserved with the broadcast address.
pub const NEVER: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// The same of IPv6: no address, loopback, IPv4 in other forms (compatible, mapped, NAT64,
/// 6to4, Teredo), which would go around what is said of IPv4, addresses of links and sites, and
/// multicast (IANA, IPv6 Special-Purpose Address Registry).
pub const NEVER_6: [(Ipv6Addr, u8); 9] = [
    (Ipv6Addr::UNSPECIFIED, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];
/// Shortest and longest prefix of a platform's block: over a million links, and four.
const BLOCK_PREFIX_BITS: std::ops::RangeInclusive<u8> = 12..=29;
/// Blocks that are looked at before the range is taken to be in use.
const BLOCKS_MAX: u32 = 1 << 16;

/// `[network] ipv6`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipv6 {
    /// Where the machine has a way out by it when the platform starts.
    #[default]
    Auto,
    /// In any case; a machine that cannot is refused.
    On,
    /// Not at all.
    Off,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether functions with public network access reach the outside at all; `false` changes
    /// nothing on this machine.
    pub enabled: bool,
    /// Addresses for instances. Each platform takes a block of them that no route of this machine
    /// has.
    pub range: Subnet,
    /// Length of the block's prefix, in bits: 20 is enough for 4,092 instances with a link at once.
    pub block_prefix_bits: u8,
    /// Ranges that instances may not reach, beyond those they never may: this machine's addresses,
    /// `range`, loopback, multicast and reserved addresses. The default is where clouds have their
    /// metadata.
    pub denied: Vec<Subnet>,
    /// Whether instances reach the outside by IPv6 too: `"auto"` where this machine has a default
    /// route by it when the platform starts, `"on"`, `"off"`.
    pub ipv6: Ipv6,
    /// IPv6 addresses for instances: 96 bits, before the IPv4 address of each.
    pub range6: Subnet6,
    /// As `denied`, of IPv6.
    pub denied6: Vec<Subnet6>,
    /// Name servers that instances' questions are passed to; those of `/etc/resolv.conf` when
    /// empty.
    pub dns: Vec<IpAddr>,
    /// Connections of one instance that this machine tracks at once; more are refused.
    pub connections_max: u32,
    /// The same of all instances together, beyond a few that each has in any case; 0 for half of
    /// what this machine tracks (`net.netfilter.nf_conntrack_max`), which it must stay below.
    pub connections_total_max: u32,
    /// Questions to name servers under way at once, over all instances.
    pub dns_queries_max: usize,
    /// The same of one instance. While `dns_queries_max` are under way, the instance with most
    /// gives one up to others.
    pub dns_queries_per_instance_max: usize,
    /// Questions of one instance within a second; the kernel drops more before anybody reads them.
    pub dns_queries_per_instance_per_s_max: u32,
    /// Connections for questions at once, over all instances; each has one question under way at
    /// most.
    pub dns_connections_max: usize,
    /// The same of one instance, shared like questions.
    pub dns_connections_per_instance_max: usize,
    /// How long one name server may take to answer, in milliseconds.
    pub dns_answer_ms_max: u64,
    /// How long a connection for questions may last, in milliseconds.
    pub dns_connection_ms_max: u64,
    /// Addresses of names on its list that a function may reach at once, for each set of ports; of
    /// more the ones that no answer had for longest are closed.
    pub egress_addresses_max: usize,
    /// Destinations beyond its list that are logged of one instance; of more it is only said that
    /// there were some.
    pub egress_refusals_logged_max: usize,
    /// Ports of this machine's loopback that functions may ask for, such as `[3306, "5432-5440"]`;
    /// instances of those that did reach them as `host.sampan.internal`.
    pub host_ports: Vec<PortRange>,
    /// Connections of instances to this machine's ports at once.
    pub host_connections_max: usize,
    /// The same of one instance. While `host_connections_max` are open, the instance with most
    /// loses its oldest to others.
    pub host_connections_per_instance_max: usize,
    /// How long a server on this machine may take to accept a connection, in milliseconds.
    pub host_connect_ms_max: u64,
    /// How long such a connection may carry nothing, in seconds.
    pub host_idle_s_max: u64,
    /// Whether instances reach the platform's own gateway as `gateway.sampan.internal`.
    pub gateway: bool,
    /// Connections of one instance to the gateway at once.
    pub gateway_connections_per_instance_max: usize,
    /// Links kept ready for the next starts while there is little demand.
    pub links_ready: usize,
    /// Links kept ready at most, however many starts there were lately.
    pub links_ready_max: usize,
    /// How often it is checked that rules, forwarding and name servers are as they should be, in
    /// milliseconds.
    pub check_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        let range = |a, b, c, d, bits| Subnet::of([a, b, c, d].into(), bits);
        Self {
            enabled: true,
            range: range(10, 222, 0, 0, 16),
            block_prefix_bits: 20,
            // Nearly every cloud's; Alibaba's; Azure's.
            denied: vec![range(169, 254, 0, 0, 16), range(100, 100, 100, 200, 32), range(168, 63, 129, 16, 32)],
            ipv6: Ipv6::Auto,
            range6: Subnet6::of(Ipv6Addr::new(0xfd73, 0x616d, 0x7061, 0x6e00, 0, 0, 0, 0), BITS_BEFORE_V4),
            // AWS's and Google Cloud's metadata.
            denied6: vec![
                Subnet6::of(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128),
                Subnet6::of(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128),
            ],
            dns: Vec::new(),
            connections_max: 8192,
            connections_total_max: 0,
            dns_queries_max: 1024,
            dns_queries_per_instance_max: 64,
            dns_queries_per_instance_per_s_max: 1000,
            dns_connections_max: 256,
            dns_connections_per_instance_max: 16,
            dns_answer_ms_max: 2500,
            dns_connection_ms_max: 10_000,
            egress_addresses_max: 4096,
            egress_refusals_logged_max: 64,
            host_ports: Vec::new(),
            host_connections_max: 4096,
            host_connections_per_instance_max: 256,
            host_connect_ms_max: 5000,
            host_idle_s_max: 7200,
            gateway: true,
            gateway_connections_per_instance_max: 256,
            links_ready: 8,
            links_ready_max: 64,
            check_interval_ms: 5000,
        }
    }
}

impl Config {
    /// What no function reaches, each with the setting that says so.
    pub fn egress_denied(&self) -> Vec<(IpRange, &'static str)> {
        let range = |subnet: &Subnet| IpRange::of(subnet.first().into(), subnet.prefix_bits());
        let never = NEVER.iter().map(|(first, bits)| (IpRange::of((*first).into(), *bits), "always"));
        let own = std::iter::once((range(&self.range), "[network] range"));
        let never6 = NEVER_6.iter().map(|(first, bits)| (IpRange::of((*first).into(), *bits), "always"));
        let of_v4 = never.chain(own).chain(self.denied.iter().map(|denied| (range(denied), "[network] denied")));
        let own6 = std::iter::once((self.range6.into(), "[network] range6"));
        let denied6 = self.denied6.iter().map(|denied| ((*denied).into(), "[network] denied6"));
        of_v4.chain(never6).chain(own6).chain(denied6).collect()
    }

    /// Whether the range can be cut into blocks, and every limit lets something through.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let bad = |key, value: String, reason| Err(Error::BadConfig { key, value, reason });
        let bits = self.block_prefix_bits;
        if !BLOCK_PREFIX_BITS.contains(&bits) || bits < self.range.prefix_bits() {
            return bad("block_prefix_bits", bits.to_string(), "it must be 12 to 29 and not shorter than range's");
        }
        if self.range.span() >> (32 - u32::from(bits)) >= BLOCKS_MAX {
            return bad("range", self.range.to_string(), "it has over 65,536 blocks of block_prefix_bits");
        }
        if self.range6.prefix_bits() != BITS_BEFORE_V4 {
            return bad("range6", self.range6.to_string(), "it must have 96 bits, which IPv4 addresses follow");
        }
        for (key, value) in [
            ("connections_max", u64::from(self.connections_max)),
            ("dns_queries_max", self.dns_queries_max as u64),
            ("dns_queries_per_instance_max", self.dns_queries_per_instance_max as u64),
            ("dns_queries_per_instance_per_s_max", u64::from(self.dns_queries_per_instance_per_s_max)),
            ("dns_connections_max", self.dns_connections_max as u64),
            ("dns_connections_per_instance_max", self.dns_connections_per_instance_max as u64),
            ("dns_answer_ms_max", self.dns_answer_ms_max),
            ("dns_connection_ms_max", self.dns_connection_ms_max),
            ("egress_addresses_max", self.egress_addresses_max as u64),
            ("host_connections_max", self.host_connections_max as u64),
            ("host_connections_per_instance_max", self.host_connections_per_instance_max as u64),
            ("host_connect_ms_max", self.host_connect_ms_max),
            ("host_idle_s_max", self.host_idle_s_max),
            ("gateway_connections_per_instance_max", self.gateway_connections_per_instance_max as u64),
            ("check_interval_ms", self.check_interval_ms),
        ] {
            if value == 0 {
                return bad(key, value.to_string(), "it must be at least 1; enabled = false switches all off");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        Config::default().check().expect("the defaults work");
        let range = |text: &str| text.parse().expect("a range");
        for (config, key) in [
            (Config { block_prefix_bits: 30, ..Config::default() }, "block_prefix_bits"),
            (Config { range: range("10.222.0.0/24"), ..Config::default() }, "block_prefix_bits"),
            (Config { range: range("10.0.0.0/8"), block_prefix_bits: 29, ..Config::default() }, "range"),
            (Config { range6: "fd00::/64".parse().expect("a range"), ..Config::default() }, "range6"),
            (Config { dns_queries_max: 0, ..Config::default() }, "dns_queries_max"),
        ] {
            let error = config.check().expect_err("refused").to_string();
            assert!(error.contains(&format!("[network] {key} ")), "{error}");
        }
    }
}
