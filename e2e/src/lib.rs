//! Harness of the end-to-end tests: the real binary on its own data directory, with real images and
//! real clients.
//!
//! It starts, observes and stops platforms, and provides the external views that tests check: a
//! user's, and the kernel's.
//!
//! Tests need root. `cargo xtask test` builds their programs and sets `SAMPAN_BIN` (the binary),
//! `SAMPAN_HELLO` and `SAMPAN_HOSTILE` (the built `examples`), `SAMPAN_PYTHON` (a Python with the
//! official clients).
#![forbid(unsafe_code)]

pub mod api_client;
pub mod api_proxy;
pub mod async_calls;
pub mod auth_proxy;
pub mod blob;
pub mod build_cache;
pub mod credential_plugin;
pub mod debian;
pub mod debian_registry;
pub mod deploys;
pub mod disk;
pub mod event_storm;
pub mod fake_tcr;
pub mod fixture;
pub mod flask;
pub mod graceful_server;
pub mod hostile;
pub mod images;
pub mod kernel;
pub mod kill_storm;
pub mod layer_tar;
pub mod leftovers;
pub mod object_stores;
pub mod oci;
pub mod platform;
pub mod printer;
pub mod registry;
pub mod rootfs_listing;
pub mod scenes;
pub mod secrecy;
pub mod small_disk;
pub mod tools;
pub mod wait;

pub use api_client::ApiClient;
pub use async_calls::AsyncClient;
pub use fixture::Fixture;
pub use images::Folder;
pub use platform::Platform;
pub use registry::TestRegistry;
