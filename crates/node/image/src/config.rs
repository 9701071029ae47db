//! Every limit of this crate, with its unit in the name.

use std::time::Duration;

use registry_client::AddressRange;
use rootfs::RootfsMode;
use serde::{Deserialize, Serialize};

/// Table `[image]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Compressed bytes of one image: all its layers and its config.
    pub image_bytes_max: u64,
    /// Bytes of all files of one image; also the limit of the uncompressed stream of each of its
    /// layers.
    pub unpacked_bytes_max: u64,
    /// Files, directories, links and whiteouts of one image, over all layers.
    pub entries_max: u64,
    /// Layers of one image.
    pub layers_max: usize,
    /// Bytes of a manifest or an index.
    pub manifest_bytes_max: u64,
    /// Bytes of an image's config.
    pub config_bytes_max: u64,
    /// Bytes of an entry's path in a layer, and of a link's target.
    pub path_len_max: usize,
    /// Bytes of the extension headers (PAX, GNU long names) of one entry, including extended
    /// attributes.
    pub entry_header_bytes_max: u64,
    /// Bytes of the names and values of all extended attributes of one image.
    pub xattr_bytes_max: u64,
    /// Bytes of all names, link targets and extended attributes of one layer.
    pub layer_text_bytes_max: u64,
    /// Memory for indexing and merging layers, in bytes, over all images. An image waits until its
    /// part is available; one image may take half of it at most, transfers from all registries
    /// together half, and those of one registry a quarter.
    pub indexing_memory_bytes_max: u64,
    /// How root file systems are created: `auto`, `erofs`, `erofs-loop` or `files`.
    pub rootfs: RootfsMode,
    /// Concurrent jobs that index stored layers or create root file systems, over all images; each
    /// takes two threads.
    pub layers_at_once_max: usize,
    /// Concurrent layer transfers from one registry, over all images; each takes two threads.
    pub registry_layers_at_once_max: usize,
    /// Concurrent image look-ups in one registry.
    pub registry_images_at_once_max: usize,
    /// Longest wait for a connection to a registry, in seconds.
    pub connect_timeout_s: u64,
    /// Longest silence of a registry within a response, in seconds.
    pub read_idle_timeout_s: u64,
    /// Longest preparation of one image, in seconds.
    pub prepare_timeout_s: u64,
    /// Retries of one request, or of a blob without progress between them.
    pub retries_max: u32,
    /// First pause before a retry, in milliseconds; doubles with each.
    pub retry_pause_ms: u64,
    /// Longest pause before a retry, in milliseconds, unless a registry's Retry-After is longer.
    pub retry_pause_ms_max: u64,
    /// Longest Retry-After of a registry that is honoured, in seconds; a longer one fails the
    /// image.
    pub retry_after_s_max: u64,
    /// Minimum rate of a transfer in bytes per second, over `transfer_slow_s_max`; a slower one
    /// fails. Zero disables it.
    pub transfer_bytes_per_s_min: u64,
    /// Time for which a transfer may be below that rate, in seconds.
    pub transfer_slow_s_max: u64,
    /// Maximum number of redirects of one request.
    pub redirects_max: usize,
    /// Addresses and ranges that registries may refer to, by redirects and token servers, although
    /// they are neither public nor the registry's own: a private registry's blob storage, for
    /// example.
    pub redirects_allowed: Vec<AddressRange>,
    /// Public addresses that registries may not refer to: `denied` of `[network]`.
    #[serde(skip)]
    pub redirects_denied: Vec<AddressRange>,
    /// Registries (`host` or `host:port`) that are accessed by plain HTTP. Loopback hosts always
    /// are.
    pub insecure_registries: Vec<String>,
    /// Bytes of a response that is parsed: errors and tokens.
    pub answer_bytes_max: u64,
    /// Interval of progress reports, in milliseconds.
    pub progress_interval_ms: u64,
    /// Retention of unpinned content after its last use, in seconds.
    pub grace_s: u64,
    /// Bytes of unpinned content that may stay beyond that for later use; the most recently used
    /// stays.
    pub unpinned_bytes_max: u64,
    /// Seconds after a start without garbage collection, except on request (`sampan images prune`):
    /// pins may be incomplete after a crash or a restore, and are restored in this time.
    pub start_keep_s: u64,
    /// Bytes of quarantined content, kept for analysis; the oldest is removed first.
    pub quarantine_bytes_max: u64,
    /// Seconds for which content that this process verified, and that was not written to since, is
    /// not read again when it is deployed or pushed once more.
    pub verified_keep_s: u64,
    /// Interval of scrubs, which read and verify all stored content, in seconds; 0 for none. After
    /// an unclean stop one begins at once.
    pub scrub_interval_s: u64,
    /// Rate of a periodic scrub, in bytes per second; `sampan scrub` reads at full speed.
    pub scrub_bytes_per_s_max: u64,
    /// Interval of garbage collections, in seconds.
    pub collect_interval_s: u64,
    /// Prepared images whose facts are cached in memory.
    pub cached_images_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        let client = registry_client::Config::default();
        Self {
            image_bytes_max: 10 << 30,
            unpacked_bytes_max: 32 << 30,
            entries_max: 1_000_000,
            layers_max: 128,
            manifest_bytes_max: 4 << 20,
            config_bytes_max: 4 << 20,
            path_len_max: 4095,
            entry_header_bytes_max: 1 << 20,
            xattr_bytes_max: 64 << 20,
            layer_text_bytes_max: 256 << 20,
            indexing_memory_bytes_max: 1 << 30,
            rootfs: RootfsMode::Auto,
            layers_at_once_max: 4,
            registry_layers_at_once_max: 4,
            registry_images_at_once_max: 4,
            connect_timeout_s: client.connect_timeout_s,
            read_idle_timeout_s: client.read_idle_timeout_s,
            prepare_timeout_s: 1800,
            retries_max: client.retries_max,
            retry_pause_ms: client.retry_pause_ms,
            retry_pause_ms_max: client.retry_pause_ms_max,
            retry_after_s_max: client.retry_after_s_max,
            transfer_bytes_per_s_min: client.transfer_bytes_per_s_min,
            transfer_slow_s_max: client.transfer_slow_s_max,
            redirects_max: client.redirects_max,
            redirects_allowed: client.redirects_allowed,
            redirects_denied: client.redirects_denied,
            insecure_registries: client.insecure_registries,
            answer_bytes_max: client.answer_bytes_max,
            progress_interval_ms: 100,
            grace_s: 3600,
            unpinned_bytes_max: 10 << 30,
            start_keep_s: 600,
            quarantine_bytes_max: 1 << 30,
            verified_keep_s: 3600,
            scrub_interval_s: 7 * 24 * 3600,
            scrub_bytes_per_s_max: 16 << 20,
            collect_interval_s: 3600,
            cached_images_max: 256,
        }
    }
}

