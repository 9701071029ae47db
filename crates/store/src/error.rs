//! Errors of the store.

mod statement;

use std::path::PathBuf;

use types::{FunctionKey, Namespace, Qualifier, SecretKey, Status, VersionName};

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
    /// A namespace of that name is there.
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
        /// Functions in it, those that are being deleted included.
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
    /// No such secret.
    #[error("there is no secret {} in namespace {}; set it with `sampan secret set`", key.name, key.namespace)]
    SecretNotFound {
        /// The secret.
        key: SecretKey,
    },
    /// The secret has no such version (any more).
    #[error("secret {key} has no version {version}; `sampan secret versions` lists what it has")]
    SecretVersionNotFound {
        /// The secret.
        key: SecretKey,
        /// The version.
        version: u32,
    },
    /// Its value is not what a variable can have.
    #[error(
        "the value of secret {key} is not UTF-8, or has a NUL, and {of} has it in a variable; give it as a file with \
         --secret-file"
    )]
    SecretNotText {
        /// The secret.
        key: SecretKey,
        /// The function, or a version of it.
        of: String,
    },
    /// Functions have the secret.
    #[error(
        "secret {key} is used by {}; deploy without it, and delete published versions that have it (`sampan delete \
         NAME:VERSION`), first",
        users.join(", ")
    )]
    SecretInUse {
        /// The secret.
        key: SecretKey,
        /// Versions of functions.
        users: Vec<String>,
    },
    /// As many secrets as may be.
    #[error("there are {secrets_max} secrets already; delete one that is not needed or raise [secrets] secrets_max")]
    TooManySecrets {
        /// The limit.
        secrets_max: usize,
    },
    /// All values together are larger than may be.
    #[error(
        "all secrets together would have more than {bytes_max} bytes with this value of {key}; delete versions that \
         are not needed or raise [secrets] bytes_max"
    )]
    SecretsTooLarge {
        /// The secret.
        key: SecretKey,
        /// The limit.
        bytes_max: u64,
    },
    /// The secret has as many versions as may be, and each is needed.
    #[error(
        "secret {key} has {versions_max} versions and functions are pinned to all of them; deploy one of those with \
         another version or raise [secrets] versions_max"
    )]
    SecretVersionsPinned {
        /// The secret.
        key: SecretKey,
        /// The limit.
        versions_max: usize,
    },
    /// The namespace `default` takes every request that names none.
    #[error("namespace {namespace} is always there and cannot be deleted")]
    DefaultNamespace {
        /// Its name.
        namespace: Namespace,
    },
    /// As many namespaces as may be.
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
    /// The name is taken, maybe by a function that is being deleted.
    #[error("function {key} {}", taken(*.status))]
    FunctionExists {
        /// Its namespace and name.
        key: FunctionKey,
        /// State of the function that has the name.
        status: Status,
    },
    /// Only what can be called can be kept ready.
    #[error("version {version} of function {key} is {}, not Active; wait until it is", .status.as_str())]
    VersionNotActive {
        /// The function.
        key: FunctionKey,
        /// The version.
        version: VersionName,
        /// Its state.
        status: Status,
    },
    /// More memory than the quota would hold.
    #[error(
        "instances of version {version} of function {key} cannot take {wanted_mb} MB: {room_mb} MB are left of {}",
        if *.reserved { "what is reserved for the function; provision fewer or reserve more" }
        else { "what functions without a quota of their own share; provision fewer or raise the quota" }
    )]
    ProvisionedTooMuch {
        /// The function.
        key: FunctionKey,
        /// The version.
        version: VersionName,
        /// The requested value, in MB.
        wanted_mb: u64,
        /// The available memory, in MB.
        room_mb: u64,
        /// The function has a quota of its own.
        reserved: bool,
    },
    /// The others would share too little.
    #[error(
        "function {key} cannot have {wanted_mb} MB of its own: {free_mb} MB of the installation's quota may be \
         reserved; reserve less, take another function's reservation back, or raise the quota"
    )]
    ReservedTooMuch {
        /// The function.
        key: FunctionKey,
        /// The requested memory, in MB.
        wanted_mb: u64,
        /// The available memory, in MB.
        free_mb: u64,
    },
    /// No such version or alias.
    #[error("function {key} has no version or alias {qualifier}")]
    QualifierNotFound {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// The version or alias.
        qualifier: Qualifier,
    },
    /// No such custom domain.
    #[error("there is no custom domain {domain}")]
    DomainNotFound {
        /// Its host name.
        domain: String,
    },
    /// A custom domain of that name is there.
    #[error("there is a custom domain {domain} already; change it, or delete it first")]
    DomainExists {
        /// Its host name.
        domain: String,
    },
    /// As many custom domains as may be.
    #[error(
        "there are {domains_max} custom domains already; delete one that is not needed or raise [store] domains_max"
    )]
    TooManyDomains {
        /// The limit.
        domains_max: u32,
    },
    /// The function has no such trigger.
    #[error("function {key} has no {name}")]
    TriggerNotFound {
        /// The function.
        key: FunctionKey,
        /// The given name.
        name: TriggerName,
    },
    /// The function has a trigger of that name.
    #[error("function {key} has a {name} already")]
    TriggerExists {
        /// The function.
        key: FunctionKey,
        /// The given name.
        name: TriggerName,
    },
    /// The function has as many triggers of a kind as may be.
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
    /// A custom domain is larger than may be.
    #[error("the custom domain {domain} has {bytes} bytes of JSON; at most {bytes_max} are kept")]
    DomainTooLarge {
        /// Its host name.
        domain: String,
        /// The current state.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// More than the machine was said to give.
    #[error(
        "a quota of {quota_mb} MB is more than the {quota_mb_max} MB of the configuration; raise [pool] memory_mb_max"
    )]
    QuotaTooLarge {
        /// The requested value.
        quota_mb: u64,
        /// The limit.
        quota_mb_max: u64,
    },
    /// It would not hold what is reserved and what all share.
    #[error(
        "a quota of {quota_mb} MB is too small: {reserved_mb} MB belong to functions, and beside them a tenth of the \
         quota or [store] shared_mb_min must be left for all others; take reservations back first"
    )]
    QuotaTooSmall {
        /// The requested value.
        quota_mb: u64,
        /// Reservations of all functions.
        reserved_mb: u64,
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
    /// The function cannot be changed in the state it is in.
    #[error("function {key} is {} and cannot be changed now; wait until it is Active or has failed", status.as_str())]
    WrongStatus {
        /// Its namespace and name.
        key: FunctionKey,
        /// State of its `$LATEST`.
        status: Status,
    },
    /// Only what is active can be published.
    #[error("$LATEST of function {key} is {} and cannot be published; {}", status.as_str(), before_publishing(*status))]
    NotPublishable {
        /// Its namespace and name.
        key: FunctionKey,
        /// State of its `$LATEST`.
        status: Status,
    },
    /// The number was published, or passed over.
    #[error("version {number} of function {key} cannot be published: numbers from {next} on are free")]
    VersionNumberTaken {
        /// Its namespace and name.
        key: FunctionKey,
        /// The number.
        number: u32,
        /// The least that is free.
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
    /// As many published versions as may be.
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
    /// Aliases lead to the version.
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
    /// Instances are kept ready for the version.
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
    /// An alias of that name is there.
    #[error("function {key} has an alias {name} already")]
    AliasExists {
        /// Namespace and name of the function.
        key: FunctionKey,
        /// Name of the alias.
        name: String,
    },
    /// The alias `$DEFAULT` takes every call that names no other.
    #[error("the alias $DEFAULT of function {key} is always there and cannot be deleted; it can be led to any version")]
    DefaultAlias {
        /// Namespace and name of the function.
        key: FunctionKey,
    },
    /// As many aliases as may be.
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
    /// The configuration of a version is larger than may be.
    #[error("the configuration of function {key} has {bytes} bytes of JSON; at most {bytes_max} are kept")]
    SpecTooLarge {
        /// Its namespace and name.
        key: FunctionKey,
        /// The current state.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// As many writes as may wait do so already.
    #[error("{waiting_max} changes are waiting for the database already; try again, with fewer at once")]
    Busy {
        /// The limit.
        waiting_max: usize,
    },
    /// The platform is being shut down.
    #[error("the platform is shutting down; try again later")]
    Stopping,
    /// The folder of the database cannot be made.
    #[error(
        "cannot make the folder {} for the database; make it writable or choose another data directory", path.display()
    )]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of the database cannot be made.
    #[error(
        "cannot open the database file {} for writing; make it writable or choose another data directory",
        path.display()
    )]
    CreateFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database does not open.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema of the database {} up to date", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The schema is newer than this program.
    #[error(
        "the database {} was written by a newer version of Sampan (migration {migration}); start that version or \
         restore a backup",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The first migration that this program does not know.
        migration: i64,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the database {} is damaged or is no database; restore a backup with `sampan restore`, or move it away and \
         start with --new to begin with an empty one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The value found.
        source: sqlx::Error,
    },
    /// No space for a write.
    #[error("cannot {operation} {subject}: the disk of the data directory is full; free some space and try again")]
    DiskFull {
        /// The failed operation.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The database's error.
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("cannot {operation} {subject} in the database")]
    Query {
        /// The failed operation.
        operation: &'static str,
        /// On what.
        subject: String,
        /// Why.
        source: sqlx::Error,
    },
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
