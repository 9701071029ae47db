//! The scenario of `examples/nightly`: a timer triggers a job that dumps a database of this machine
//! to a volume. A dump can be restored, the oldest dumps are removed, and an unreachable database
//! removes none. Needs `mmdebstrap`, `ip`, and MariaDB's server and client.
#![allow(missing_docs)] // A test binary has no readers of its interface.

#[path = "egress/machine.rs"]
#[allow(dead_code)] // It has more than this test needs.
mod machine;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use e2e::scenes::{self, MariaDb};
use e2e::{Platform, tools, wait};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::machine::{on_machine, settled};

/// Tables with content that a faulty dump may lose: non-Latin text, binary data, and stored code.
const SHOP: &str = "CREATE DATABASE shop CHARACTER SET utf8mb4; USE shop;
    CREATE TABLE goods (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(80), picture BLOB) ENGINE=InnoDB;
    INSERT INTO goods (name, picture) VALUES ('Käse 対 🧀', x'00ff27220a5c'), ('quote '' and \\\\ end', NULL);
    CREATE PROCEDURE count_goods() SELECT COUNT(*) FROM goods;
    CREATE USER nightly@'127.0.0.1' IDENTIFIED BY 'a \"quoted\" \\\\ password';
    GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON shop.* TO nightly@'127.0.0.1';
    GRANT SELECT ON mysql.proc TO nightly@'127.0.0.1';";
const PASSWORD: &str = "a \"quoted\" \\ password";
/// Number of dumps kept.
const KEEP: usize = 2;

struct Scene {
    platform: Platform,
    database: MariaDb,
    dumps: PathBuf,
}

impl Scene {
    async fn start(root: &Path) -> anyhow::Result<Self> {
        settled().await?;
        let database = MariaDb::start().await?;
        database.sql(SHOP).await?;
        let port = database.port.to_string();
        let ports = format!("[{port}]");
        let settings = [("SAMPAN_NETWORK__ENABLED", "true"), ("SAMPAN_NETWORK__HOST_PORTS", ports.as_str())];
        let platform = Platform::start_with(&settings).await?;
        platform.push_folder(root, &["/usr/local/bin/dump"], "nightly:v1").await?;
        let volume = platform.cli_json(&["volume", "create", "dumps"]).await?;
        let dumps = PathBuf::from(volume["path"].as_str().context("it has a path")?).join("shop");
        scenes::set_secret(&platform, "shop-password", PASSWORD).await?;
        let variables = [format!("KEEP={KEEP}"), format!("DB_PORT={port}")];
        let mut flags = vec!["--job", "--mount", "dumps:/dumps", "--host-port", &port, "--timeout", "300"];
        flags.extend(["--env", "DB_NAME=shop", "--env", "DB_USER=nightly", "--secret", "DB_PASSWORD=shop-password"]);
        flags.extend(variables.iter().flat_map(|variable| ["--env", variable.as_str()]));
        platform.deploy("nightly", "nightly:v1", &flags).await?;
        // A night takes half a minute in this test, so failed events are not retried.
        tools::run_ok(&mut platform.cli(&["events", "config", "nightly", "--retries", "0"])).await?;
        Ok(Self { platform, database, dumps })
    }

    /// Names of the dumps on the machine's side of the volume, oldest first.
    fn names(&self) -> anyhow::Result<Vec<String>> {
        let entries =
            std::fs::read_dir(&self.dumps)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = entries.collect::<anyhow::Result<Vec<_>>>()?;
        names.retain(|name| name != ".lock");
        names.sort();
        Ok(names)
    }

