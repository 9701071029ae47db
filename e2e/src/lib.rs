//! The harness of the end-to-end tests: the real binary on a data directory of its own, real images, real clients.
//!
//! Owns how a platform is started, watched and ended, and what tests look at from outside. Must not know the platform's
//! inside: what it sees is what a user sees, and what the kernel says.
//!
//! Tests need root. `cargo xtask test` builds what they use and says where it is: `SAMPAN_BIN` (the binary),
//! `SAMPAN_HELLO` and `SAMPAN_HOSTILE` (the built `examples`), `SAMPAN_PYTHON` (a Python with the official clients).
#![forbid(unsafe_code)]

pub mod api_client;
pub mod blob;
pub mod credential_plugin;
pub mod debian;
pub mod debian_registry;
pub mod deploys;
pub mod disk;
pub mod ending;
pub mod fake_tcr;
pub mod flask;
pub mod gate;
pub mod hostile;
pub mod images;
pub mod kept;
pub mod kernel;
pub mod kill_storm;
pub mod layer_tar;
pub mod leftovers;
pub mod oci;
pub mod platform;
pub mod printer;
pub mod registry;
pub mod scene;
pub mod secrecy;
pub mod small_disk;
pub mod tools;
pub mod wait;
pub mod walk;

pub use api_client::ApiClient;
pub use images::Folder;
pub use platform::Platform;
pub use registry::TestRegistry;
pub use scene::Scene;
