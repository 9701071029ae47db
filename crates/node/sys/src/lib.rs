//! Safe wrappers over kernel calls that libraries lack: starting an isolated process, namespaces as
//! file descriptors, mounts that are attached later, sockets that begin to listen, loop devices,
//! early write-back, waiting on a pidfd.
//!
//! The only crate of the workspace with `unsafe`. Requirements of the kernel on an argument are
//! checked here or expressed as a type; paths, limits and lists are the caller's.

pub mod bpf;
mod calls;
mod capability;
mod clone;
pub mod disk;
pub mod event;
pub mod file;
pub mod init;
pub mod init_program;
pub mod instance_mounts;
pub mod loop_device;
pub mod mount;
mod mount_attributes;
mod mount_thread;
pub mod namespace;
mod network_settings;
pub mod process;
mod reserved_fds;
mod signals;
mod stack;
mod tree;
mod umask;
mod user_namespace;

pub use clone::clone3_available;
pub use mount_thread::MountThread;
pub use network_settings::NetworkSettings;
pub use reserved_fds::ReservedFds;
pub use stack::Stack;
pub use tree::ReadOnlyTree;
