//! Safe wrappers over the kernel calls that no library offers: starting an isolated process, namespaces as file
//! descriptors, mounts that are attached later, sockets that begin to listen, loop devices, early write-back, waiting on a pidfd.
//!
//! The only crate of the workspace with `unsafe`. Must not know what its wrappers are for: no paths, limits or lists of its
//! own. What the kernel requires of an argument is checked here or is a type.

pub mod ahead;
pub mod bpf;
mod calls;
mod capability;
mod child;
mod clone;
pub mod disk;
pub mod event;
pub mod file;
pub mod init;
pub mod loop_device;
pub mod mount;
mod mount_thread;
pub mod namespace;
pub mod process;
mod seats;
mod signals;
pub mod spawn;
mod stack;
mod tree;
mod user_namespace;

pub use clone::clone3_available;
pub use mount_thread::MountThread;
pub use seats::Seats;
pub use spawn::{Failure, Plan, Spawned, Step};
pub use stack::Stack;
pub use tree::ReadOnlyTree;
