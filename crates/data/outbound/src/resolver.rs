//! Resolves names to allowed addresses.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use registry_client::AddressRange;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address;
use crate::error::Refused;

/// A pending lookup.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks up names; the machine's resolver, or a fake in tests.
pub trait Lookup: Send + Sync + 'static {
    /// The current addresses of a name.
    fn lookup(&self, host: &str) -> Looking;
}

/// The machine's resolver.
pub(crate) struct System;

impl Lookup for System {
    fn lookup(&self, host: &str) -> Looking {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Passes the tested addresses of a name to the HTTP client, which connects to one of those.
pub(crate) struct Guarded {
    pub lookup: Arc<dyn Lookup>,
    pub allowed: Arc<[AddressRange]>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (looking, allowed) = (self.lookup.lookup(name.as_str()), Arc::clone(&self.allowed));
        Box::pin(async move {
            let found = looking.await?;
            for address in &found {
                check(name.as_str(), *address, &allowed)?;
            }
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// One address that is not allowed refuses the whole answer: it is unlikely to be an accident.
pub(crate) fn check(host: &str, address: IpAddr, allowed: &[AddressRange]) -> Result<(), Refused> {
    match address::forbidden(address, allowed) {
        Some(kind) => Err(Refused::Address { host: host.to_owned(), address: address.to_canonical(), kind }),
        None => Ok(()),
    }
}