    /// Lets the timer fire once, in a few seconds, and returns its time and the event's final
    /// state.
    async fn by_timer(&self) -> anyhow::Result<(Timestamp, Value)> {
        let due = Timestamp::now().checked_add(4.seconds())?.round(jiff::Unit::Second)?;
        let cron = due.to_zoned(TimeZone::UTC).strftime("%S %M %H %d %m * %Y").to_string();
        let create = ["trigger", "create", "nightly", "night", "--cron", &cron, "--zone", "+00:00"];
        tools::run_ok(&mut self.platform.cli(&create)).await?;
        let id = wait::until("the timer comes", || async {
            let body = json!({"FunctionName": "nightly", "InvokeType": ["TRIGGER_TIMER"]});
            let listed = self.platform.api.call("ListAsyncEvents", body).await?;
            Ok(listed["EventList"][0]["InvokeRequestId"].as_str().map(str::to_owned))
        })
        .await?;
        Ok((due, scenes::ended(&self.platform, &id).await?))
    }

    /// Invokes the job manually, as an operator does before a change.
    async fn by_hand(&self) -> anyhow::Result<Value> {
        let id = tools::run_ok(&mut self.platform.cli(&["trigger", "test", "nightly", "night"])).await?;
        let id = id.split_whitespace().last().context("it prints the id")?.to_owned();
        scenes::ended(&self.platform, &id).await
    }

    /// Restores a dump into another database, whose content must equal the shop's.
    async fn restores(&self, name: &str) -> anyhow::Result<()> {
        self.database.sql("DROP DATABASE IF EXISTS restored; CREATE DATABASE restored").await?;
        let plain = tools::output(tools::command("gzip").args(["-dc"]).arg(self.dumps.join(name))).await?;
        let file = self.platform.work_dir().join("dump.sql");
        std::fs::write(&file, plain.stdout)?;
        tools::run_ok(self.database.client().arg("restored").stdin(Stdio::from(std::fs::File::open(&file)?))).await?;
        let sums = self.database.sql("CHECKSUM TABLE shop.goods, restored.goods").await?;
        let sums: Vec<_> = sums.lines().filter_map(|line| line.split('\t').nth(1)).collect();
        ensure!(sums.len() == 2 && sums[0] == sums[1] && sums[0] != "0", "{sums:?}");
        ensure!(self.database.sql("CALL restored.count_goods()").await?.trim() == "2");
        Ok(())
    }
}

#[test]
fn a_timer_dumps_a_database_of_the_machine_onto_a_volume() -> anyhow::Result<()> {
    let root = scenes::root("nightly")?;
    on_machine(async |_| dump_by_night(&root).await)
}

async fn dump_by_night(root: &Path) -> anyhow::Result<()> {
    let mut scene = Scene::start(root).await?;
    let (due, state) = scene.by_timer().await?;
    ensure!(state["Status"] == "FINISHED", "{state}: {}", scene.platform.platform_log());
    scenes::print_cold_start(&scene.platform, "nightly").await?;
    let first = due.strftime("%Y-%m-%dT%H%M%SZ.sql.gz").to_string();
    ensure!(scene.names()? == [first.as_str()], "{:?}", scene.names()?);
    scene.restores(&first).await?;

    // An unreachable database: the run fails with the reason, and no dump is added or removed.
    scene.database.kill().await?;
    let state = scene.by_hand().await?;
    ensure!((&state["Status"], &state["StatusCode"]) == (&json!("FAILED"), &json!(439)), "{state}");
    let log = tools::run_ok(&mut scene.platform.cli(&["logs", "nightly", "--limit", "50"])).await?;
    ensure!(log.contains("Can't connect to server") || log.contains("Lost connection to server"), "{log}");
    ensure!(scene.names()? == [first.as_str()], "{:?}", scene.names()?);
    scene.database.start_again().await?;

    // Two events within one second make one dump.
    let kept = wait::until("newer dumps take the place of the first", || async {
        ensure!(scene.by_hand().await?["Status"] == "FINISHED");
        let names = scene.names()?;
        ensure!(names.len() <= KEEP, "{names:?}");
        Ok((!names.contains(&first)).then_some(names))
    })
    .await?;
    ensure!(kept.len() == KEEP, "{kept:?}");
    scene.restores(&kept[KEEP - 1]).await?;
    scene.database.kill().await?;
    scene.platform.stop().await
}
