//! Whole-system figures: `cargo xtask bench NAME` prints medians and ratios against a peer measured in the same run,
//! with the machine named. A figure is never asserted; machines differ.

mod api_growth;
mod burst;
mod cold_start;
mod flask;
mod footprint;
mod http;
mod instructions;
mod machine;
mod neighbour;
mod parallel_start;
mod prepare;
mod runc;
mod scale;
mod warm;

use std::path::Path;

use clap::ValueEnum;

/// How the measured binary is built: as one that is installed.
const PROFILE: &str = "dist";

/// The figures there are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Name {
    /// A warm web function through the gateway, beside a direct call and nginx proxying to the same server
    Warm,
    /// User-space instructions of one warm request, beside a bare hyper proxy and nginx (callgrind; the same on a busy machine)
    Instructions,
    /// 200 calls at once of a function with no instance
    Burst,
    /// From no instance to one and back a thousand times; warm calls of many functions beside those of one
    Scale,
    /// The first call of a function with no instance, beside `runc run` of the same image; the same of a Flask image, beside
    /// its server started bare
    ColdStart,
    /// Instances started, called once and destroyed in a second, beside `runc run`
    ParallelStart,
    /// Memory of the platform itself, idle and with up to 1,000 idle instances, and warm calls beside them
    Footprint,
    /// Calls of a function beside another one that spins
    Neighbour,
    /// An image of 2 GB from a registry to an active function, beside `podman pull` and `tar xzf`; the own registry beside
    /// docker-registry
    Prepare,
    /// An API write with 10,000 functions, beside the same with 10
    ApiGrowth,
}

/// Measures one figure.
pub fn run(root: &Path, name: Name, rounds: usize) -> anyhow::Result<()> {
    println!("machine: {}", machine::describe()?);
    match name {
        Name::Warm => warm::run(root, rounds.max(1)),
        Name::Instructions => instructions::run(root),
        Name::Burst => burst::run(root, rounds.max(1)),
        Name::Scale => scale::run(root, rounds.max(1)),
        Name::ColdStart => cold_start::run(root, rounds.max(1)),
        Name::ParallelStart => parallel_start::run(root, rounds.max(1)),
        Name::Footprint => footprint::run(root),
        Name::Neighbour => neighbour::run(root, rounds.max(1)),
        Name::Prepare => prepare::run(root, rounds.max(1)),
        Name::ApiGrowth => api_growth::run(root, rounds.max(1)),
    }
}

/// The value in the middle; of an even number, the lower of the two.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The value that a share of all lie at or below.
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
}
