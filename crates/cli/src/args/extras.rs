//! Settings of a function that are Sampan's own: the object `Sampan` of requests.

use clap::Args;
use serde_json::{Map, Value};

use super::size::{Cores, Megabytes};

/// Settings beyond those of the reference's API.
#[derive(Args, Default)]
pub struct ExtrasArgs {
    /// Processor time in cores, such as 2 or 0.5, apart from the memory size; 0 follows the memory
    /// again
    #[arg(long, value_name = "CORES")]
    pub cpu: Option<Cores>,
    /// Size of /dev/shm, such as 256m, as a part of the memory; 0 restores the default (64m)
    #[arg(long, value_name = "SIZE")]
    pub shm: Option<Megabytes>,
    /// Open files of each process; 0 restores the default (1024)
    #[arg(long, value_name = "N")]
    pub nofile: Option<u32>,
    /// Processes and threads of an instance; 0 restores the default (1024)
    #[arg(long, value_name = "N")]
    pub pids: Option<u32>,
}

impl ExtrasArgs {
    /// The object, if any of it is given.
    pub fn object(&self) -> Option<Value> {
        let members = [
            ("CpuMilli", self.cpu.map(|Cores(milli)| milli.into())),
            ("ShmMb", self.shm.map(|Megabytes(mb)| mb.into())),
            ("FilesMax", self.nofile.map(Value::from)),
            ("PidsMax", self.pids.map(Value::from)),
        ];
        let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let object: Map<String, Value> = given.collect();
        (!object.is_empty()).then_some(Value::Object(object))
    }
}
