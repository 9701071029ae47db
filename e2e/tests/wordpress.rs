//! The scenario of `examples/wordpress`: Debian's WordPress under its own domain, with its database
//! on this machine and its uploads on a volume, used with a real browser. It scales to zero and
//! back, and calls itself through the gateway to run scheduled jobs. Needs `mmdebstrap`, `ip`,
//! MariaDB's server and client, Chromium and chromedriver.
#![allow(missing_docs)] // A test binary has no readers of its interface.

#[path = "egress/machine.rs"]
#[allow(dead_code)] // It has more than this test needs.
mod machine;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use e2e::scenes::{self, MariaDb};
use e2e::{Platform, leftovers, tools, wait};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::machine::{on_machine, settled};

const DOMAIN: &str = "blog.example.com";
const SITE: &str = "http://blog.example.com";
const DATABASE: &str = "CREATE DATABASE wordpress CHARACTER SET utf8mb4;
    CREATE USER wordpress@'127.0.0.1' IDENTIFIED BY 'a long password';
    GRANT ALL ON wordpress.* TO wordpress@'127.0.0.1';";
/// The same credentials as in e2e/clients/wordpress_browser.py.
const USER: &str = "<value>editor</value></param><param><value>correct horse battery staple</value>";
const PICTURE_SIDE: u64 = 640;
/// Time after which WordPress restarts scheduled jobs that did not finish (`WP_CRON_LOCK_TIMEOUT`).
const CRON_LOCK: Duration = Duration::from_secs(60);

struct Scene {
    platform: Platform,
    database: MariaDb,
    uploads: PathBuf,
}

impl Scene {
    async fn start(root: &Path) -> anyhow::Result<Self> {
        settled().await?;
        let database = MariaDb::start().await?;
        database.sql(DATABASE).await?;
        let port = database.port.to_string();
        let ports = format!("[{port}]");
        let settings = [
            ("SAMPAN_NETWORK__ENABLED", "true"),
            ("SAMPAN_NETWORK__HOST_PORTS", ports.as_str()),
            ("SAMPAN_POOL__KEEP_IDLE_S", "2"),
        ];
        let platform = Platform::start_at(&settings, "127.0.0.1:0", "0.0.0.0:80").await?;
        let folder = root.display().to_string();
        let push = ["push", "--from-dir", &folder, "--keep-owners", "--user", "www-data"];
        let start = ["--entrypoint", "/usr/local/bin/start", "wordpress:v1"];
        tools::run_ok(platform.cli(&push).args(start)).await?;
        let volume = platform.cli_json(&["volume", "create", "uploads"]).await?;
        let uploads = PathBuf::from(volume["path"].as_str().context("it has a path")?);
        scenes::set_secret(&platform, "blog-password", "a long password").await?;
        scenes::set_secret(&platform, "blog-logins", "a secret of some length").await?;
        let variables = [format!("DB_HOST=host.sampan.internal:{port}"), format!("SITE_URL={SITE}")];
        let mut flags = vec!["--memory", "512", "--timeout", "120", "--concurrency", "10", "--host-port", &port];
        // The jobs that publish a post also request updates from WordPress's servers: without an
        // external network they would hang until the instance ends.
        flags.extend(["--egress", "gateway.sampan.internal"]);
        flags.extend(["--mount", "uploads:/var/lib/wordpress/wp-content/uploads"]);
        flags.extend(["--secret", "DB_PASSWORD=blog-password", "--secret", "AUTH_SECRET=blog-logins"]);
        flags.extend(variables.iter().flat_map(|variable| ["--env", variable.as_str()]));
        platform.deploy("blog", "wordpress:v1", &flags).await?;
        tools::run_ok(&mut platform.cli(&["domain", "add", DOMAIN, "--route", "/*=blog"])).await?;
        Ok(Self { platform, database, uploads })
    }

    /// Runs one step of a visitor in a browser, which keeps its cookies.
    async fn browser(&self, step: &[&str]) -> anyhow::Result<Value> {
        let script = tools::workspace().join("e2e/clients/wordpress_browser.py");
        let mut browser = tools::command(&tools::python().display().to_string());
        let said = tools::run(browser.arg(script).arg(SITE).arg(self.platform.work_dir()).args(step)).await?;
        if !said.ok {
            let log = tools::run(&mut self.platform.cli(&["logs", "blog", "--limit", "50"])).await?.stdout;
            anyhow::bail!("browser: {}: {}\n{log}", step[0], said.stderr);
        }
        let said = said.stdout;
        println!("browser: {} {}", step[0], said.trim());
        Ok(serde_json::from_str(&said)?)
    }

    async fn get(&self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let url = format!("{}{path}", self.platform.gateway.replace("0.0.0.0", "127.0.0.1"));
        let answer = self.platform.http.get(url).header("host", DOMAIN).send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }

    async fn until_no_instance(&self) -> anyhow::Result<()> {
        let cgroup = self.platform.cgroup_name();
        wait::until("it is scaled to zero", || async { Ok(leftovers::processes(&cgroup).is_empty().then_some(())) })
            .await
    }

