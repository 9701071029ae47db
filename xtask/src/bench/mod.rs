//! Whole-system figures: `cargo xtask bench NAME` prints medians and ratios to a peer measured in
//! the same run, with a description of the machine. The figures are not asserted, because machines
//! differ.

mod api;
mod api_growth;
mod burst;
mod burst_starts;
mod cold_start;
mod events;
mod flask;
mod footprint;
pub mod http;
mod instructions;
mod machine;
mod mounts;
mod neighbour;
mod parallel_start;
mod prepare;
mod runc;
mod scale;
mod timers;
mod warm;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::ValueEnum;

use crate::process::{build_example, build_sampan};

/// Build profile of the measured binary, the one of releases.
const PROFILE: &str = "dist";

/// The available figures.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Name {
    /// A warm web function through the gateway, compared with a direct call and nginx proxying to
    /// the same server
    Warm,
    /// User-space instructions of one warm request, compared with a bare hyper proxy and nginx
    /// (callgrind; independent of the load of the machine)
    Instructions,
    /// 200 concurrent calls to a function without an instance
    Burst,
    /// 1,500 functions, each called once, by 1, 8 and 16 clients, compared with `runc run`
    BurstStarts,
    /// A thousand cycles from no instance to one and back; warm calls of many functions compared
    /// with those of one
    Scale,
    /// The first call to a function without an instance, compared with `runc run` of the same
    /// image; also of a Flask image, compared with its bare server
    ColdStart,
    /// Time that volumes and a /tmp on disk add to the first call to a function
    Mounts,
    /// Instances started, called once and destroyed per second, compared with `runc run`
    ParallelStart,
    /// Memory of the platform itself, idle and with up to 1,000 idle instances, and latency of warm
    /// calls
    Footprint,
    /// Calls to a function while another one spins on the processor
    Neighbour,
    /// An image of 2 GB from a registry to an active function, compared with `podman pull` and `tar
    /// xzf`; the own registry compared with docker-registry
    Prepare,
    /// Asynchronous calls accepted and run per second, compared with a bare loop of fdatasync and
    /// RabbitMQ; with a million waiting events and with none
    Events,
    /// An API write with 10,000 functions, compared with the same with 10
    ApiGrowth,
    /// Events of 10,000 timers, from the time at which each is due to its commit
    Timers,
}

/// Extent of a measurement.
#[derive(Debug)]
pub struct Extent {
    /// Number of rounds whose medians are printed.
    pub rounds: usize,
    /// Reduces sizes to a hundredth.
    pub small: bool,
    /// Restricts the measurement to one part.
    pub only: Option<String>,
}

impl Extent {
    /// Whether a part is measured.
    fn has(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }

    /// The size `whole`, or a hundredth of it with `small`.
    fn of(&self, whole: usize) -> usize {
        if self.small { whole / 100 } else { whole }
    }

    /// Fails when the figure does not support the selected extent or part.
    fn check(&self, name: Name) -> anyhow::Result<()> {
        let parts: &[&str] = match name {
            Name::Events => &events::PARTS,
            Name::Timers => &timers::PARTS,
            _ => &[],
        };
        ensure!(!self.small || !parts.is_empty(), "--small is for events and timers");
        let Some(only) = &self.only else { return Ok(()) };
        ensure!(parts.contains(&only.as_str()), "--only {only}: there is no such part; there is {}", parts.join(", "));
        Ok(())
    }
}

/// Measures one figure.
pub fn run(root: &Path, name: Name, extent: &Extent) -> anyhow::Result<()> {
    extent.check(name)?;
    let rounds = extent.rounds;
    println!("machine: {}", machine::describe()?);
    match name {
        Name::Warm => warm::run(root, rounds.max(1)),
        Name::Instructions => instructions::run(root),
        Name::Burst => burst::run(root, rounds.max(1)),
        Name::BurstStarts => burst_starts::run(root, rounds.max(1)),
        Name::Scale => scale::run(root, rounds.max(1)),
        Name::ColdStart => cold_start::run(root, rounds.max(1)),
        Name::Mounts => mounts::run(root, rounds.max(1)),
        Name::ParallelStart => parallel_start::run(root, rounds.max(1)),
        Name::Footprint => footprint::run(root),
        Name::Neighbour => neighbour::run(root, rounds.max(1)),
        Name::Prepare => prepare::run(root, rounds.max(1)),
        Name::Events => events::run(root, extent),
        Name::ApiGrowth => api_growth::run(root, rounds.max(1)),
        Name::Timers => timers::run(root, extent),
    }
}

/// Returns the binary to measure (`SAMPAN_BIN`, or a release build), and the static server
/// (`SAMPAN_HELLO`, or that of `examples/hello`).
fn binaries(root: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let sampan = named("SAMPAN_BIN")?.map_or_else(|| build_sampan(root, PROFILE), Ok)?;
    println!("binary: {}", sampan.display());
    Ok((sampan, named("SAMPAN_HELLO")?.map_or_else(|| build_example(root, "hello"), Ok)?))
}

/// The absolute path in an environment variable; an error when it is not a file.
fn named(variable: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(path) = std::env::var_os(variable) else { return Ok(None) };
    existing(variable, Path::new(&path)).map(Some)
}

fn existing(variable: &str, path: &Path) -> anyhow::Result<PathBuf> {
    let found = path.canonicalize().with_context(|| format!("{variable}={} cannot be measured", path.display()))?;
    ensure!(found.is_file(), "{variable}={} is no file", path.display());
    Ok(found)
}

/// The median; the lower one for an even number of values.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The value at the rank nearest to `share` of the sorted values.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_quantiles_are_values_of_the_list() {
        let mut values = [3.0, 1.0, 2.0, 10.0];
        assert_eq!(median(&mut values), 2.0);
        assert_eq!(quantile(&mut values, 1.0), 10.0);
        assert_eq!(quantile(&mut values, 0.0), 1.0);
    }

    #[test]
    fn a_binary_that_is_named_is_a_file_or_an_error_that_has_the_variable() {
        let own = std::env::current_exe().expect("a test has a file");
        assert_eq!(existing("SAMPAN_BIN", &own).expect("it is there"), own.canonicalize().expect("it is there"));
        let folder = own.parent().expect("it lies in a folder");
        for wrong in [folder.to_owned(), folder.join("not-there")] {
            let error = existing("SAMPAN_BIN", &wrong).expect_err("nothing to measure");
            assert!(error.to_string().contains("SAMPAN_BIN="), "{error:#}");
        }
    }

    #[test]
    fn parts_and_sizes_are_those_of_the_figure() {
        let extent = |small, only: Option<&str>| Extent { rounds: 1, small, only: only.map(str::to_owned) };
        assert!(extent(true, Some("minute")).check(Name::Timers).is_ok());
        for (name, small, only) in
            [(Name::Warm, true, None), (Name::Warm, false, Some("minute")), (Name::Events, false, Some("minute"))]
        {
            assert!(extent(small, only).check(name).is_err(), "{name:?}");
        }
        assert_eq!((extent(true, None).of(10_000), extent(false, None).of(10_000)), (100, 10_000));
        assert!(extent(false, None).has("second") && !extent(false, Some("minute")).has("second"));
    }
}
