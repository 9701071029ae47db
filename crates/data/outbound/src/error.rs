//! Why a request may not be sent, or failed.

use std::net::IpAddr;

/// A URL, connection or address that may not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error("{0:?} is not a URL of http or https with a host, and a port other than 0 if it has one")]
    Url(String),
    /// It is longer than any that is needed.
    #[error("the URL is longer than {max} bytes")]
    TooLong {
        /// The longest.
        max: usize,
    },
    /// It has a user or a password.
    #[error("the URL has a user or a password; use a [connections.NAME] of the settings with a bearer token")]
    Credentials,
    /// Its host is not listed.
    #[error("host {0} is not allowed; list it in hosts_allowed of [outbound]")]
    Host(String),
    /// No such connection.
    #[error("there is no connection {0:?}; add [connections.{0}] with kind = \"http\" to the settings")]
    Connection(String),
    /// An address that is not the internet's.
    #[error("{host} is at {address}, which is {kind}; list it in addresses_allowed of [outbound] if it is meant")]
    Address {
        /// The host as it was named.
        host: String,
        /// Its address.
        address: IpAddr,
        /// What is wrong with it.
        kind: &'static str,
    },
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("{key}: {why}")]
    Setting {
        /// The setting.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// It may not be sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The bearer token cannot be read.
    #[error("cannot read the bearer token of connection {0:?} from {1}")]
    Token(String, String),
    /// The client cannot be made.
    #[error("cannot make the client of outgoing requests: {0}")]
    Client(#[source] reqwest::Error),
    /// It was not answered.
    #[error("no answer from {host}: {why}")]
    Unanswered {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
}
