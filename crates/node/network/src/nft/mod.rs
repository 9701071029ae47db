//! Messages of nf_tables: tables, chains, sets and rules.

mod chain;
mod conntrack;
mod expression;
mod message;
mod rule;
mod set;
mod transaction;

pub use chain::{Chain, Hook, Kind, list_chains, read_chain};
pub use conntrack::forget_connections;
pub use rule::{Family, Rule};
pub use set::Set;
pub use transaction::{Transaction, find_table};
