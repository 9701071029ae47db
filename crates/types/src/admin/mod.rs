//! Requests and answers of the control address that are not actions of the cloud API.

pub mod dead_letters;
pub mod images;
pub mod registries;
pub mod secrets;
pub mod volumes;
