//! A realistic application image: Debian with Python, Flask, a WebSocket server and gRPC, built
//! from Debian's packages and cached below `target/`.

use std::path::PathBuf;

use crate::tools;

/// Increment it when the recipe below changes, to invalidate a cached archive.
const RECIPE: u32 = 3;

/// An OCI archive of the image, with user, working directory, environment and several layers.
pub async fn archive() -> anyhow::Result<PathBuf> {
    let folder = tools::workspace().join("target/e2e");
    let archive = folder.join(format!("flask-{RECIPE}.tar"));
    if archive.exists() {
        return Ok(archive);
    }
    std::fs::create_dir_all(&folder)?;
    let work = tempfile::Builder::new().prefix("flask-").tempdir_in(&folder)?;
    let root = work.path().join("root.tar");
    let debian = ["--variant=minbase", "--include=python3-flask,python3-websockets,python3-grpcio", "bookworm"];
    tools::run_ok(tools::command("mmdebstrap").args(debian).arg(&root)).await?;
    let path = |name: &str| work.path().join(name).display().to_string();
    let script = format!(
        "set -e; b() {{ buildah --storage-driver vfs --root {storage} --runroot {run} \"$@\"; }}; \
         c=$(b from scratch); b add $c {root} / >/dev/null; b config --label base=debian $c; \
         b commit $c base >/dev/null; b rm $c >/dev/null; c=$(b from base); \
         b copy $c {app} /srv/app.py >/dev/null; b copy $c {websocket} /srv/websocket.py >/dev/null; \
         b copy $c {grpc} /srv/calls.py >/dev/null; \
         b config --user www-data --workingdir /srv --env COLOUR=image --env PYTHONDONTWRITEBYTECODE=1 \
           --entrypoint '[\"python3\"]' --cmd /srv/app.py $c; \
         b commit $c oci-archive:{out}:flask >/dev/null; b rm $c >/dev/null",
        storage = path("storage"),
        run = path("run"),
        root = root.display(),
        app = tools::workspace().join("e2e/clients/flask_app.py").display(),
        grpc = tools::workspace().join("e2e/clients/grpc_app.py").display(),
        websocket = tools::workspace().join("e2e/clients/websocket_app.py").display(),
        out = path("out.tar"),
    );
    tools::run_ok(tools::command("sh").args(["-c", &script])).await?;
    // Renamed when complete, so that an interrupted run leaves no partial archive.
    std::fs::rename(work.path().join("out.tar"), &archive)?;
    Ok(archive)
}
