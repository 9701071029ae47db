//! The way out on the real kernel, by behaviour: every test is a machine of its own, a network
//! namespace with a world outside. Needs root, and `ip` (iproute2) to build that world.
#![allow(missing_docs)] // A test binary has no readers of its interface.

mod connectivity;
mod egress;
mod host_ports;
mod ipv6;
mod names;
mod traces;
mod world;
