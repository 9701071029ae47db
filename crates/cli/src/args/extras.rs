//! Sampan's own settings of a function: the object `Sampan` of requests.

use clap::Args;
use serde_json::{Map, Value, json};
use types::Mount;

use super::destinations::{self, Destinations};
use super::host_port::HostPort;
use super::secret::{self, GivenFile, GivenSecret};
use super::size::{Cores, Megabytes};

/// Settings beyond those of the reference's API.
#[derive(Args, Default)]
pub struct ExtrasArgs {
    /// Processor time in cores, such as 2 or 0.5, independent of the memory size; 0 derives it from
    /// the memory size again
    #[arg(long, value_name = "CORES")]
    pub cpu: Option<Cores>,
    /// Size of /dev/shm, such as 256m, which counts towards the memory; 0 restores the default
    /// (64m)
    #[arg(long, value_name = "SIZE")]
    pub shm: Option<Megabytes>,
    /// Open files per process; 0 restores the default (1024)
    #[arg(long, value_name = "N")]
    pub nofile: Option<u32>,
    /// Processes and threads per instance; 0 restores the default (1024)
    #[arg(long, value_name = "N")]
    pub pids: Option<u32>,
    /// Allowed egress destinations: addresses, ranges and names with optional ports, such as
    /// 10.0.0.0/8,db.example.com:5432,*.example.org; `none` allows nothing, `any` removes the list
    #[arg(long, value_name = "LIST")]
    pub egress: Vec<Destinations>,
    /// Volume, or a directory in it, to mount in each instance; options after a second colon: ro,
    /// and uid=N and gid=N for the owner on disk [default: 10000]; the given mounts replace all
    /// existing ones, and --mount '' alone removes all
    #[arg(long, value_name = "NAME[/sub]:/path[:ro]", value_parser = mounted)]
    pub mount: Vec<Mounted>,
    /// Loopback port of the platform's machine that instances reach at host.sampan.internal; must
    /// be listed in [network] host_ports; may be repeated, `none` removes all
    #[arg(long = "host-port", value_name = "PORT")]
    pub host_ports: Vec<HostPort>,
    /// Size of a /tmp on disk, such as 2g, which does not count towards the memory and hides the
    /// image's /tmp; 0 restores the /tmp in memory (512m)
    #[arg(long, value_name = "SIZE")]
    pub tmp: Option<Megabytes>,
    /// Secret of the namespace, as a variable (DB_PASSWORD=db) or as the file /run/secrets/db (db);
    /// db follows the newest version, db@3 pins one; variables given here and with --env replace
    /// all existing variables, and given files all existing files
    #[arg(long, value_name = "[KEY=]NAME[@VERSION]", value_parser = secret::given)]
    pub secret: Vec<GivenSecret>,
    /// Secret as a file below /run/secrets, readable only by the image's user: tls/key.pem=web-key
    /// or NAME; files given here and with --secret NAME replace all existing ones, and
    /// --secret-file '' alone removes all
    #[arg(long = "secret-file", value_name = "[PATH=]NAME[@VERSION]", value_parser = secret::file)]
    pub secret_files: Vec<GivenFile>,
}

/// One `--mount`; `None` for an empty text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted(Option<Mount>);

fn mounted(text: &str) -> Result<Mounted, String> {
    if text.is_empty() { Ok(Mounted(None)) } else { Mount::parse(text).map(|mount| Mounted(Some(mount))) }
}

impl ExtrasArgs {
    /// Builds the list of mounts, if any was given.
    fn mounts(&self) -> Option<Value> {
        let mounts = self.mount.iter().filter_map(|Mounted(mount)| mount.as_ref()).map(types::wire::Mount::from);
        (!self.mount.is_empty()).then(|| json!(mounts.collect::<Vec<_>>()))
    }

    /// Builds the list of secret files, if any was given.
    fn secret_files(&self) -> Option<Value> {
        let files = self.secret_files.iter().filter_map(|GivenFile(file)| file.as_ref());
        let files: Vec<_> = files.map(types::wire::SecretFile::from).collect();
        (!self.secret_files.is_empty()).then(|| json!(files))
    }

    /// Moves the values of `--secret` to variables and files.
    pub fn place_secrets(&mut self, env: &mut Vec<String>) {
        for secret in std::mem::take(&mut self.secret) {
            match secret {
                GivenSecret::Variable(pair) => {
                    // An empty entry stands for empty `--env-file` files.
                    env.retain(|pair| !pair.is_empty());
                    env.push(pair);
                }
                GivenSecret::File(file) => self.secret_files.push(GivenFile(Some(file))),
            }
        }
    }

    /// Builds the object, if any setting was given.
    pub fn object(&self) -> Option<Value> {
        let ports = self.host_ports.iter().filter_map(|HostPort(port)| *port).map(Value::from).collect();
        let members = [
            ("CpuMilli", self.cpu.map(|Cores(milli)| milli.into())),
            ("ShmMb", self.shm.map(|Megabytes(mb)| mb.into())),
            ("FilesMax", self.nofile.map(Value::from)),
            ("PidsMax", self.pids.map(Value::from)),
            ("Egress", destinations::list(&self.egress)),
            ("Mounts", self.mounts()),
            ("TmpMb", self.tmp.map(|Megabytes(mb)| mb.into())),
            ("SecretFiles", self.secret_files()),
            ("HostPorts", (!self.host_ports.is_empty()).then_some(Value::Array(ports))),
        ];
        let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let object: Map<String, Value> = given.collect();
        (!object.is_empty()).then_some(Value::Object(object))
    }
}
