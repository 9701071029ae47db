//! The vocabulary of Sampan: ids, functions, versions, image references, limits, status codes and
//! errors.
//!
//! Owns the meaning of each term and its form on the wire.
#![forbid(unsafe_code)]

pub mod admin;
pub mod alias;
pub mod alias_map;
pub mod catalog;
pub mod catalog_changes;
pub mod catalog_function;
pub mod concurrency;
pub mod domain;
pub mod egress;
pub mod error;
pub mod error_chain;
pub mod event_invoke;
pub mod extras;
pub mod function;
pub mod function_map;
pub mod ids;
pub mod image_ref;
pub mod installation;
pub mod instance;
pub mod job;
pub mod limits;
pub mod listening;
pub mod local_time;
pub mod mount;
pub mod ports;
pub mod run_status;
pub mod secret;
pub mod secret_file;
pub mod secret_ref;
pub mod secret_use;
pub mod secrets;
pub mod tags;
pub mod trigger;
pub mod wire;

pub use alias::{AliasRecord, Route, RouteBy};
pub use alias_map::AliasMap;
pub use catalog::{Catalog, SharedCatalog};
pub use catalog_changes::{ChangeHistory, ChangeSet, FunctionChange};
pub use catalog_function::{CatalogFunction, CatalogVersion};
pub use concurrency::{ProvisionedSpec, ScheduledAction, SessionSource, SessionSpec, Tracking};
pub use domain::CustomDomain;
pub use egress::Egress;
pub use error::{ApiError, ErrorCode};
pub use error_chain::{error_chain, root_cause};
pub use event_invoke::EventInvokeConfig;
pub use extras::{Bounds, Extras};
pub use function::{
    CommandWords, ConcurrencySpec, FunctionKind, FunctionRecord, ImageSpec, ImageType, PinnedImage, Serving, Status,
    StatusReason, VersionRecord, VersionSpec,
};
pub use function_map::FunctionMap;
pub use ids::{
    Digest, FunctionId, FunctionKey, FunctionName, InstanceId, Namespace, Qualifier, RequestId, SecretName, TriggerId,
    VersionKey, VersionName, VolumeName,
};
pub use image_ref::ImageRef;
pub use installation::Installation;
pub use instance::{ExitStatus, NetworkBytes};
pub use local_time::{InvalidUtcOffset, UtcOffset};
pub use mount::Mount;
pub use ports::PortRange;
pub use run_status::RunStatus;
pub use secret::{Secret, SecretBytes};
pub use secret_file::SecretFile;
pub use secret_ref::SecretRef;
pub use secret_use::SecretUse;
pub use secrets::{SecretKey, SecretRecord, SecretVersion};
pub use trigger::{Trigger, TriggerOptions};
