//! The scenario of `examples/ffmpeg`: films uploaded to an object store are transcoded to smaller
//! ones, also after an outage of the store, and a broken film becomes a dead letter. The store is
//! SeaweedFS on another machine of the network; needs `mmdebstrap`, `ip` and `nsenter`.
#![allow(missing_docs)] // A test binary has no readers of its interface.

#[path = "egress/machine.rs"]
#[allow(dead_code)] // It has more than this test needs.
mod machine;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use e2e::object_stores::{ACCESS_KEY, ObjectStore, SECRET_KEY};
use e2e::{Platform, leftovers, scenes, tools, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::machine::{MACHINE, OUTSIDE, Outside, on_machine, settled};

const TOKEN: &str = "a-token-of-some-length";
/// Length in seconds of the film whose transcoding is observed: much longer than polling the log
/// takes.
const LONG_S: u32 = 240;

/// A program of the image's root, run on this machine.
fn program(root: &Path, name: &str) -> tokio::process::Command {
    let mut command = tools::command("chroot");
    command.arg(root).arg(name);
    command
}

/// Creates a film of FFmpeg's test picture with a tone, as an MPEG transport stream.
async fn film(root: &Path, seconds: u32, file: &Path) -> anyhow::Result<()> {
    let (picture, tone) = (format!("testsrc2=duration={seconds}:size=640x480"), format!("sine=duration={seconds}"));
    let mut command = program(root, "ffmpeg");
    command.args(["-v", "error", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone]);
    command.args(["-c:v", "mpeg2video", "-c:a", "mp2", "-f", "mpegts", "pipe:1"]);
    command.stdout(std::fs::File::create(file)?).stderr(Stdio::inherit());
    ensure!(command.status().await?.success(), "ffmpeg makes a film");
    Ok(())
}

/// The output of ffprobe for a file: codecs and height, and its length in seconds.
async fn probed(root: &Path, file: &Path) -> anyhow::Result<(Value, f64)> {
    let mut command = program(root, "ffprobe");
    command.args(["-v", "error", "-of", "json", "-show_entries"]);
    command.args(["stream=codec_name,height:format=duration", "pipe:0"]).stdin(std::fs::File::open(file)?);
    let said: Value = serde_json::from_str(&tools::run_ok(&mut command).await?)?;
    let length = said["format"]["duration"].as_str().context("it has a length")?.parse()?;
    let stream = |n: usize| said["streams"][n].clone();
    Ok((json!([stream(0)["codec_name"], stream(0)["height"], stream(1)["codec_name"]]), length))
}

struct Scene {
    platform: Platform,
    store: ObjectStore,
    root: PathBuf,
    seen: BTreeSet<String>,
}

impl Scene {
    async fn start(outside: &Outside, root: PathBuf) -> anyhow::Result<Self> {
        settled().await?;
        let dns = format!("[\"{OUTSIDE}\"]");
        let env = [
            ("SAMPAN_NETWORK__ENABLED", "true"),
            ("SAMPAN_NETWORK__DNS", dns.as_str()),
            ("SAMPAN_POOL__KEEP_IDLE_S", "2"),
        ];
        let platform = Platform::start_at(&env, "127.0.0.1:0", "0.0.0.0:0").await?;
        let gateway = platform.gateway.rsplit(':').next().context("a port")?.to_owned();
        let hook = format!("http://{MACHINE}:{gateway}/hooks/default/smaller/films");
        let enter = ["nsenter", &format!("--net={}", outside.namespace())];
        let store = ObjectStore::seaweedfs_at(OUTSIDE, &enter, Some((&hook, TOKEN))).await?;
        store.client(&["make", "films"]).await?;

        platform.push_folder(&root, &["python3", "/srv/app.py"], "ffmpeg:v1").await?;
        let variables = [
            format!("S3_ENDPOINT={}", store.endpoint),
            format!("S3_ACCESS_KEY={ACCESS_KEY}"),
            format!("S3_SECRET_KEY={SECRET_KEY}"),
        ];
        let mut flags = vec!["--type", "event", "--memory", "1024", "--timeout", "300", "--init-timeout", "120"];
        flags.extend(variables.iter().flat_map(|variable| ["--env", variable.as_str()]));
        platform.deploy("smaller", "ffmpeg:v1", &flags).await?;
        let desc = json!({"event": "cos:ObjectCreated:*", "filter": {"Prefix": "in/"}, "Secrets": [TOKEN]});
        let trigger = ["trigger", "create", "smaller", "films", "--type", "cos", "--desc", &desc.to_string()];
        tools::run_ok(&mut platform.cli(&trigger)).await?;
        Ok(Self { platform, store, root, seen: BTreeSet::new() })
    }

    async fn retries(&self, retries: &str) -> anyhow::Result<()> {
        tools::run_ok(&mut self.platform.cli(&["events", "config", "smaller", "--retries", retries])).await.map(drop)
    }

    /// Uploads a film, and returns the id of the event caused by the store's notification.
    async fn put(&mut self, key: &str, file: &Path) -> anyhow::Result<String> {
        self.store.client(&["upload", "films", key, &file.display().to_string()]).await?;
        let seen = &self.seen;
        let id = wait::until(&format!("{key} is an event"), || async {
            let body = json!({"FunctionName": "smaller", "InvokeType": ["COS"], "Limit": 100});
            let listed = self.platform.api.call("ListAsyncEvents", body).await?;
            let ids = listed["EventList"].as_array().into_iter().flatten();
            let mut ids = ids.filter_map(|event| event["InvokeRequestId"].as_str());
            Ok(ids.find(|id| !seen.contains(*id)).map(str::to_owned))
        })
        .await?;
        self.seen.insert(id.clone());
        Ok(id)
    }

    /// Waits for the end of an event, retries included, and returns its state.
    async fn ended(&self, id: &str) -> anyhow::Result<String> {
        Ok(tools::run(&mut self.platform.cli(&["events", "wait", id])).await?.stdout.trim().to_owned())
    }

    /// Waits for the end of an event that must succeed.
    async fn finished(&self, id: &str) -> anyhow::Result<()> {
        let state = self.ended(id).await?;
        let shown = tools::run(&mut self.platform.cli(&["events", "get", id, "--result"])).await?.stdout;
        ensure!(state.starts_with("FINISHED (200)"), "{state}: {shown}");
        Ok(())
    }

    /// Checks that the result is H.264 with sound, 360 lines high, and as long as the film.
    async fn is_smaller(&self, key: &str, seconds: u32) -> anyhow::Result<()> {
        let file = self.platform.work_dir().join("result.mp4");
        self.store.client(&["download", "films", key, &file.display().to_string()]).await?;
        let (streams, length) = probed(&self.root, &file).await?;
        ensure!(streams == json!(["h264", 360, "aac"]), "{streams}");
        ensure!((length - f64::from(seconds)).abs() < 0.5, "{length} s, not {seconds}");
        Ok(())
    }
}

/// A command that follows the function's log.
struct Follower {
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    _child: Child,
}

impl Follower {
    fn start(platform: &Platform) -> anyhow::Result<Self> {
        let mut child = platform.cli(&["logs", "smaller", "-f"]).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("the output is piped")?;
        Ok(Self { lines: BufReader::new(stdout).lines(), _child: child })
    }

    /// Returns the next line that contains all these words.
    async fn until(&mut self, words: &[&str]) -> anyhow::Result<String> {
        let found = async {
            while let Some(line) = self.lines.next_line().await? {
                if words.iter().all(|word| line.contains(word)) {
                    return Ok(line);
                }
            }
            anyhow::bail!("`sampan logs -f` ended")
        };
        tokio::time::timeout(wait::WAIT_MAX * 2, found).await.with_context(|| format!("no line with {words:?}"))?
    }
}

#[test]
fn films_of_a_store_become_smaller_and_broken_ones_dead_letters() -> anyhow::Result<()> {
    let root = scenes::root("ffmpeg")?;
    on_machine(async |outside| {
        let mut scene = Scene::start(&outside, root).await?;
        let work = scene.platform.work_dir().to_owned();
        let (short, long, broken) = (work.join("short"), work.join("long"), work.join("broken"));
        film(&scene.root, 3, &short).await?;
        film(&scene.root, LONG_S, &long).await?;
        std::fs::write(&broken, "This is no film.")?;

        let id = scene.put("in/a b+%25 対.ts", &short).await?;
        scene.finished(&id).await?;
        scene.is_smaller("out/a b+%25 対.mp4", 3).await?;

        // The store stops between download and upload: the event runs again, and succeeds once the
        // store is back.
        scene.retries("1").await?;
        let mut log = Follower::start(&scene.platform)?;
        let id = scene.put("in/long.ts", &long).await?;
        log.until(&["in/long.ts: transcoded", "%"]).await?;
        scene.store.kill().await?;
        log.until(&["failed: the store", "cannot be reached for PUT films/out/long.mp4"]).await?;
        scene.store.start_again().await?;
        scene.finished(&id).await?;
        let body = json!({"FunctionName": "smaller", "FunctionRequestId": id});
        let state = scene.platform.api.call("GetRequestStatus", body).await?["Data"][0].clone();
        ensure!(state["RetryNum"] == 1, "{state}");
        scene.is_smaller("out/long.mp4", LONG_S).await?;

        scene.retries("0").await?;
        let cgroup = scene.platform.cgroup_name();
        wait::until("it is scaled to zero", || async { Ok(leftovers::processes(&cgroup).is_empty().then_some(())) })
            .await?;
        let id = scene.put("in/broken.mp4", &broken).await?;
        ensure!(scene.ended(&id).await?.starts_with("FAILED"));
        let shown = tools::run_ok(&mut scene.platform.cli(&["events", "dead-letter", &id])).await?;
        let reasons = ["retries_exhausted", "in/broken.mp4 is not a film", "Invalid data found when processing input"];
        ensure!(reasons.iter().all(|reason| shown.contains(reason)), "{shown}");
        scenes::print_cold_start(&scene.platform, "smaller").await?;
        scene.platform.stop().await
    })
}
