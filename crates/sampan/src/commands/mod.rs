//! The client commands: each is thin around the API, the registry or the gateway.

pub mod alias;
pub mod backup;
pub mod config;
pub mod delete;
pub mod deploy;
pub mod doctor;
pub mod domain;
pub mod get;
pub mod images;
pub mod invoke;
pub mod list;
pub mod logs;
pub mod provision;
pub mod publish;
pub mod push;
pub mod quota;
pub mod registry;
pub mod rollout;