impl Config {
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s)
    }

    /// Limits of the tree that layers merge into.
    pub(crate) fn tree_limits(&self) -> erofs::Limits {
        erofs::Limits { entries_max: self.entries_max, xattr_bytes_max: self.xattr_bytes_max }
    }

    /// The part for the registry client.
    pub fn registry_client(&self) -> registry_client::Config {
        registry_client::Config {
            manifest_bytes_max: self.manifest_bytes_max,
            connect_timeout_s: self.connect_timeout_s,
            read_idle_timeout_s: self.read_idle_timeout_s,
            retries_max: self.retries_max,
            retry_pause_ms: self.retry_pause_ms,
            retry_pause_ms_max: self.retry_pause_ms_max,
            retry_after_s_max: self.retry_after_s_max,
            transfer_bytes_per_s_min: self.transfer_bytes_per_s_min,
            transfer_slow_s_max: self.transfer_slow_s_max,
            redirects_max: self.redirects_max,
            redirects_allowed: self.redirects_allowed.clone(),
            redirects_denied: self.redirects_denied.clone(),
            insecure_registries: self.insecure_registries.clone(),
            answer_bytes_max: self.answer_bytes_max,
            ..registry_client::Config::default()
        }
    }

    /// The part for the content store.
    pub(crate) fn content_store(&self) -> content_store::Config {
        content_store::Config {
            manifest_bytes_max: self.manifest_bytes_max,
            config_bytes_max: self.config_bytes_max,
            start_keep_s: self.start_keep_s,
            quarantine_bytes_max: self.quarantine_bytes_max,
            verified_keep_s: self.verified_keep_s,
            scrub_interval_s: self.scrub_interval_s,
        }
    }

    pub(crate) fn collect_interval(&self) -> Duration {
        // Zero would make the task spin.
        Duration::from_secs(self.collect_interval_s.max(1))
    }
}
