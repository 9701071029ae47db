//! Invocations through the public handle, over instances that are HTTP servers in the test itself.

mod abandoned;
mod asynchronous;
mod cancellation;
mod event;
mod idle_connections;
mod lifecycle;
mod routing;
mod server;
mod support;
mod web;
