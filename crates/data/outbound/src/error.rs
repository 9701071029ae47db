//! Why a request may not be sent, or failed.

use std::net::IpAddr;

/// A refused URL, connection or address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not a URL.
    #[error("{0:?} is not a URL of http or https with a host, and a port other than 0 if it has one")]
    Url(String),
    /// It is too long.
    #[error("the URL is longer than {max} bytes")]
    TooLong {
        /// The longest.
        max: usize,
    },
    /// It has a user or a password.
    #[error("the URL has a user or a password; use a [connections.NAME] of the settings with a bearer token")]
    Credentials,
    /// Its host is not allowed.
    #[error("host {0} is not allowed; list it in hosts_allowed of [outbound]")]
    Host(String),
    /// No such connection.
    #[error("there is no connection {0:?}; add [connections.{0}] with kind = \"http\" to the settings")]
    Connection(String),
    /// A special-purpose address.
    #[error("{host} is at {address}, which is {kind}; list it in addresses_allowed of [outbound] if it is meant")]
    Address {
        /// The host as given.
        host: String,
        /// Its address.
        address: IpAddr,
        /// The kind of address.
        kind: &'static str,
    },
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is invalid.
    #[error("{key}: {why}")]
    Setting {
        /// The setting.
        key: String,
        /// The reason.
        why: String,
    },
    /// The request is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The bearer token cannot be read.
    #[error("cannot read the bearer token of connection {0:?} from {1}")]
    Token(String, String),
    /// The client cannot be created.
    #[error("cannot make the client of outgoing requests: {0}")]
    Client(#[source] reqwest::Error),
    /// There is no response.
    #[error("no answer from {host}: {why}")]
    Unanswered {
        /// The host.
        host: String,
        /// The reason.
        why: String,
    },
}
