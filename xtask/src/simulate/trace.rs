//! Traces of calls: generated with the published statistics of the Azure Functions trace, or read
//! from a file.
//!
//! The statistics are those of Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020): 45% of
//! applications are called at most once an hour, 81% at most once a minute, and the remaining few
//! receive nearly all calls; three in ten are called by timers, many of the others in bursts, more
//! by day than by night; half of all invocations take less than a second; applications have 170 MB
//! at the median and 400 MB at the ninetieth percentile.

use std::f64::consts::TAU;
use std::path::Path;

use anyhow::{Context, bail};

/// Seconds in a day.
pub const DAY_S: f64 = 86_400.0;
/// Most simulated calls of one function per day; keep-alive policies do not differ for hotter
/// functions.
const CALLS_A_DAY_MAX: f64 = 20_000.0;

/// One function's calls.
pub struct Function {
    /// Memory of an instance, in MB.
    pub memory_mb: f64,
    /// Time of each call and duration of its invocation, in seconds; times count from the
    /// beginning.
    pub calls: Vec<(f64, f64)>,
}

/// Deterministic pseudo-random numbers (SplitMix64).
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A uniform value in [0, 1).
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An interval between independent calls.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }

    /// A log-normal value.
    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal = (-2.0 * (1.0 - self.share()).ln()).sqrt() * (TAU * self.share()).cos();
        median * (sigma * normal).exp()
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.share())
    }
}

/// Generates this number of functions over this number of days.
pub fn generate(functions: usize, days: f64, seed: u64) -> Vec<Function> {
    let mut random = Random::new(seed);
    (0..functions).map(|_| function(&mut random, days * DAY_S)).collect()
}

fn function(random: &mut Random, end_s: f64) -> Function {
    let calls_a_day = match random.share() {
        share if share < 0.45 => random.between(1.0, 24.0),
        share if share < 0.81 => random.between(24.0, 1440.0),
        _ => random.between(1440.0, CALLS_A_DAY_MAX),
    };
    let run_s = random.lognormal(0.6, 1.2).min(60.0);
    let memory_mb = random.lognormal(170.0, 0.67).clamp(64.0, 3072.0);
    let mean_s = DAY_S / calls_a_day;
    let times = match random.share() {
        share if share < 0.3 => timer(random, mean_s, end_s),
        share if share < 0.6 => steady(random, mean_s, end_s),
        _ => bursts(random, mean_s, end_s),
    };
    let calls = times.into_iter().map(|at| (at, run_s * random.lognormal(1.0, 0.4))).collect();
    Function { memory_mb, calls }
}

fn timer(random: &mut Random, every_s: f64, end_s: f64) -> Vec<f64> {
    let mut at = random.share() * every_s;
    std::iter::from_fn(|| {
        let now = at;
        at += every_s;
        (now < end_s).then_some(now)
    })
    .collect()
}

/// Independent calls, twice as frequent at noon as at midnight.
fn steady(random: &mut Random, mean_s: f64, end_s: f64) -> Vec<f64> {
    let (mut times, mut at) = (Vec::new(), 0.0);
    while at < end_s {
        let busy = 1.0 - (TAU * at / DAY_S).cos() / 3.0;
        at += random.exponential(mean_s / busy);
        times.push(at);
    }
    times
}

/// Bursts of calls with long pauses between them.
fn bursts(random: &mut Random, mean_s: f64, end_s: f64) -> Vec<f64> {
    let (mut times, mut at) = (Vec::new(), random.exponential(mean_s));
    let long = random.between(2.0, 30.0);
    let within_s = (mean_s / 20.0).min(10.0);
    while at < end_s {
        for _ in 0..random.exponential(long).ceil() as usize {
            at += random.exponential(within_s);
            times.push(at);
        }
        at += random.exponential(mean_s * long);
    }
    times
}

/// Reads lines `function,memory_mb,at_s,run_s`, in any order.
pub fn read(file: &Path) -> anyhow::Result<Vec<Function>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut functions = std::collections::BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [name, numbers @ ..] = fields.as_slice() else { continue };
        let numbers: Option<Vec<f64>> = numbers.iter().map(|field| field.parse().ok()).collect();
        let Some(&[memory_mb, at_s, run_s]) = numbers.as_deref() else {
            if number == 0 {
                // The header line.
                continue;
            }
            bail!("{}, line {}: write function,memory_mb,at_s,run_s", file.display(), number + 1);
        };
        let function = functions.entry((*name).to_owned()).or_insert(Function { memory_mb, calls: Vec::new() });
        function.calls.push((at_s, run_s));
    }
    Ok(functions.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_the_published_shape_and_is_the_same_every_time() {
        let trace = generate(2000, 1.0, 7);
        let at_most = |calls: usize| trace.iter().filter(|function| function.calls.len() <= calls).count();
        // Bursts vary the daily number of calls; the shares refer to the mean.
        assert!((700..1200).contains(&at_most(24)), "{}", at_most(24));
        assert!((1450..1800).contains(&at_most(1440)), "{}", at_most(1440));
        let again = generate(2000, 1.0, 7);
        assert!(trace.iter().zip(&again).all(|(one, other)| one.calls == other.calls));
    }

    #[test]
    fn a_file_is_read_by_function() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "function,memory_mb,at_s,run_s\na,128,1,0.5\nb,64,2,1\na,128,3,0.5\n")
            .expect("written");
        let trace = read(file.path()).expect("readable");
        assert_eq!(trace.iter().map(|function| function.calls.len()).collect::<Vec<_>>(), [2, 1]);
        std::fs::write(file.path(), "a,128,1\na,1,2,x\n").expect("written");
        assert!(read(file.path()).err().expect("wrong").to_string().contains("line 2"));
    }
}
