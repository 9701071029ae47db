//! Traces of calls: made with the published shape of the Azure Functions trace, or read from a file.
//!
//! The shape is that of Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020): 45% of applications are called at most
//! once an hour, 81% at most once a minute, and the few others have nearly all calls; three in ten are called by timers, many
//! of the rest in bursts, more by day than by night; half of all runs take less than a second; applications have 170 MB at
//! the median and 400 MB at the ninetieth percentile.

use std::f64::consts::TAU;
use std::path::Path;

use anyhow::{Context, bail};

/// Seconds of a day.
pub const DAY_S: f64 = 86_400.0;
/// Calls of one function that are simulated in a day; hotter ones differ in nothing that policies decide.
const CALLS_A_DAY_MAX: f64 = 20_000.0;

/// One function's calls.
pub struct Function {
    /// Memory of an instance.
    pub memory_mb: f64,
    /// When each call comes, in seconds from the beginning, and how long its run takes.
    pub calls: Vec<(f64, f64)>,
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to 1, 1 not included.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between two calls that know nothing of each other.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.share()).ln()
    }

    /// Its logarithm is normal.
    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal = (-2.0 * (1.0 - self.share()).ln()).sqrt() * (TAU * self.share()).cos();
        median * (sigma * normal).exp()
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.share())
    }
}

/// So many functions over so many days.
pub fn generate(functions: usize, days: f64, seed: u64) -> Vec<Function> {
    let mut dice = Dice::new(seed);
    (0..functions).map(|_| function(&mut dice, days * DAY_S)).collect()
}

fn function(dice: &mut Dice, end_s: f64) -> Function {
    let calls_a_day = match dice.share() {
        share if share < 0.45 => dice.between(1.0, 24.0),
        share if share < 0.81 => dice.between(24.0, 1440.0),
        _ => dice.between(1440.0, CALLS_A_DAY_MAX),
    };
    let run_s = dice.lognormal(0.6, 1.2).min(60.0);
    let memory_mb = dice.lognormal(170.0, 0.67).clamp(64.0, 3072.0);
    let mean_s = DAY_S / calls_a_day;
    let times = match dice.share() {
        share if share < 0.3 => timer(dice, mean_s, end_s),
        share if share < 0.6 => steady(dice, mean_s, end_s),
        _ => bursts(dice, mean_s, end_s),
    };
    let calls = times.into_iter().map(|at| (at, run_s * dice.lognormal(1.0, 0.4))).collect();
    Function { memory_mb, calls }
}

fn timer(dice: &mut Dice, every_s: f64, end_s: f64) -> Vec<f64> {
    let mut at = dice.share() * every_s;
    std::iter::from_fn(|| {
        let now = at;
        at += every_s;
        (now < end_s).then_some(now)
    })
    .collect()
}

/// Independent calls, twice as many at noon as at midnight.
fn steady(dice: &mut Dice, mean_s: f64, end_s: f64) -> Vec<f64> {
    let (mut times, mut at) = (Vec::new(), 0.0);
    while at < end_s {
        let busy = 1.0 - (TAU * at / DAY_S).cos() / 3.0;
        at += dice.exponential(mean_s / busy);
        times.push(at);
    }
    times
}

/// Some calls close together, then nothing for a long time.
fn bursts(dice: &mut Dice, mean_s: f64, end_s: f64) -> Vec<f64> {
    let (mut times, mut at) = (Vec::new(), dice.exponential(mean_s));
    let long = dice.between(2.0, 30.0);
    let within_s = (mean_s / 20.0).min(10.0);
    while at < end_s {
        for _ in 0..dice.exponential(long).ceil() as usize {
            at += dice.exponential(within_s);
            times.push(at);
        }
        at += dice.exponential(mean_s * long);
    }
    times
}

/// A file with lines `function,memory_mb,at_s,run_s`, in any order.
pub fn read(file: &Path) -> anyhow::Result<Vec<Function>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut functions = std::collections::BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [name, numbers @ ..] = fields.as_slice() else { continue };
        let numbers: Option<Vec<f64>> = numbers.iter().map(|field| field.parse().ok()).collect();
        let Some(&[memory_mb, at_s, run_s]) = numbers.as_deref() else {
            if number == 0 {
                // Names of the columns.
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
        // Bursts spread a day's number; the shares are of the mean.
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
