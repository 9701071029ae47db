//! Functions that call functions over TLS, by their external names.

use std::path::Path;

use e2e::{Platform, flask, tools, wait};

use crate::machine::{OUTSIDE, on_machine, settled};

/// Longest chain of calls.
const DEPTH_MAX: usize = 3;
/// A domain of `web`, one of the caller itself, and a wildcard for hosts of functions.
const SHOP: &str = "shop.example.com";
const CALLER: &str = "caller.example.com";
const HOSTS: &str = "*.default.functions.example.com";
/// A name for which the gateway has no certificate.
const UNKNOWN: &str = "gateway.sampan.internal";

/// Creates a certificate for a name, and returns it.
async fn issue(folder: &Path, file: &str, name: &str) -> anyhow::Result<String> {
    let (chain, key) = (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")));
    let mut openssl = tools::command("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=sampan", "-addext", &format!("subjectAltName=DNS:{name}")]);
    tools::run_ok(openssl.arg("-keyout").arg(&key).arg("-out").arg(&chain)).await?;
    Ok(std::fs::read_to_string(chain)?)
}

/// A platform with `web`, and `caller`, which trusts both certificates.
async fn start(folder: &Path, archive: &Path, tls_port: u16) -> anyhow::Result<Platform> {
    settled().await?;
    let mut settings = vec![
        ("SAMPAN_NETWORK__ENABLED".to_owned(), "true".to_owned()),
        ("SAMPAN_NETWORK__DNS".to_owned(), format!("[\"{OUTSIDE}\"]")),
        ("SAMPAN_GATEWAY__DOMAINS".to_owned(), "[\"functions.example.com\"]".to_owned()),
        ("SAMPAN_GATEWAY__CALL_DEPTH_MAX".to_owned(), DEPTH_MAX.to_string()),
        ("SAMPAN_GATEWAY_TLS_ADDR".to_owned(), format!("127.0.0.1:{tls_port}")),
    ];
    let mut trusted = String::new();
    for (file, name) in [("shop", SHOP), ("caller", CALLER), ("hosts", HOSTS)] {
        trusted += &issue(folder, file, name).await?;
        let setting = |what| format!("SAMPAN_GATEWAY__CERTIFICATES__{}__{what}", file.to_uppercase());
        let path = |end| folder.join(format!("{file}.{end}")).display().to_string();
        settings.extend([(setting("CHAIN_FILE"), path("pem")), (setting("KEY_FILE"), path("key"))]);
    }
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let platform = Platform::start_with(&settings).await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &[]).await?;
    tools::run_ok(&mut platform.cli(&["push", &archive.display().to_string(), "python:v1"])).await?;
    let program = std::fs::read_to_string(tools::workspace().join("e2e/clients/tls_app.py"))?;
    let (program, ca) = (format!("--args=-c '{program}'"), format!("CA={trusted}"));
    let command = ["--command", "python3", &program, "--env", &ca];
    for (name, egress) in [("caller", "any"), ("listed", "gateway.sampan.internal:443")] {
        let sizes = ["--memory", "128", "--timeout", "60", "--egress", egress];
        platform.deploy(name, "python:v1", &[&command[..], &sizes].concat()).await?;
    }
    for (domain, function, certificate) in [(SHOP, "web", "shop"), (CALLER, "caller", "caller")] {
        let route = format!("/*={function}");
        let tls = ["--protocol", "https", "--certificate", certificate];
        platform.cli_json(&[&["domain", "add", domain, "--route", &route][..], &tls].concat()).await?;
    }
    Ok(platform)
}

/// The response for a URL that a function's instance gets.
async fn fetch(platform: &Platform, function: &str, url: &str) -> anyhow::Result<String> {
    Ok(platform.get(function, &format!("/get?{url}")).await?.text().await?)
}

#[test]
fn own_domains_answer_over_tls_from_inside_with_their_certificates_and_chains_end() -> anyhow::Result<()> {
    // Built before the test enters its network namespace, which has no external network.
    let archive = tokio::runtime::Runtime::new()?.block_on(flask::archive())?;
    on_machine(async |_| {
        let (folder, tls_port) = (tempfile::tempdir()?, tools::free_port()?);
        let platform = start(folder.path(), &archive, tls_port).await?;
        // By its own domain, on both ports, and by its default host; the name relay learns the
        // domain a moment after its creation.
        let (port, host) = (format!("{SHOP}:{tls_port}"), "web.default.functions.example.com");
        for authority in [SHOP, &port, host] {
            let url = format!("https://{authority}/headers");
            let found = async || {
                let said = fetch(&platform, "caller", &url).await?;
                Ok(said.starts_with("200 ").then_some(said))
            };
            let said = wait::until(&url, found).await?.to_ascii_lowercase();
            let name = authority.split(':').next().unwrap_or_default();
            assert!(said.contains(r#""x-forwarded-proto","https""#), "{authority}: {said}");
            assert!(said.contains(&format!("\"host\",\"{name}")), "{authority}: {said}");
        }
        // Each name gets its own certificate; a name without one gets none.
        let said = fetch(&platform, "caller", &format!("https://{UNKNOWN}/headers")).await?;
        assert!(said.starts_with("error "), "{said}");
        // The domain accepts HTTPS only, also from inside.
        let plain = fetch(&platform, "caller", &format!("http://{SHOP}/headers")).await?;
        assert!(plain.starts_with("403 ") && plain.contains("HTTPS only"), "{plain}");
        // An egress list with the TLS port allows that port only.
        let listed = fetch(&platform, "listed", &format!("https://{host}/headers")).await?;
        assert!(listed.starts_with("200 "), "{listed}");
        let listed = fetch(&platform, "listed", &format!("http://{host}/headers")).await?;
        assert!(listed.starts_with("error ") && listed.contains("reset"), "{listed}");

        // The limit of a chain of calls also applies over TLS.
        let again = platform.get("caller", &format!("/again?https://{CALLER}")).await?;
        assert_eq!(again.status(), 200);
        let said = again.text().await?;
        assert_eq!(said.matches("200 ").count(), DEPTH_MAX, "{said}");
        assert_eq!(said.matches("508 ").count(), 1, "{said}");
        assert!(said.contains("gateway.call_depth_max"), "{said}");
        let refused = async || {
            let log = tools::run_ok(&mut platform.cli(&["logs", "caller", "--limit", "200"])).await?;
            Ok(log.contains(&format!("the call is number {} of a chain", DEPTH_MAX + 1)).then_some(()))
        };
        wait::until("its log says why", refused).await?;
        platform.stop().await
    })
}
