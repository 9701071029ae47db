//! The packet rules of a platform put in place: with what the kernel has, and without IPv6 or the
//! log of refusals where it refuses them.

use std::fs;

use crate::addresses::Addresses;
use crate::config::{Config, Ipv6};
use crate::connections::Limits;
use crate::egress::RefusalLog;
use crate::error::Error;
use crate::host::report_forwarding;
use crate::names::Names;
use crate::netlink::Socket;
use crate::rules::{self, Here};
use crate::subnet::Subnet;
use crate::{forwarding, ipv6};

/// How many connections the kernel tracks. There only when it tracks any, which rules about them
/// make it do.
const TRACKED_MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// What is assumed until then, which is less than on any machine but the smallest.
const TRACKED_MAX_ASSUMED: u32 = 1 << 16;

/// What the rules of a platform are made of, beside [`Here`].
pub struct Parts<'a> {
    /// Its number.
    pub platform: u64,
    /// Names of what is its.
    pub names: &'a Names,
    /// The addresses of its links.
    pub block: Subnet,
    /// The same as they are given to links.
    pub addresses: &'a Addresses,
    /// Settings.
    pub config: &'a Config,
}

/// Puts the packet rules in place and has the machine pass packets on. Returns how many connections
/// they let through, and the log where they report.
///
/// Goes on without IPv6 where the kernel refuses what it needs, unless the settings want it in any
/// case.
pub fn install(
    parts: &Parts<'_>,
    here: &mut Here,
    ipv6: &mut ipv6::State,
    (route, netfilter): (&mut Socket, &mut Socket),
) -> Result<(Limits, Option<RefusalLog>), Error> {
    if here.has_v6
        && let Err(error) = ipv6::ensure(route, netfilter).map(|on| report_forwarding(&on, rules::GUARD_TABLE_6))
    {
        without_ipv6(parts.config, ipv6, here, error)?;
    }
    let installed = match put(parts, *here, netfilter) {
        Err(error) if here.has_v6 => {
            without_ipv6(parts.config, ipv6, here, error)?;
            put(parts, *here, netfilter)?
        }
        installed => installed?,
    };
    report_forwarding(&forwarding::ensure(route, netfilter)?, rules::GUARD_TABLE);
    Ok(installed)
}

/// Goes on without IPv6, unless the settings want it in any case.
fn without_ipv6(config: &Config, state: &mut ipv6::State, here: &mut Here, error: Error) -> Result<(), Error> {
    if config.ipv6 == Ipv6::On {
        return Err(error);
    }
    tracing::warn!(error = &error as &dyn std::error::Error, "instances have no IPv6");
    (*state, here.has_v6) = (Err("the kernel refused what it needs; see the platform's log"), false);
    Ok(())
}

/// Where the kernel reports refused packets; nothing where it cannot.
fn refusal_log(platform: u64) -> Option<RefusalLog> {
    let log = RefusalLog::open(platform);
    log.inspect_err(|error| tracing::warn!(%error, "cannot hear of refused packets (nfnetlink_log)")).ok()
}

/// Sends the rules, which say how many connections they let through only once the kernel tracks
/// any.
fn put(parts: &Parts<'_>, here: Here, netfilter: &mut Socket) -> Result<(Limits, Option<RefusalLog>), Error> {
    let Parts { names, block, config, .. } = *parts;
    let links_max = parts.addresses.links_max();
    let mut log = refusal_log(parts.platform);
    let mut send = |connections: Limits| loop {
        let group = log.as_ref().map(|log| log.group);
        let rules = rules::install(names, block, here, config, connections, group);
        match netfilter.send(rules.messages()) {
            Err(error) if group.is_some() && error.raw_os_error() == Some(libc::ENOENT) => {
                tracing::warn!(%error, "cannot report refused packets (nft_log)");
                log = None;
            }
            sent => return sent.map_err(Error::kernel("install the packet rules", &names.table)),
        }
    };
    if tracked_max().is_none() {
        let any = Config { connections_total_max: 0, ..config.clone() };
        send(Limits::new(&any, TRACKED_MAX_ASSUMED, links_max)?)?;
    }
    let connections = Limits::new(config, tracked_max().unwrap_or(TRACKED_MAX_ASSUMED), links_max)?;
    send(connections)?;
    Ok((connections, log))
}

fn tracked_max() -> Option<u32> {
    fs::read_to_string(TRACKED_MAX).ok()?.trim().parse().ok().filter(|max| *max > 0)
}
