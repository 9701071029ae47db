//! Converts internal records (functions, aliases, runs) to answers. Pure.

pub(crate) mod alias;
pub(crate) mod function;
pub(crate) mod run;
