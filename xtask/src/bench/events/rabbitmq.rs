//! RabbitMQ as the peer: persistent messages to a durable queue, each confirmed before its
//! connection sends the next. Implements the required part of AMQP 0-9-1 directly, because the cost
//! of a client library would be measured too.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bench::http::free_port;
use crate::process::{ChildGuard, on_path};

/// The script itself, which runs as the calling user; the one on the PATH switches users.
const SCRIPT: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Timeout of a start, and of a response.
const START_MAX: Duration = Duration::from_secs(90);
const ANSWER_MAX: Duration = Duration::from_secs(30);
const QUEUE: &str = "bench";
/// Frames (AMQP 0-9-1, 4.2.3).
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xCE;
/// Properties: only the delivery mode, which is persistent.
const DELIVERY_MODE: u16 = 0x1000;
const PERSISTENT: u8 = 2;

/// A running server with its own files.
pub struct Server {
    child: Option<ChildGuard>,
    /// Port of Erlang's port mapper, which the server starts and leaves running.
    mapper: String,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.take();
        let mut kill = Command::new("epmd");
        kill.args(["-port", &self.mapper, "-kill"]).stdout(Stdio::null()).status().ok();
    }
}

impl Server {
    /// Starts a server; `None` when RabbitMQ is not installed.
    pub fn start(work: &Path) -> anyhow::Result<Option<Self>> {
        let script = PathBuf::from(SCRIPT);
        if !script.exists() && !on_path("rabbitmq-server") {
            return Ok(None);
        }
        let program = if script.exists() { script } else { "rabbitmq-server".into() };
        let (port, dist, mapper) = (free_port()?, free_port()?, free_port()?.to_string());
        let folder = work.join("rabbitmq");
        std::fs::create_dir(&folder)?;
        let mut command = Command::new(program);
        command
            .envs([("RABBITMQ_MNESIA_BASE", &folder), ("RABBITMQ_LOG_BASE", &folder), ("HOME", &folder)])
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_NODENAME", format!("bench-{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", dist.to_string())
            .env("ERL_EPMD_PORT", &mapper)
            .stdout(Stdio::null());
        let child = ChildGuard(command.spawn().context("cannot run rabbitmq-server")?);
        let server = Self { child: Some(child), mapper, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
        let deadline = Instant::now() + START_MAX;
        while let Err(error) = Publisher::connect(server.address) {
            if Instant::now() > deadline {
                return Err(error.context("rabbitmq-server is not ready"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(Some(server))
    }

    /// Confirmed messages per second over this many connections.
    pub fn measure(&self, connections: usize, time: Duration, message: &[u8]) -> anyhow::Result<f64> {
        let publishers: Vec<_> =
            (0..connections).map(|_| Publisher::connect(self.address)).collect::<Result<_, _>>()?;
        let started = Instant::now();
        let threads: Vec<_> = publishers
            .into_iter()
            .map(|mut publisher| {
                let message = message.to_vec();
                std::thread::spawn(move || -> anyhow::Result<usize> {
                    let mut count = 0;
                    while started.elapsed() < time {
                        publisher.publish(&message)?;
                        count += 1;
                    }
                    Ok(count)
                })
            })
            .collect();
        let mut count = 0;
        for thread in threads {
            count += thread.join().map_err(|_| anyhow::anyhow!("a publisher panicked"))??;
        }
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }
}

/// One connection with one channel.
struct Publisher {
    stream: BufReader<TcpStream>,
}

impl Publisher {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let mut publisher = Self { stream: BufReader::new(stream) };
        publisher.stream.get_mut().write_all(b"AMQP\x00\x00\x09\x01")?;
        publisher.expect((10, 10))?;
        let login = Arguments::of((10, 11)).table().short("PLAIN").long(b"\0guest\0guest").short("en_US");
        publisher.send(0, login)?;
        let limits = publisher.expect((10, 30))?;
        // The same channels and frame size; no heartbeats.
        let limits = limits.get(..6).context("connection.tune is too short")?.to_vec();
        publisher.send(0, Arguments::of((10, 31)).bytes(&limits).bytes(&[0, 0]))?;
        publisher.send(0, Arguments::of((10, 40)).short("/").short("").bytes(&[0]))?;
        publisher.expect((10, 41))?;
        publisher.ask(Arguments::of((20, 10)).short(""), (20, 11))?;
        let durable = 0b10;
        publisher.ask(Arguments::of((50, 10)).bytes(&[0, 0]).short(QUEUE).bytes(&[durable]).table(), (50, 11))?;
        publisher.ask(Arguments::of((85, 10)).bytes(&[0]), (85, 11))?;
        Ok(publisher)
    }

    /// Publishes a message and waits until it is confirmed.
    fn publish(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let method = Arguments::of((60, 40)).bytes(&[0, 0]).short("").short(QUEUE).bytes(&[0]);
        let size = (message.len() as u64).to_be_bytes();
        let header = [&60_u16.to_be_bytes()[..], &[0, 0], &size, &DELIVERY_MODE.to_be_bytes(), &[PERSISTENT]].concat();
        let frames = [frame(METHOD, 1, &method.0), frame(HEADER, 1, &header), frame(BODY, 1, message)].concat();
        self.stream.get_mut().write_all(&frames)?;
        self.expect((60, 80)).map(drop)
    }

    fn ask(&mut self, method: Arguments, answer: (u16, u16)) -> anyhow::Result<()> {
        self.send(1, method)?;
        self.expect(answer).map(drop)
    }

    fn send(&mut self, channel: u16, method: Arguments) -> anyhow::Result<()> {
        Ok(self.stream.get_mut().write_all(&frame(METHOD, channel, &method.0))?)
    }

    /// Reads the arguments of the next method, which must be this one.
    fn expect(&mut self, (class, method): (u16, u16)) -> anyhow::Result<Vec<u8>> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head)?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let mut payload = vec![0; size + 1];
        self.stream.read_exact(&mut payload)?;
        ensure!(head[0] == METHOD && payload[size] == FRAME_END && size >= 4, "not the frame of a method: {head:?}");
        let found = (u16::from_be_bytes([payload[0], payload[1]]), u16::from_be_bytes([payload[2], payload[3]]));
        if found != (class, method) {
            bail!("RabbitMQ sent {found:?} instead of {:?}: {}", (class, method), String::from_utf8_lossy(&payload));
        }
        payload.pop();
        Ok(payload.split_off(4))
    }
}

/// A method with its arguments.
struct Arguments(Vec<u8>);

impl Arguments {
    fn of((class, method): (u16, u16)) -> Self {
        Self([class.to_be_bytes(), method.to_be_bytes()].concat())
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A short string.
    fn short(self, text: &str) -> Self {
        self.bytes(&[text.len() as u8]).bytes(text.as_bytes())
    }

    /// A long string.
    fn long(self, text: &[u8]) -> Self {
        self.bytes(&(text.len() as u32).to_be_bytes()).bytes(text)
    }

    /// An empty table.
    fn table(self) -> Self {
        self.bytes(&[0; 4])
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let (channel, size) = (channel.to_be_bytes(), (payload.len() as u32).to_be_bytes());
    [&[kind][..], &channel, &size, payload, &[FRAME_END]].concat()
}
