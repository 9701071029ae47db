//! What answers say of the records below: functions, aliases, and runs. Pure.

pub(crate) mod alias;
pub(crate) mod function;
pub(crate) mod run;
