//! Servers for `cargo xtask bench instructions`: the warm path with one server as every instance,
//! and a bare hyper proxy as the baseline.
//!
//! Each prints its address on standard output and serves until standard input ends.
#![forbid(unsafe_code)]

mod catalog;
mod instances;
mod proxy;
mod warm;

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use tokio::io::AsyncReadExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Args {
    /// The server to run
    server: Server,
    /// Address of the upstream server
    upstream: SocketAddr,
}

#[derive(Clone, Copy, ValueEnum)]
enum Server {
    /// gateway, invoke, pool and logs, as in `sampan up`
    Sampan,
    /// A bare proxy of hyper's server and client
    Proxy,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Args { server, upstream } = Args::parse();
    match server {
        Server::Proxy => proxy::serve(upstream).await,
        Server::Sampan => warm::serve(upstream).await,
    }
}

/// Prints the address and waits for the end of standard input.
async fn serve_until_stdin_ends(address: SocketAddr) -> anyhow::Result<()> {
    println!("{address}");
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
