//! The gateway over real sockets, with a real invoker behind it and instances that are one HTTP
//! server in this process.

mod answers;
mod asynchronous;
mod connections;
mod floods;
mod hooks;
mod minio;
mod requests;
mod support;
mod urls;
