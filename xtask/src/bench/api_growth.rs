//! `bench api-growth`: `CreateAlias` on a platform with 10 functions and on one with 10,000,
//! through the API and to the disk.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::api::Api;
use super::{binaries, median, quantile};

use crate::quickstart::Up;

/// Numbers of functions of the two platforms.
const FEW: usize = 10;
const MANY: usize = 10_000;
/// Number of aliases created and deleted sequentially on each platform per round.
const WRITES: usize = 200;
/// Timeout until the functions are active.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(1800);
const ACTIVE_POLL: Duration = Duration::from_secs(1);

/// Creates the functions, measures, and prints the ratios.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello"))?;
    let push = ["push", "--from-dir", &image.display().to_string(), "--entrypoint", "/hello", "hello:v1"];
    let mut few = Platform::start(&sampan, &work.path().join("few"), &push, FEW)?;
    let mut many = Platform::start(&sampan, &work.path().join("many"), &push, MANY)?;
    let per_function_kib = (many.up.resident_kib()? - few.up.resident_kib()?) / (MANY - FEW) as f64;
    println!("memory of the platform's process: {per_function_kib:.1} KiB a function");
    // The connection was idle, and so closed, while the other platform's functions were created.
    few.api.reconnect()?;
    // Alternately, so that variations of the disk affect both platforms.
    for _ in 0..rounds {
        few.measure_cpu(|few| {
            for _ in 0..WRITES / 2 {
                few.write()?;
            }
            Ok(())
        })?;
        many.measure_cpu(|many| {
            for _ in 0..WRITES / 2 {
                many.write()?;
            }
            Ok(())
        })?;
        for _ in 0..WRITES / 2 {
            few.write()?;
            many.write()?;
        }
    }
    print(&mut few, &mut many);
    Ok(())
}

fn print(few: &mut Platform, many: &mut Platform) {
    let (a, b) = (median(&mut few.times_ms), median(&mut many.times_ms));
    let (a99, b99) = (quantile(&mut few.times_ms, 0.99), quantile(&mut many.times_ms, 0.99));
    println!(
        "CreateAlias, {} times each: p50 {a:.2} ms with {FEW} functions, {b:.2} ms with {MANY}: {:.2}x (goal <= 1.5); \
         p99 {a99:.2} and {b99:.2} ms",
        few.times_ms.len(),
        b / a
    );
    let (a, b) = (median(&mut few.cpu_ms), median(&mut many.cpu_ms));
    println!(
        "processor time of one CreateAlias and one DeleteAlias, all of the platform: {a:.2} ms with {FEW} functions, \
         {b:.2} ms with {MANY}: {:.2}x (goal <= 1.5)",
        b / a
    );
}

/// A platform with functions of one image, and a connection to its API.
struct Platform {
    up: Up,
    api: Api,
    aliases: usize,
    times_ms: Vec<f64>,
    /// Processor time to create and delete one alias, one value per round.
    cpu_ms: Vec<f64>,
}

impl Platform {
    fn start(sampan: &Path, data: &Path, push: &[&str], functions: usize) -> anyhow::Result<Self> {
        let max = (functions + 1).to_string();
        // Start checks are disabled: they would take most of the time, and are not measured.
        let up = Up::start_with(sampan, data, &[("SAMPAN_STORE__FUNCTIONS_PER_NAMESPACE_MAX", &max)])?;
        up.client(push)?;
        let api = Api::open(&up)?;
        let mut platform = Self { up, api, aliases: 0, times_ms: Vec::new(), cpu_ms: Vec::new() };
        platform.create_functions(functions)?;
        Ok(platform)
    }

    fn create_functions(&mut self, functions: usize) -> anyhow::Result<()> {
        let image = format!("{}/hello:v1", self.api.host);
        for number in 0..functions {
            let function = json!({
                "FunctionName": name(number), "Type": "HTTP",
                "Code": {"ImageConfig": {"ImageType": "personal", "ImageUri": image}},
                "Tags": [{"Key": "sampan:start-check", "Value": "off"}],
            });
            self.api.call("CreateFunction", &function)?;
        }
        let started = Instant::now();
        let creating = json!({"Limit": 1, "Filters": [{"Name": "Status", "Values": ["Creating"]}]});
        while self.api.call("ListFunctions", &creating)?.1["TotalCount"] != 0 {
            ensure!(started.elapsed() < ACTIVE_TIMEOUT, "functions are still not active");
            std::thread::sleep(ACTIVE_POLL);
        }
        let active = json!({"Limit": 1, "Filters": [{"Name": "Status", "Values": ["Active"]}]});
        let active = self.api.call("ListFunctions", &active)?.1["TotalCount"].take();
        ensure!(active == functions, "{active} of {functions} functions are active");
        Ok(())
    }

    /// Creates an alias, which is timed, and deletes it.
    fn write(&mut self) -> anyhow::Result<()> {
        self.aliases += 1;
        let named = json!({"FunctionName": name(0), "Name": format!("alias-{}", self.aliases)});
        let mut alias = named.clone();
        alias["FunctionVersion"] = "$LATEST".into();
        let (time, _) = self.api.call("CreateAlias", &alias)?;
        self.times_ms.push(time.as_secs_f64() * 1e3);
        self.api.call("DeleteAlias", &named).map(drop)
    }

    /// Adds the processor time per write of [`WRITES`] / 2 writes, including the platform's
    /// subsequent work.
    fn measure_cpu(&mut self, writes: impl FnOnce(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let before = self.cpu_ms()?;
        writes(self)?;
        self.cpu_ms.push((self.cpu_ms()? - before) / (WRITES / 2) as f64);
        Ok(())
    }

    /// Processor time of the platform's process so far, in milliseconds.
    fn cpu_ms(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.up.pid()))?;
        // proc(5): utime and stime are fields 14 and 15; the name, field 2, ends with the last
        // bracket.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = fields.get(11..13).context("a process has times")?.iter().map(|text| text.parse::<f64>());
        let ticks: f64 = ticks.sum::<Result<f64, _>>().context("times are numbers")?;
        Ok(ticks * 1e3 / rustix::param::clock_ticks_per_second() as f64)
    }
}

fn name(number: usize) -> String {
    format!("function-{number}")
}
