//! Errors of the network of instances.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::subnet::Subnet;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key of `[network]` has an impossible value.
    #[error("[network] {key} = {value} cannot be: {reason}")]
    BadConfig {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// Why not.
        reason: &'static str,
    },
    /// The kernel refused something about links, addresses, routes or packet rules.
    #[error("cannot {operation} {subject}")]
    Kernel {
        /// What was being done.
        operation: &'static str,
        /// On what.
        subject: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A setting of the kernel could not be read or written.
    #[error("cannot {operation} {path}", path = path.display())]
    Setting {
        /// `read` or `write`.
        operation: &'static str,
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Routes of this machine overlap every block.
    #[error("every /{block_prefix_bits} of {range} is in use by a route of this machine; set another [network] range")]
    NoFreeBlock {
        /// The range.
        range: Subnet,
        /// Length of the blocks' prefixes.
        block_prefix_bits: u8,
    },
    /// All addresses of the block are links'.
    #[error("all {links_max} addresses for instances are in use; lower [network] block_prefix_bits")]
    AddressesExhausted {
        /// How many there are.
        links_max: u32,
    },
    /// The name server could not listen.
    #[error("cannot listen on {address} port 53 for the instances' name server")]
    NameServer {
        /// Its address.
        address: Ipv4Addr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The relay to ports of this machine could not listen.
    #[error("cannot listen on {address} for connections of instances to this machine's ports")]
    HostRelay {
        /// Its address.
        address: Ipv4Addr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the machine has run out of something, so that the same may succeed later.
    pub fn is_exhaustion(&self) -> bool {
        match self {
            Self::AddressesExhausted { .. } => true,
            Self::Kernel { source, .. }
            | Self::Setting { source, .. }
            | Self::NameServer { source, .. }
            | Self::HostRelay { source, .. } => {
                matches!(
                    source.raw_os_error(),
                    Some(libc::ENOSPC | libc::ENOMEM | libc::ENOBUFS | libc::EMFILE | libc::ENFILE)
                )
            }
            Self::BadConfig { .. } | Self::NoFreeBlock { .. } => false,
        }
    }

    /// What to do about it, in one sentence.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::BadConfig { .. } => "Correct the setting.",
            Self::NoFreeBlock { .. } => "Set [network] range to addresses that this machine does not use.",
            Self::AddressesExhausted { .. } => "Lower [network] block_prefix_bits, so that a block is larger.",
            Self::NameServer { .. } => "Let the server that listens on all addresses listen on its own only.",
            Self::Kernel { .. } | Self::Setting { .. } | Self::HostRelay { .. } => {
                "Run as root with the kernel modules veth, nf_tables, nft_fib_inet, nft_masq, nft_nat, \
                 nft_reject_inet, nft_connlimit, nft_limit and nft_ct, or set [network] enabled = false."
            }
        }
    }

    pub(crate) fn kernel(operation: &'static str, subject: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let subject = subject.to_string();
        move |source| Self::Kernel { operation, subject, source }
    }
}
