//! The Flask row of `bench cold-start`: a Python web application from Debian's packages, cold on
//! the platform and as a bare process in the same root file system.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::bail;

use super::http::free_port;
use super::runc::answered;
use crate::process::{ChildGuard, on_path, run};

/// A minimal application that listens on the port of the variable `PORT`.
const APP: &str = "import os\nfrom flask import Flask\napp = Flask(__name__)\n\n\n@app.get('/')\ndef index():\n    return 'hi'\n\n\napp.run(host='0.0.0.0', port=int(os.environ.get('PORT', '9000')), threaded=True)\n";

/// A root file system with the application.
pub struct Flask {
    root: PathBuf,
}

impl Flask {
    /// Builds it below `work`; needs root and `mmdebstrap`.
    pub fn make(work: &Path) -> anyhow::Result<Self> {
        if !on_path("mmdebstrap") {
            bail!("mmdebstrap makes the image of this bench: apt-get install mmdebstrap");
        }
        let root = work.join("flask");
        let debian = ["--quiet", "--variant=minbase", "--include=python3-flask", "bookworm"];
        run(Command::new("mmdebstrap").args(debian).arg(&root))?;
        std::fs::write(root.join("srv/app.py"), APP)?;
        Ok(Self { root })
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Milliseconds from the start of the bare server to its first response.
    pub fn start_bare(&self) -> anyhow::Result<f64> {
        let port = free_port()?;
        let started = Instant::now();
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(["/usr/bin/python3", "/srv/app.py"]).env("PORT", port.to_string());
        let _child = ChildGuard(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        answered(port, started)
    }
}
