//! Limits of the function contract that several crates use. Limits of one crate are in that crate's
//! config.

/// Longest function name, in characters.
pub const FUNCTION_NAME_LEN_MAX: usize = 60;
/// Longest namespace name, in characters.
pub const NAMESPACE_LEN_MAX: usize = 60;
/// Longest namespace and function name together, in characters.
pub const FULL_NAME_LEN_MAX: usize = 118;
/// Longest alias name, in characters.
pub const ALIAS_LEN_MAX: usize = 64;
/// Longest host name, in bytes (RFC 1035, 2.3.4, as text without the final dot).
pub const HOST_LEN_MAX: usize = 253;
/// Longest host label of a function, in bytes: the longest alias, `--` and the longest name.
pub const HOST_LABEL_LEN_MAX: usize = ALIAS_LEN_MAX + 2 + FUNCTION_NAME_LEN_MAX;
/// Most entries of an egress list.
pub const EGRESS_ENTRIES_MAX: usize = 64;
/// Longest description, in characters.
pub const DESCRIPTION_LEN_MAX: usize = 1000;
/// Longest event of a synchronous invocation, in bytes.
pub const SYNC_EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Longest event of an asynchronous invocation, in bytes.
pub const ASYNC_EVENT_BYTES_MAX: usize = 128 * 1024;
/// Default number of retries after a run that failed in the function (`RetryNum`).
pub const EVENT_RETRIES_DEFAULT: u32 = 2;
/// Default seconds after which a waiting event is given up (`MsgTTL`).
pub const EVENT_TTL_S_DEFAULT: u32 = 21_600;
/// Largest allowed number of retries.
pub const EVENT_RETRIES_MAX: u32 = 2;
/// Shortest allowed `MsgTTL`, in seconds.
pub const EVENT_TTL_S_MIN: u32 = 60;
/// Longest allowed `MsgTTL`, in seconds.
pub const EVENT_TTL_S_MAX: u32 = 21_600;
/// Longest response of an event function, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Bytes of the log that `LogType=Tail` returns.
pub const LOG_TAIL_BYTES: usize = 4096;
/// Smallest memory size of a function, in MB.
pub const MEMORY_MB_MIN: u32 = 64;
/// Largest memory size of a function, in MB.
pub const MEMORY_MB_MAX: u32 = 3072;
/// Memory sizes above the smallest are multiples of this, in MB.
pub const MEMORY_MB_STEP: u32 = 128;
/// Default memory size of a function, in MB.
pub const MEMORY_MB_DEFAULT: u32 = 128;
/// Default timeout of an invocation, in seconds.
pub const TIMEOUT_S_DEFAULT: u32 = 3;
/// Longest timeout, in seconds.
pub const TIMEOUT_S_MAX: u32 = 900;
/// Longest timeout of a function created with `AsyncRunEnable`, in seconds.
pub const ASYNC_RUN_TIMEOUT_S_MAX: u32 = 86_400;
/// Default start timeout of an image function, in seconds.
pub const INIT_TIMEOUT_S_DEFAULT: u32 = 90;
/// Longest start timeout, in seconds.
pub const INIT_TIMEOUT_S_MAX: u32 = 300;
/// Longest stop grace of an instance, in seconds.
pub const STOP_GRACE_S_MAX: u32 = 30;
/// Longest lifetime of a temporary function without a waiting or running event, in seconds.
pub const TEMPORARY_S_MAX: u32 = 86_400;
/// Bytes of all environment variables (names and values) of a function.
pub const ENVIRONMENT_BYTES_MAX: usize = 4096;
/// Most concurrent requests of an instance of a web function.
pub const MAX_CONCURRENCY_MAX: u32 = 100;
/// Least memory shared by functions without a reservation, in MB.
pub const SHARED_MB_MIN: u64 = 12_800;
/// Most provisioned instances of a version.
pub const PROVISIONED_MAX: u32 = 1000;
/// Most scheduled actions of a version's provisioned concurrency.
pub const PROVISIONED_ACTIONS_MAX: usize = 20;
/// Most namespaces of an installation.
pub const NAMESPACES_MAX: usize = 50;
/// Most published versions of a function.
pub const VERSIONS_MAX: usize = 1000;
/// Greatest version number that a client may choose.
pub const VERSION_NUMBER_MAX: u32 = 1_000_000;
/// Default port of an image's server (`ImagePort`).
pub const IMAGE_PORT: u16 = 9000;
/// `ImagePort` of a job image, which has no server (contract 4.2).
pub const JOB_PORT: i32 = -1;
/// Longest event of a job image, in bytes: Linux limits a variable with its name and final NUL to
/// 32 pages (execve(2), `MAX_ARG_STRLEN`), and the name is `SCF_CUSTOM_CONTAINER_EVENT=`.
pub const JOB_EVENT_BYTES_MAX: usize = 131_044;
/// Most events of one array.
pub const ARRAY_SIZE_MAX: u32 = 1000;
/// Bytes of all events of an array together: they are one commit.
pub const ARRAY_BYTES_MAX: usize = 16 << 20;
/// Longest wait of `Invoke` for a result, in seconds.
pub const INVOKE_WAIT_S_MAX: u64 = 300;
/// Longest `RoutingKey`, in bytes.
pub const ROUTING_KEY_BYTES_MAX: usize = 1024;
/// Largest uid and gid that every instance's user namespace maps to itself.
pub const MAPPED_ID_MAX: u32 = 65_534;
/// Owner in prepared images of files whose own uid or gid exceeds [`MAPPED_ID_MAX`]. Every instance
/// maps it, so that root in the instance can read and change these files.
pub const FOLDED_ID: u32 = 65_535;

/// Longest name of a volume.
pub const VOLUME_NAME_LEN_MAX: usize = 40;
/// Most volumes of one version.
pub const MOUNTS_MAX: usize = 16;
/// Longest path of a mount, in bytes.
pub const MOUNT_PATH_BYTES_MAX: usize = 1024;

/// Longest name of a secret.
pub const SECRET_NAME_LEN_MAX: usize = 64;
/// Most secret files of one version.
pub const SECRET_FILES_MAX: usize = 32;
/// Longest path of such a file below `/run/secrets`, in bytes.
pub const SECRET_PATH_BYTES_MAX: usize = 255;
