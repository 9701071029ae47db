//! The ranges that are denied to all instances. Pure.

use crate::config::{Config, NEVER, NEVER_6};
use crate::subnet::Subnet;
use crate::subnet6::Subnet6;

/// The built-in ranges, those of the settings, and the addresses of all instances.
pub fn denied(config: &Config) -> Vec<Subnet> {
    let never = NEVER.iter().map(|(first, bits)| Subnet::of(*first, *bits));
    never.chain([config.range]).chain(config.denied.iter().copied()).collect()
}

/// The same of IPv6.
pub fn denied_6(config: &Config) -> Vec<Subnet6> {
    let never = NEVER_6.iter().map(|(first, bits)| Subnet6::of(*first, *bits));
    never.chain([config.range6]).chain(config.denied6.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::prefix::joined;

    #[test]
    fn what_is_never_reached_does_not_depend_on_the_settings() {
        let config = Config { denied: Vec::new(), ..Config::default() };
        let pairs = joined(&denied(&config));
        for never in ["0.0.0.0", "127.0.0.53", "10.222.16.9", "224.0.0.251", "255.255.255.255"] {
            let never: Ipv4Addr = never.parse().expect("an address");
            assert!(pairs.iter().any(|(first, last)| (*first..=*last).contains(&never)), "{never}");
        }
        let pairs = joined(&denied_6(&Config { denied6: Vec::new(), ..Config::default() }));
        for never in [
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:a00:1::1",
            "2001::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd73:616d:7061:6e00::ade:3",
        ] {
            let never: Ipv6Addr = never.parse().expect("an address");
            assert!(pairs.iter().any(|(first, last)| (*first..=*last).contains(&never)), "{never}");
        }
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        assert!(denied(&Config::default()).iter().any(|range| range.contains(metadata)));
    }
}
