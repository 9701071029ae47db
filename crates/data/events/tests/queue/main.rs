//! The queue through its public handle, with scripted runs.
#![allow(clippy::unwrap_used)]

mod acceptance;
mod arrays;
mod bounds;
mod damage;
mod dead_letters;
mod deliveries;
mod endpoint;
mod fixture;
mod floods;
mod restarts;
mod retention;
mod runs;
mod termination;
mod triggers;
mod upgrade;
