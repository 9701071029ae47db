//! Packet rules (nf_tables): how tables, chains, sets and rules are put to the kernel.

mod expression;
mod transaction;

pub use expression::{Family, Rule};
pub use transaction::{Chain, Hook, Kind, Set, Transaction, find_table, forget_connections, list_chains, read_chain};
