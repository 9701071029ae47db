//! Upper limits of one function's configuration on this machine.

use rustix::process::{Resource, getrlimit};
use types::Bounds;

use crate::settings::Settings;

/// Limits by the settings and by the machine's memory, processors and file limit.
pub fn of(settings: &Settings) -> Bounds {
    let Settings { launcher, pool, network, api, volumes, data_dir, .. } = settings;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let tmp = volumes.tmp_limits(data_dir);
    let bounds = Bounds {
        tmp_mb: u32::try_from(tmp.one_mb).unwrap_or(u32::MAX),
        tmp_setting: tmp.one_setting,
        environment_bytes: api.environment_bytes_max,
        volume_id_min: volumes.user_id_min,
        host_ports: network.host_ports.clone(),
        ..launcher.bounds(machine_memory_mb(), processors, files)
    };
    // An instance with more memory could never start.
    match u32::try_from(pool.memory_mb_max.saturating_sub(volumes.memory_mb())) {
        Ok(all) if all != 0 && all < bounds.memory_mb => {
            Bounds { memory_mb: all, memory_setting: "[pool] memory_mb_max", ..bounds }
        }
        _ => bounds,
    }
}

/// Memory of the machine in MB; the default quota of all instances.
pub fn machine_memory_mb() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit)) / (1024 * 1024)
}
