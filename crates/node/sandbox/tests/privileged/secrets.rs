//! Secrets as files: owned by the instance's user, in memory, immutable, and removed with the
//! instance.

use sandbox::SecretFile;
use types::SecretBytes;

use crate::runtimes::every_isolation;
use crate::support::Bench;

/// Memory of an instance: that of another runtime counts too.
const MEMORY_BYTES: u64 = 256 << 20;

fn files() -> Vec<SecretFile> {
    let file = |path: &str, content: &str| SecretFile {
        path: path.to_owned(),
        content: SecretBytes::new(content.as_bytes().to_vec()),
    };
    vec![file("db", "in-memory\n"), file("tls/key.pem", "nested\n")]
}

#[tokio::test]
async fn files_belong_to_the_user_of_the_image_in_every_isolation() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let read = [
        "cat=/run/secrets/db",
        "cat=/run/secrets/tls/key.pem",
        "owner=/run/secrets/db",
        "put=/run/secrets/new:x",
        "exit=0",
    ];
    for runtime in every_isolation() {
        let shown = format!("{runtime:?}");
        for (user, owner) in [("app", "1000:1000"), ("", "0:0"), ("1000660000", "1000660000:0")] {
            let (exit, text) = bench
                .run_changed(&read, |spec| {
                    (spec.runtime, spec.memory_bytes) = (runtime.clone(), MEMORY_BYTES);
                    (spec.user, spec.secrets) = (user.to_owned(), files());
                })
                .await?;
            let (read, written) = text.split_once("/run/secrets/new ").unwrap_or_default();
            assert_eq!(read, format!("in-memory\nnested\n{owner}\n"), "{shown} {user}: {text}");
            assert!(["Read-only file system\n", "Permission denied\n"].contains(&written), "{shown} {user}: {text}");
            assert_eq!(exit.code, Some(0));
        }
    }
    bench.finish().await
}
