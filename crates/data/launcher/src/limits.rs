//! CPU and memory for a memory size. Pure.

use types::VersionSpec;

use crate::Config;

/// The period of CPU quotas, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;

/// Bytes of memory of a size in MB.
pub(crate) fn memory_bytes(memory_mb: u32) -> u64 {
    u64::from(memory_mb) << 20
}

/// CPU time of each 100 ms, in microseconds: as set by the version, or derived from its memory
/// size, one core at `core_memory_mb`.
pub(crate) fn cpu_quota_us(spec: &VersionSpec, config: &Config) -> u64 {
    let share = match spec.extras.cpu_milli {
        Some(milli) => u64::from(milli) * CPU_PERIOD_US / 1_000,
        None => u64::from(spec.memory_mb) * CPU_PERIOD_US / u64::from(config.core_memory_mb.max(1)),
    };
    share.max(u64::from(config.cpu_quota_us_min))
}

/// CPU time until its server listens.
pub(crate) fn cpu_start_quota_us(spec: &VersionSpec, config: &Config) -> u64 {
    cpu_quota_us(spec, config).max(u64::from(config.cpu_start_quota_us_min))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(memory_mb: u32, cpu_milli: Option<u32>) -> VersionSpec {
        let mut spec = crate::testing::version().spec.clone();
        (spec.memory_mb, spec.extras.cpu_milli) = (memory_mb, cpu_milli);
        spec
    }

    #[test]
    fn cpu_grows_with_memory_from_a_floor() {
        let config = Config::default();
        for (memory_mb, quota_us) in
            [(64, 10_000), (128, 10_000), (256, 14_285), (896, 50_000), (1_792, 100_000), (3_072, 171_428)]
        {
            assert_eq!(cpu_quota_us(&of(memory_mb, None), &config), quota_us, "{memory_mb} MB");
        }
        assert_eq!(cpu_start_quota_us(&of(128, None), &config), 100_000, "a start has a whole core");
        assert_eq!(cpu_start_quota_us(&of(3_072, None), &config), 171_428);
        assert_eq!(memory_bytes(128), 134_217_728);
    }

    #[test]
    fn cpu_can_be_set_apart_from_memory() {
        let config = Config::default();
        let quota = |cpu_milli| cpu_quota_us(&of(128, Some(cpu_milli)), &config);
        assert_eq!([quota(50), quota(500), quota(2_000)], [10_000, 50_000, 200_000]);
    }
}
