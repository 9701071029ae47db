//! The administrative endpoint for registries, used by `sampan registry`.
//!
//! `POST /admin/registries` with a [`Command`] in JSON, signed with TC3 like every request to the
//! control address, the body included. Responses are [`Answer`], with HTTP 200, or with 400, 401,
//! 404, 408 or 500 for an error.

mod serve;

pub use serve::router;
pub use types::admin::registries::{
    ACTION, Addition, Answer, Command, Listed, ListedLogin, NewLogin, PATH, Refused, Reply, Tested, TestedPlace,
};
