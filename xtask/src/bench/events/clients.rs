//! Clients of the platform: closed loop, fixed rate, or a fixed number of calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::event;
use super::messages::{self, Pair};
use crate::bench::http::Connection;
use crate::quickstart::Up;

/// Delay of delayed calls in seconds, so that none of them runs during a measurement.
const DELAY_S: u32 = 86_400;

/// Addresses of a platform, and its key pair.
pub struct Target {
    pub control: SocketAddr,
    gateway: SocketAddr,
    pair: Pair,
}

/// A request that is sent repeatedly.
#[derive(Clone)]
pub struct Repeated {
    address: SocketAddr,
    request: Vec<u8>,
    status: u16,
    /// The API reports errors as 200 with this text in the body.
    refusal: &'static [u8],
}

impl Target {
    /// The addresses and the key pair.
    pub fn of(up: &Up) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(&up.credentials).context("the platform wrote its credentials")?;
        let file: toml::Table = text.parse().context("the file of credentials is TOML")?;
        let field = |name: &str| file.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let address = |url: &str| url.trim_start_matches("http://").parse().context("an address");
        let pair = Pair { secret_id: field("secret_id"), secret_key: field("secret_key") };
        Ok(Self { control: address(&up.control)?, gateway: address(&up.gateway)?, pair })
    }

    fn asynchronous(&self, delay_s: u32) -> anyhow::Result<Repeated> {
        let (address, host) = (self.gateway, self.gateway.to_string());
        let request = messages::asynchronous(&self.pair, &host, delay_s, &event())?;
        Ok(Repeated { address, request, status: 202, refusal: b"errorCode" })
    }

    /// A call of `/async/` that does not run.
    pub fn delayed(&self) -> anyhow::Result<Repeated> {
        self.asynchronous(DELAY_S)
    }

    /// A call of `/async/` that runs at once.
    pub fn now(&self) -> anyhow::Result<Repeated> {
        self.asynchronous(0)
    }

    /// A signed call of `Invoke`.
    pub fn invoke(&self) -> anyhow::Result<Repeated> {
        let (address, host) = (self.control, self.control.to_string());
        let request = messages::invoke(&self.pair, &host, &event())?;
        Ok(Repeated { address, request, status: 200, refusal: b"\"Error\"" })
    }
}

impl Repeated {
    fn connect(&self) -> anyhow::Result<Connection> {
        Ok(Connection::open(self.address, "bench", "/")?.expecting(self.status))
    }

    fn send(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let (_, body) = connection.send(self.request.clone())?;
        let refused = body.windows(self.refusal.len()).any(|part| part == self.refusal);
        ensure!(!refused, "the call was refused: {}", String::from_utf8_lossy(body));
        Ok(())
    }
}

/// Runs a client on each of `clients_max` threads, and collects their results.
fn clients<T: Send + 'static>(
    of: &Repeated,
    clients: usize,
    work: impl Fn(usize, &Repeated, &mut Connection) -> anyhow::Result<T> + Send + Sync + 'static,
) -> anyhow::Result<Vec<T>> {
    let work = Arc::new(work);
    let start = |number: usize| {
        let (of, work) = (of.clone(), Arc::clone(&work));
        std::thread::spawn(move || work(number, &of, &mut of.connect()?))
    };
    let threads: Vec<_> = (0..clients).map(start).collect();
    let join = |thread: std::thread::JoinHandle<anyhow::Result<T>>| {
        thread.join().map_err(|_| anyhow::anyhow!("a client thread panicked"))?
    };
    threads.into_iter().map(join).collect()
}

/// Returns responses per second of clients that each send the next call after a response.
pub fn closed(of: &Repeated, clients_max: usize, time: Duration) -> anyhow::Result<f64> {
    let started = Instant::now();
    let counts = clients(of, clients_max, move |_, of, connection| {
        let mut count = 0_usize;
        while started.elapsed() < time {
            of.send(connection)?;
            count += 1;
        }
        Ok(count)
    })?;
    Ok(counts.iter().sum::<usize>() as f64 / started.elapsed().as_secs_f64())
}

/// Sends `calls` calls, distributed over all clients.
pub fn count(of: &Repeated, clients_max: usize, calls: usize) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    clients(of, clients_max, move |_, of, connection| {
        while next.fetch_add(1, Ordering::Relaxed) < calls {
            of.send(connection)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Returns latencies of calls at a fixed rate, in milliseconds, each measured from the scheduled
/// send time, so that they include the delay of a client that waits for a late response.
pub fn open(of: &Repeated, clients_max: usize, per_second: usize, time: Duration) -> anyhow::Result<Vec<f64>> {
    let interval = Duration::from_secs(1) / u32::try_from(per_second)?;
    let started = Instant::now() + Duration::from_millis(200);
    let times = clients(of, clients_max, move |number, of, connection| {
        let mut times = Vec::new();
        for turn in 0.. {
            let at = started + interval * u32::try_from(turn * clients_max + number)?;
            if at >= started + time {
                break;
            }
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            of.send(connection)?;
            times.push(at.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    })?;
    Ok(times.into_iter().flatten().collect())
}
