//! What answers say of the records below: functions, and runs. Pure.

pub(crate) mod function;
pub(crate) mod run;
