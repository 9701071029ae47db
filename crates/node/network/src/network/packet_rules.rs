//! Installs the packet rules of a platform, without IPv6 or the log of rejected packets where the
//! kernel does not support them.

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

/// Size of the connection tracking table. The file exists only once connection tracking is in use,
/// which rules that match on connections cause.
const TRACKED_MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// The size that is assumed until then: below the default of all but the smallest hosts.
const TRACKED_MAX_ASSUMED: u32 = 1 << 16;

/// The input of the rules of a platform, beside [`Here`].
pub struct Parts<'a> {
    /// Its number.
    pub platform: u64,
    /// Names of what is its.
    pub names: &'a Names,
    /// The addresses of its links.
    pub block: Subnet,
    /// The allocator of these addresses.
    pub addresses: &'a Addresses,
    /// Settings.
    pub config: &'a Config,
}

/// Installs the packet rules and enables forwarding. Returns the limits of connections that they
/// enforce, and the log of rejected packets.
///
/// Continues without IPv6 where the kernel does not support it, unless the settings require it.
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

/// Disables IPv6, or returns the error if the settings require IPv6.
fn without_ipv6(config: &Config, state: &mut ipv6::State, here: &mut Here, error: Error) -> Result<(), Error> {
    if config.ipv6 == Ipv6::On {
        return Err(error);
    }
    tracing::warn!(error = &error as &dyn std::error::Error, "instances have no IPv6");
    (*state, here.has_v6) = (Err("the kernel refused what it needs; see the platform's log"), false);
    Ok(())
}

/// The log of rejected packets, if the kernel supports it.
fn refusal_log(platform: u64) -> Option<RefusalLog> {
    let log = RefusalLog::open(platform);
    log.inspect_err(|error| tracing::warn!(%error, "cannot receive reports of refused packets (nfnetlink_log)")).ok()
}

/// Sends the rules: first without limits where connection tracking is not in use yet, because the
/// limits depend on the size of its table.
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
