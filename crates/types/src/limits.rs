//! Limits of the function contract that every crate agrees on. Limits of one crate alone live in
//! that crate's config.

/// Characters of a function name.
pub const FUNCTION_NAME_LEN_MAX: usize = 60;
/// Characters of a namespace name.
pub const NAMESPACE_LEN_MAX: usize = 60;
/// Characters of namespace and function name together.
pub const FULL_NAME_LEN_MAX: usize = 118;
/// Characters of an alias name.
pub const ALIAS_LEN_MAX: usize = 64;
/// Bytes of a host name (RFC 1035, 2.3.4, as text without the final dot).
pub const HOST_LEN_MAX: usize = 253;
/// Bytes of the label of a host that names a function: the longest alias, `--` and the longest
/// name.
pub const HOST_LABEL_LEN_MAX: usize = ALIAS_LEN_MAX + 2 + FUNCTION_NAME_LEN_MAX;
/// Entries of the list of what a function may reach.
pub const EGRESS_ENTRIES_MAX: usize = 64;
/// Characters of a description.
pub const DESCRIPTION_LEN_MAX: usize = 1000;
/// Bytes of the event of a synchronous invocation.
pub const SYNC_EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Bytes of the event of an asynchronous invocation.
pub const ASYNC_EVENT_BYTES_MAX: usize = 128 * 1024;
/// Runs that follow one which failed in the function, for events (`RetryNum`).
pub const EVENT_RETRIES_DEFAULT: u32 = 2;
/// Seconds after which an event that waits is given up (`MsgTTL`).
pub const EVENT_TTL_S_DEFAULT: u32 = 21_600;
/// Most retries of an event that can be set.
pub const EVENT_RETRIES_MAX: u32 = 2;
/// Shortest `MsgTTL` that can be set, in seconds.
pub const EVENT_TTL_S_MIN: u32 = 60;
/// Longest `MsgTTL` that can be set, in seconds.
pub const EVENT_TTL_S_MAX: u32 = 21_600;
/// Bytes of the answer of an event function.
pub const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Bytes of the log that `LogType=Tail` returns.
pub const LOG_TAIL_BYTES: usize = 4096;
/// Smallest memory size of a function, in MB.
pub const MEMORY_MB_MIN: u32 = 64;
/// Largest memory size of a function, in MB.
pub const MEMORY_MB_MAX: u32 = 3072;
/// Memory sizes above the smallest are multiples of this, in MB.
pub const MEMORY_MB_STEP: u32 = 128;
/// Memory size of a function that names none, in MB.
pub const MEMORY_MB_DEFAULT: u32 = 128;
/// Time limit of a function that names none, in seconds.
pub const TIMEOUT_S_DEFAULT: u32 = 3;
/// Longest time limit, in seconds.
pub const TIMEOUT_S_MAX: u32 = 900;
/// Longest time limit of a function made with `AsyncRunEnable`, in seconds.
pub const ASYNC_RUN_TIMEOUT_S_MAX: u32 = 86_400;
/// Start limit of an image function that names none, in seconds.
pub const INIT_TIMEOUT_S_DEFAULT: u32 = 90;
/// Longest start limit, in seconds.
pub const INIT_TIMEOUT_S_MAX: u32 = 300;
/// Longest time that a stopped instance has to end by itself, in seconds.
pub const STOP_GRACE_S_MAX: u32 = 30;
/// Longest that a temporary function stays without an event that waits or runs, in seconds.
pub const TEMPORARY_S_MAX: u32 = 86_400;
/// Bytes of all environment variables (keys and values) of a function.
pub const ENVIRONMENT_BYTES_MAX: usize = 4096;
/// Requests that one instance of a web function may serve at once.
pub const MAX_CONCURRENCY_MAX: u32 = 100;
/// Memory that functions without a quota of their own share at least, in MB.
pub const SHARED_MB_MIN: u64 = 12_800;
/// Instances of a version that may be kept ready.
pub const PROVISIONED_MAX: u32 = 1000;
/// Scheduled actions of a version's instances that are kept ready.
pub const PROVISIONED_ACTIONS_MAX: usize = 20;
/// Namespaces of an installation.
pub const NAMESPACES_MAX: usize = 50;
/// Published versions of a function.
pub const VERSIONS_MAX: usize = 1000;
/// Greatest number of a version that a client may choose.
pub const VERSION_NUMBER_MAX: u32 = 1_000_000;
/// Where an image's server listens when `ImagePort` names nothing else.
pub const IMAGE_PORT: u16 = 9000;
/// `ImagePort` of a job image, which has no server (contract 4.2).
pub const JOB_PORT: i32 = -1;
/// Bytes of the event of a job image: Linux bounds a variable with its name and final NUL to 32
/// pages (execve(2), `MAX_ARG_STRLEN`), and the name is `SCF_CUSTOM_CONTAINER_EVENT=`.
pub const JOB_EVENT_BYTES_MAX: usize = 131_044;
/// Events of one array of jobs.
pub const ARRAY_SIZE_MAX: u32 = 1000;
/// Bytes of the events of one array together: they are one commit.
pub const ARRAY_BYTES_MAX: usize = 16 << 20;
/// Longest that the `Invoke` interface waits for an answer, in seconds.
pub const INVOKE_WAIT_S_MAX: u64 = 300;
/// Bytes of `RoutingKey`.
pub const ROUTING_KEY_BYTES_MAX: usize = 1024;
/// The largest uid or gid that every instance's user namespace maps to itself.
pub const MAPPED_ID_MAX: u32 = 65_534;
/// The uid or gid that owns, in prepared images, the files whose own is above [`MAPPED_ID_MAX`]. It
/// is mapped in every instance, so that root inside reads and changes them as its own.
pub const FOLDED_ID: u32 = 65_535;

/// Longest name of a volume.
pub const VOLUME_NAME_LEN_MAX: usize = 40;
/// Volumes of one version.
pub const MOUNTS_MAX: usize = 16;
/// Longest path of a mount, in bytes.
pub const MOUNT_PATH_BYTES_MAX: usize = 1024;

/// Longest name of a secret.
pub const SECRET_NAME_LEN_MAX: usize = 64;
/// Secrets that one version may have as files.
pub const SECRET_FILES_MAX: usize = 32;
/// Longest path of such a file below `/run/secrets`, in bytes.
pub const SECRET_PATH_BYTES_MAX: usize = 255;