    /// Creates a post with a publication time by XML-RPC, and returns its id.
    async fn schedule(&self, due: Timestamp) -> anyhow::Result<u64> {
        let member = |name: &str, value: &str| format!("<member><name>{name}</name><value>{value}</value></member>");
        let post = [
            member("post_title", "It is time"),
            member("post_status", "future"),
            member("post_date_gmt", &due.strftime("<dateTime.iso8601>%Y%m%dT%H:%M:%S</dateTime.iso8601>").to_string()),
        ];
        let post = format!("<value><struct>{}</struct></value>", post.concat());
        let body = format!(
            "<?xml version=\"1.0\"?><methodCall><methodName>wp.newPost</methodName><params><param><value>1</value>\
             </param><param>{USER}</param><param>{post}</param></params></methodCall>"
        );
        let url = format!("{}/xmlrpc.php", self.platform.gateway.replace("0.0.0.0", "127.0.0.1"));
        let answer = self.platform.http.post(url).header("host", DOMAIN).body(body).send().await?.text().await?;
        let id = answer.split_once("<string>").and_then(|(_, rest)| rest.split_once("</string>"));
        let id = id.and_then(|(id, _)| id.parse().ok());
        id.with_context(|| format!("no post was made: {answer}"))
    }

    async fn status_of(&self, post: u64) -> anyhow::Result<String> {
        let select = format!("SELECT post_status FROM wordpress.wp_posts WHERE ID = {post}");
        Ok(self.database.sql(&select).await?.trim().to_owned())
    }
}

#[test]
fn wordpress_keeps_its_uploads_over_zero_instances_and_reaches_itself() -> anyhow::Result<()> {
    let root = scenes::root("wordpress")?;
    on_machine(async |_| run_the_site(&root).await)
}

async fn run_the_site(root: &Path) -> anyhow::Result<()> {
    let mut scene = Scene::start(root).await?;
    scene.browser(&["install"]).await?;
    let (status, page) = scene.get("/").await?;
    ensure!(status == 200 && String::from_utf8_lossy(&page).contains("A site on Sampan"), "{status}");

    // WordPress publishes a post that is due within a minute immediately.
    let due = Timestamp::now().checked_add(75.seconds())?;
    let post = scene.schedule(due).await?;
    ensure!(scene.status_of(post).await? == "future");

    let uploaded = scene.browser(&["upload"]).await?;
    let url = uploaded["url"].as_str().context("it has an address")?;
    let path = url.strip_prefix(SITE).context("the picture is on the site")?;
    let kept = path.strip_prefix("/wp-content/uploads/").context("it is an upload")?;
    let kept = scene.uploads.join(kept);
    ensure!((kept.metadata()?.uid(), kept.metadata()?.gid()) == (10_000, 10_000));
    let thumbnail = kept.with_file_name("picture-150x150.png");
    ensure!(thumbnail.exists(), "WordPress makes thumbnails beside the picture");
    uploads_do_not_run(&scene, kept.parent().context("it is in a folder")?, path).await?;

    // To zero and back: the picture and the login still exist.
    scene.until_no_instance().await?;
    let (status, page) = scenes::timed("wordpress, first page of a new instance", scene.get("/")).await?;
    ensure!(status == 200 && String::from_utf8_lossy(&page).contains("A site on Sampan"), "{status}");
    scenes::print_cold_start(&scene.platform, "blog").await?;
    scene.until_no_instance().await?;
    let (status, bytes) = scene.get(path).await?;
    ensure!(status == 200 && bytes == std::fs::read(&kept)?, "{path}: {status}");
    let seen = scene.browser(&["look", url]).await?;
    ensure!(seen["logged_in"] == true && seen["width"] == PICTURE_SIDE, "{seen}");

    // Only a request of the site to itself publishes the post; here its public name resolves
    // elsewhere.
    tokio::time::sleep(due.duration_since(Timestamp::now()).try_into().unwrap_or_default()).await;
    wait::until_within(CRON_LOCK * 2, "the scheduled post is published", || async {
        let (status, _) = scene.get("/").await?;
        ensure!(status == 200, "{status}");
        Ok((scene.status_of(post).await? == "publish").then_some(()))
    })
    .await?;
    scene.platform.stop().await?;
    scene.database.kill().await
}

/// Checks that a program among the uploads is sent as a file and never executed.
async fn uploads_do_not_run(scene: &Scene, folder: &Path, picture: &str) -> anyhow::Result<()> {
    const PROGRAM: &str = "<?php echo 6 * 7;";
    std::fs::write(folder.join("program.php"), PROGRAM)?;
    let (status, bytes) = scene.get(&picture.replace("picture.png", "program.php")).await?;
    ensure!(status == 200 && bytes == PROGRAM.as_bytes(), "{status} {}", String::from_utf8_lossy(&bytes));
    Ok(())
}
