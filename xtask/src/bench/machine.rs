//! Describes the machine of a measurement.

use anyhow::Context;

/// Cores, processor, memory and kernel on one line.
pub fn describe() -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |file: &str| std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let processor = field(&read("/proc/cpuinfo")?, "model name");
    let memory = field(&read("/proc/meminfo")?, "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease")?.trim().to_owned();
    Ok(format!("{cores} cores of {processor}, memory {memory}, Linux {kernel}"))
}
