//! Errors of custom domains.

/// A refused change of a custom domain.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// No such custom domain.
    #[error("there is no custom domain {domain}")]
    NotFound {
        /// Its host name.
        domain: String,
    },
    /// A custom domain of that name is there.
    #[error("there is a custom domain {domain} already; change it, or delete it first")]
    Exists {
        /// Its host name.
        domain: String,
    },
    /// As many custom domains as may be.
    #[error(
        "there are {domains_max} custom domains already; delete one that is not needed or raise [store] domains_max"
    )]
    TooMany {
        /// The limit.
        domains_max: u32,
    },
    /// A custom domain is larger than may be.
    #[error("the custom domain {domain} has {bytes} bytes of JSON; at most {bytes_max} are kept")]
    TooLarge {
        /// Its host name.
        domain: String,
        /// The current state.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}
