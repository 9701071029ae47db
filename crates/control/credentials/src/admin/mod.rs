//! The administrative endpoint of the control address, and what `sampan registry` says through it.
//!
//! `POST /admin/registries` with one [`Command`] in JSON, signed with TC3 like every call of the control address; what is
//! wanted stands in the body, which is signed whole. Answers are [`Answer`], with HTTP 200, or with 400, 401, 404, 408 or
//! 500 for a refusal.

mod serve;

pub use serve::router;
pub use types::admin::registries::{
    ACTION, Addition, Answer, Command, Listed, ListedLogin, NewLogin, PATH, Refused, Reply, Tested, TestedPlace,
};
