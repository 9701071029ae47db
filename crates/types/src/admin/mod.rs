//! Requests and responses of the control address's administrative endpoints, which are not part of
//! the cloud API.

pub mod dead_letters;
pub mod images;
pub mod registries;
pub mod secrets;
pub mod volumes;
