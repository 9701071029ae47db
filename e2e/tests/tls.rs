//! TLS of the gateway: certificate selection, HTTP/2, forwarded headers, and certificate reloads
//! with open connections.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::path::{Path, PathBuf};

use e2e::{Platform, tools, wait};
use tempfile::TempDir;

const SHOP: &str = "shop.example.com";
const PAGES: &str = "*.default.fn.localhost";

/// Creates a certificate for a name in a folder, and its key.
async fn issue(folder: &Path, file: &str, name: &str) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (chain, key) = (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")));
    let mut openssl = tools::command("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=sampan", "-addext", &format!("subjectAltName=DNS:{name}")]);
    // Written to another file and renamed, so that it is never read partially.
    let beside = folder.join("new.pem");
    tools::run_ok(openssl.arg("-keyout").arg(&key).arg("-out").arg(&beside)).await?;
    std::fs::rename(&beside, &chain)?;
    Ok((chain, key))
}

/// A platform with a function `hello`, its custom domain [`SHOP`], and two certificates.
struct Shop {
    platform: Platform,
    port: u16,
    folder: TempDir,
}

impl Shop {
    async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (pages, pages_key) = issue(folder.path(), "pages", PAGES).await?;
        let (shop, shop_key) = issue(folder.path(), "shop", SHOP).await?;
        let port = tools::free_port()?;
        let text = |path: &Path| path.display().to_string();
        let settings = [
            ("SAMPAN_GATEWAY_TLS_ADDR", format!("127.0.0.1:{port}")),
            ("SAMPAN_GATEWAY__CERTIFICATES__PAGES__CHAIN_FILE", text(&pages)),
            ("SAMPAN_GATEWAY__CERTIFICATES__PAGES__KEY_FILE", text(&pages_key)),
            ("SAMPAN_GATEWAY__CERTIFICATES__SHOP__CHAIN_FILE", text(&shop)),
            ("SAMPAN_GATEWAY__CERTIFICATES__SHOP__KEY_FILE", text(&shop_key)),
            ("SAMPAN_GATEWAY__CERTIFICATES_CHECK_S", "1".to_owned()),
        ];
        let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
        let platform = Platform::start_with(&settings).await?;
        platform.push_hello().await?;
        platform.deploy("hello", "hello:v1", &["--memory", "128"]).await?;
        let domain = ["domain", "add", SHOP, "--route", "/*=hello", "--protocol", "https", "--certificate", "shop"];
        platform.cli_json(&domain).await?;
        Ok(Self { platform, port, folder })
    }

    /// The output of curl for a URL on a host, with this certificate as its only trusted one.
    async fn curl(&self, host: &str, path: &str, certificate: &str, extra: &[&str]) -> anyhow::Result<String> {
        let mut curl = tools::command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "20"]).args(extra);
        curl.args(["--resolve", &format!("{host}:{}:127.0.0.1", self.port)]);
        curl.arg("--cacert").arg(self.folder.path().join(format!("{certificate}.pem")));
        tools::run_ok(curl.arg(format!("https://{host}:{}{path}", self.port))).await
    }
}

#[tokio::test]
async fn certificates_are_chosen_by_sni_and_functions_see_host_and_scheme() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let host = "hello.default.fn.localhost";
    let version = ["--output", "/dev/null", "--write-out", "%{http_version}"];
    assert_eq!(shop.curl(host, "/", "pages", &version).await?, "2");
    let headers = shop.curl(host, "/headers", "pages", &["--http1.1"]).await?.to_ascii_lowercase();
    assert!(headers.contains(r#""x-forwarded-proto","https""#), "{headers}");
    assert!(shop.curl(SHOP, "/", "shop", &[]).await?.contains("hello from Sampan"));
    assert!(shop.curl(SHOP, "/", "pages", &[]).await.is_err(), "it is another host's");
    // Over plain HTTP the domain answers with its accepted protocols.
    let plain = shop.platform.http.get(format!("{}/", shop.platform.gateway)).header("host", SHOP).send().await?;
    assert_eq!(plain.status(), 403);
    assert!(plain.text().await?.contains("HTTPS only"));
    shop.platform.stop().await
}

#[tokio::test]
async fn a_changed_certificate_is_reloaded_and_a_bad_one_is_not() -> anyhow::Result<()> {
    let shop = Shop::open().await?;
    let old = std::fs::read(shop.folder.path().join("shop.pem"))?;
    std::fs::write(shop.folder.path().join("old.pem"), &old)?;
    issue(shop.folder.path(), "shop", SHOP).await?;
    wait::until("the new one is shown", || async { Ok(shop.curl(SHOP, "/", "shop", &[]).await.ok()) }).await?;
    assert!(shop.curl(SHOP, "/", "old", &[]).await.is_err(), "the old one is not shown any more");
    let good = shop.folder.path().join("good.pem");
    std::fs::copy(shop.folder.path().join("shop.pem"), &good)?;
    std::fs::write(shop.folder.path().join("shop.pem"), "nothing of the kind")?;
    for _ in 0..3 {
        // Certificates are checked once a second: the last request follows a check.
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert!(shop.curl(SHOP, "/", "good", &[]).await.is_ok());
    }
    shop.platform.stop().await
}

#[tokio::test]
async fn unusable_certificates_fail_the_start() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (chain, _) = issue(folder.path(), "one", "a.example.com").await?;
    let (_, other_key) = issue(folder.path(), "two", "a.example.com").await?;
    let text = |path: &Path| path.display().to_string();
    for (chain, key, says) in [
        (text(&chain), text(&other_key), "do not belong together"),
        (text(&other_key), text(&other_key), "no certificate in PEM form"),
        (text(&folder.path().join("nothing")), text(&other_key), "nothing has no certificate"),
    ] {
        let settings = [
            ("SAMPAN_GATEWAY_TLS_ADDR", "127.0.0.1:0"),
            ("SAMPAN_GATEWAY__CERTIFICATES__ONE__CHAIN_FILE", &chain),
            ("SAMPAN_GATEWAY__CERTIFICATES__ONE__KEY_FILE", &key),
        ];
        let error = Platform::start_with(&settings).await.err().expect("it cannot start");
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
    Ok(())
}
