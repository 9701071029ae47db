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
    /// Bytes of all files of one image; also of the uncompressed stream of each of its layers.
    pub unpacked_bytes_max: u64,
    /// Files, directories, links and whiteouts of one image, over all layers.
    pub entries_max: u64,
    /// Layers of one image.
    pub layers_max: usize,
    /// Bytes of a manifest or an index.
    pub manifest_bytes_max: u64,
    /// Bytes of an image's config.
    pub config_bytes_max: u64,
    /// Bytes of the path of an entry in a layer, and of the target of a link.
    pub path_len_max: usize,
    /// Bytes of the extension headers (PAX, GNU long names) of one entry; extended attributes are
    /// among them.
    pub entry_header_bytes_max: u64,
    /// Bytes of the names and values of all extended attributes of one image.
    pub xattr_bytes_max: u64,
    /// Bytes of all names, link targets and extended attributes of one layer.
    pub layer_text_bytes_max: u64,
    /// Memory of this process for indexing layers and putting them together, in bytes, over all
    /// images. An image waits until its part is free; half of it is the most that one may take, and
    /// that transfers from registries may hold together, a quarter that those of one registry may.
    pub indexing_memory_bytes_max: u64,
    /// How root file systems are made: `auto`, `erofs`, `erofs-loop` or `files`.
    pub rootfs: RootfsMode,
    /// Layers of stored content that are indexed, and root file systems that are made, at once,
    /// over all images; each takes two threads.
    pub layers_at_once_max: usize,
    /// Layers that one registry sends at once, over all images; each takes two threads.
    pub registry_layers_at_once_max: usize,
    /// Images that are looked up in one registry at once.
    pub registry_images_at_once_max: usize,
    /// Longest wait for a connection to a registry, in seconds.
    pub connect_timeout_s: u64,
    /// Longest silence of a registry within an answer, in seconds.
    pub read_idle_timeout_s: u64,
    /// Longest preparation of one image, in seconds.
    pub prepare_timeout_s: u64,
    /// Retries of one request, or of a blob without a byte of progress between them.
    pub retries_max: u32,
    /// First pause before a retry, in milliseconds; doubles with each.
    pub retry_pause_ms: u64,
    /// Longest pause before a retry, in milliseconds, unless a registry's Retry-After asks for
    /// more.
    pub retry_pause_ms_max: u64,
    /// Longest pause that a registry's Retry-After is given, in seconds; one that asks for more
    /// fails the image.
    pub retry_after_s_max: u64,
    /// Least bytes a second of a transfer, over `transfer_slow_s_max`; a slower one fails. Zero for
    /// any.
    pub transfer_bytes_per_s_min: u64,
    /// How long a transfer may be slower than that, in seconds.
    pub transfer_slow_s_max: u64,
    /// Redirects that one request follows.
    pub redirects_max: usize,
    /// Addresses and ranges of them that registries may lead to, by redirects and by naming token
    /// servers, though they are neither public nor the registry's own: a private registry's store
    /// of blobs, for example.
    pub redirects_allowed: Vec<AddressRange>,
    /// Addresses that registries may not lead to though they are public: `denied` of `[network]`.
    #[serde(skip)]
    pub redirects_denied: Vec<AddressRange>,
    /// Registries (`host` or `host:port`) that are spoken to in plain HTTP. Loopback hosts always
    /// are.
    pub insecure_registries: Vec<String>,
    /// Bytes of an answer that is read for its words: errors and tokens.
    pub answer_bytes_max: u64,
    /// Between two reports of progress, in milliseconds.
    pub progress_interval_ms: u64,
    /// Content that nothing pins stays this long after it was last touched, in seconds.
    pub grace_s: u64,
    /// Bytes of content that nothing pins which may stay beyond that, for whoever wants it again;
    /// the most lately used stays.
    pub unpinned_bytes_max: u64,
    /// After a start nothing is collected for this long, in seconds, unless it is asked for
    /// (`sampan images prune`): what keeps content may be incomplete after a crash or a restore,
    /// and is made again in this time.
    pub start_keep_s: u64,
    /// Bytes of damaged content that are set aside, for whoever wants to look at it; the oldest
    /// goes first.
    pub quarantine_bytes_max: u64,
    /// What this process has read and verified, and nobody has written to since, is not read again
    /// for this long when it is deployed or pushed once more, in seconds.
    pub verified_keep_s: u64,
    /// Between two scrubs, which read and verify all that is kept, in seconds; 0 for none. After an
    /// unclean stop one begins at once.
    pub scrub_interval_s: u64,
    /// Bytes that a scrub reads in a second, when it runs by itself; `sampan scrub` reads as fast
    /// as it can.
    pub scrub_bytes_per_s_max: u64,
    /// Between two garbage collections, in seconds.
    pub collect_interval_s: u64,
    /// Prepared images whose facts stay in memory.
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

    /// Bounds of the tree that layers make together.
    pub(crate) fn tree_limits(&self) -> erofs::Limits {
        erofs::Limits { entries_max: self.entries_max, xattr_bytes_max: self.xattr_bytes_max }
    }

    /// The part that is the registry client's.
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

    /// The part that is the content store's.
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
        // A zero would make the task spin.
        Duration::from_secs(self.collect_interval_s.max(1))
    }
}
