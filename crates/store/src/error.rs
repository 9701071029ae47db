//! Errors of the store.

mod domains;
mod file;
mod quotas;
mod secrets;
mod statement;

use types::{FunctionKey, Namespace, Qualifier, Status, VersionName};

pub use self::domains::DomainError;
pub use self::file::FileError;
pub use self::quotas::QuotaError;
pub use self::secrets::SecretError;
pub(crate) use self::statement::{During, code, result_code};
use crate::trigger_name::TriggerName;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such namespace.
    #[error("namespace {namespace} does not exist")]
    NamespaceNotFound {
        /// Its name.
        namespace: Namespace,
    },
    /// A namespace with that name exists.
    #[error("namespace {namespace} exists already")]
    NamespaceExists {
        /// Its name.
        namespace: Namespace,
    },
    /// Only an empty namespace can be deleted.
    #[error("namespace {namespace} is not empty; first delete the functions in it ({functions})")]
    NamespaceNotEmpty {
        /// Its name.
        namespace: Namespace,
        /// Functions in it, including those being deleted.
        functions: u64,
    },
    /// Only an empty namespace can be deleted.
    #[error(
        "namespace {namespace} is not empty; first delete the secrets in it ({secrets}) with `sampan secret delete`"
    )]
    NamespaceHasSecrets {
        /// Its name.
        namespace: Namespace,
        /// Secrets in it.
        secrets: u64,
    },
    /// The namespace `default` takes every request that names none.
    #[error("namespace {namespace} is always there and cannot be deleted")]
    DefaultNamespace {
        /// Its name.
        namespace: Namespace,
    },
    /// The limit of namespaces is reached.
    #[error(
        "there are {namespaces_max} namespaces already; delete one that is not needed or raise [store] namespaces_max"
    )]
    TooManyNamespaces {
        /// The limit.
        namespaces_max: u32,
    },
    /// No such function.
    #[error("function {key} does not exist")]
    FunctionNotFound {
        /// Its namespace and name.
        key: FunctionKey,
    },
    /// The name is taken, possibly by a function that is being deleted.
    #[error("function {key} {}", taken(*.status))]
    FunctionExists {
        /// Its namespace and name.
        key: FunctionKey,
        /// State of the function that has the name.
        status: Status,
    },
    /// Only an active version can have provisioned instances.
    #[error("version {version} of function {key} is {}, not Active; wait until it is", .status.as_str())]
    VersionNotActive {
        /// The function.
        key: FunctionKey,
        /// The version.
        version: VersionName,
        /// Its state.
        status: Status,
    },
    /// No such version or alias.
    #[error("function {key} has no version or alias {qualifier}")]
    QualifierNotFound {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// The version or alias.
        qualifier: Qualifier,
    },
    /// The function has no such trigger.
    #[error("function {key} has no {name}")]
    TriggerNotFound {
        /// The function.
        key: FunctionKey,
        /// The given name.
        name: TriggerName,
    },
    /// The function has a trigger with that name.
    #[error("function {key} has a {name} already")]
    TriggerExists {
        /// The function.
        key: FunctionKey,
        /// The given name.
        name: TriggerName,
    },
    /// The function's limit of triggers of one kind is reached.
    #[error(
        "function {key} has {triggers_max} triggers of type {kind} already; delete one that is not needed or raise \
         [store] triggers_per_kind_max"
    )]
    TooManyTriggers {
        /// The function.
        key: FunctionKey,
        /// The kind.
        kind: String,
        /// The limit.
        triggers_max: u32,
    },
    /// As many functions in the namespace as may be.
    #[error(
        "namespace {namespace} has {functions_max} functions already; delete one that is not needed or raise [store] \
         functions_per_namespace_max"
    )]
    TooManyFunctions {
        /// The namespace.
        namespace: Namespace,
        /// The limit.
        functions_max: u32,
    },
    /// The function cannot be changed in its current state.
    #[error("function {key} is {} and cannot be changed now; wait until it is Active or has failed", status.as_str())]
    WrongStatus {
        /// Its namespace and name.
        key: FunctionKey,
        /// State of its `$LATEST`.
        status: Status,
    },
    /// Only an active `$LATEST` can be published.
    #[error("$LATEST of function {key} is {} and cannot be published; {}", status.as_str(), before_publishing(*status))]
    NotPublishable {
        /// Its namespace and name.
        key: FunctionKey,
        /// State of its `$LATEST`.
        status: Status,
    },
    /// The number was published or skipped.
    #[error("version {number} of function {key} cannot be published: numbers from {next} on are free")]
    VersionNumberTaken {
        /// Its namespace and name.
        key: FunctionKey,
        /// The number.
        number: u32,
        /// The lowest free number.
        next: u64,
    },
    /// The revision to publish changed after the client read it.
    #[error("function {key} was changed or published since revision {seen}: it has revision {found} now")]
    RevisionChanged {
        /// Its namespace and name.
        key: FunctionKey,
        /// The revision that the client read.
        seen: String,
        /// The current revision.
        found: String,
    },
    /// No such version.
    #[error("function {key} has no version {version}")]
    VersionNotFound {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// The version.
        version: VersionName,
    },
    /// The function's limit of published versions is reached.
    #[error(
        "function {key} has {versions_max} published versions already; delete one that is not needed or raise \
         [store] versions_per_function_max"
    )]
    TooManyVersions {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// The limit.
        versions_max: u32,
    },
    /// Aliases point to the version.
    #[error(
        "version {version} of function {key} is used by the alias {}; first lead it to another version or delete it",
        aliases.join(" and the alias ")
    )]
    VersionInUse {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// The version.
        version: VersionName,
        /// Names of the aliases.
        aliases: Vec<String>,
    },
    /// The version has provisioned instances.
    #[error("version {version} of function {key} has provisioned instances; first delete its provisioned concurrency")]
    VersionProvisioned {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// The version.
        version: VersionName,
    },
    /// No such alias.
    #[error("function {key} has no alias {name}")]
    AliasNotFound {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// Name of the alias.
        name: String,
    },
    /// An alias with that name exists.
    #[error("function {key} has an alias {name} already")]
    AliasExists {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// Name of the alias.
        name: String,
    },
    /// The alias `$DEFAULT` cannot be deleted: calls without a qualifier use it.
    #[error("the alias $DEFAULT of function {key} is always there and cannot be deleted; it can be led to any version")]
    DefaultAlias {
        /// Namespace and name of the function.
        key: FunctionKey,
    },
    /// The function's limit of aliases is reached.
    #[error(
        "function {key} has {aliases_max} aliases already; delete one that is not needed or raise [store] \
         aliases_per_function_max"
    )]
    TooManyAliases {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// The limit.
        aliases_max: u32,
    },
    /// The configuration of a version exceeds its size limit.
    #[error("the configuration of function {key} has {bytes} bytes of JSON; at most {bytes_max} are kept")]
    SpecTooLarge {
        /// Its namespace and name.
        key: FunctionKey,
        /// Its size as JSON.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The limit of waiting writes is reached.
    #[error("{waiting_max} changes are waiting for the database already; try again, with fewer at once")]
    Busy {
        /// The limit.
        waiting_max: usize,
    },
    /// The platform is being shut down.
    #[error("the platform is shutting down; try again later")]
    Stopping,
    /// No space for a write.
    #[error("cannot {operation} {subject}: the disk of the data directory is full; free some space and try again")]
    DiskFull {
        /// The failed operation.
        operation: &'static str,
        /// The subject of the operation.
        subject: String,
        /// The database's error.
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("cannot {operation} {subject} in the database")]
    Query {
        /// The failed operation.
        operation: &'static str,
        /// The subject of the operation.
        subject: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// A secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A quota.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// A custom domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The database's file.
    #[error(transparent)]
    File(#[from] FileError),
}

fn taken(status: Status) -> &'static str {
    match status {
        Status::Deleting => "is still being deleted; try again when it can no longer be found",
        _ => "exists already",
    }
}

fn before_publishing(status: Status) -> &'static str {
    match status {
        Status::Creating | Status::Updating | Status::Publishing => "wait until it is Active",
        Status::Deleting | Status::DeleteFailed => "make the function anew",
        _ => "mend what failed with UpdateFunctionCode or UpdateFunctionConfiguration, and wait until it is Active",
    }
}
