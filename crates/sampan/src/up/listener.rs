//! Binds listening sockets; errors name the flag that changes the address.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::failure::{Exit, Failure};

/// Binds the address of the setting `what`.
pub async fn bind(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => {
                format!("Another program uses it; choose another one with --{what}-addr (port 0 selects a free one).")
            }
            ErrorKind::AddrNotAvailable => format!("This machine has no such address; choose one with --{what}-addr."),
            _ => String::new(),
        };
        Failure::new(Exit::Failed, format!("cannot listen on the {what} address {address}: {error}"), hint).into()
    })
}
