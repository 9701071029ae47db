//! How much CPU and memory comes with a memory size. Pure.

use crate::Config;

/// The period of CPU quotas, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

/// Bytes of memory of a size in MB.
pub(crate) fn memory_bytes(memory_mb: u32) -> u64 {
    u64::from(memory_mb) << 20
}

/// CPU time of each 100 ms that comes with a memory size, in microseconds: one core at
/// `core_memory_mb`.
pub(crate) fn cpu_quota_us(memory_mb: u32, config: &Config) -> u64 {
    let share = u64::from(memory_mb) * CPU_PERIOD_US / u64::from(config.core_memory_mb.max(1));
    share.max(u64::from(config.cpu_quota_us_min))
}

/// The same until its server listens.
pub(crate) fn cpu_start_quota_us(memory_mb: u32, config: &Config) -> u64 {
    cpu_quota_us(memory_mb, config).max(u64::from(config.cpu_start_quota_us_min))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_grows_with_memory_from_a_floor() {
        let config = Config::default();
        for (memory_mb, quota_us) in
            [(64, 10_000), (128, 10_000), (256, 14_285), (896, 50_000), (1_792, 100_000), (3_072, 171_428)]
        {
            assert_eq!(cpu_quota_us(memory_mb, &config), quota_us, "{memory_mb} MB");
        }
        assert_eq!(cpu_start_quota_us(128, &config), 100_000, "a start has a whole core");
        assert_eq!(cpu_start_quota_us(3_072, &config), 171_428);
        assert_eq!(memory_bytes(128), 134_217_728);
    }
}
