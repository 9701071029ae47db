//! The measured image: Debian with compilers and FFmpeg, wheels from PyPI above it, and
//! `examples/hello` as its server; and a second one with the same base. Cached below
//! `target/bench`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

use crate::packages;
use crate::process::{output, run as run_loud};

/// Increment it when the recipe changes, to invalidate a cached image.
const RECIPE: u32 = 1;
/// Names of the image, and of the one that shares its base.
pub const NAMES: [&str; 2] = ["first", "second"];
/// Packages of the base in addition to Debian's essential ones.
const DEBIAN: &str = "--include=python3,g++,cmake,git,clang,ffmpeg";
/// Wheels for Debian's Python, by layer.
const WHEELS: [(&str, &[&str]); 3] = [
    ("science", &["numpy", "scipy", "onnxruntime", "pandas", "scikit-learn", "pyarrow", "polars-runtime-32"]),
    ("libraries", &["matplotlib", "sympy", "botocore", "transformers"]),
    ("other", &["django", "networkx", "pillow"]),
];
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The two images as an OCI layout on disk.
pub struct Sample {
    /// The folder of the layout.
    pub folder: PathBuf,
    facts: Value,
}

/// A layer in the layout.
struct Layer {
    descriptor: Value,
    diff_id: String,
    entries: usize,
    unpacked_bytes: u64,
}

impl Sample {
    /// Opens the cached sample, or builds it.
    pub fn open_or_make(root: &Path, hello: &Path) -> anyhow::Result<Self> {
        let kept = root.join("target/bench");
        let folder = kept.join(format!("prepare-{RECIPE}"));
        if !folder.exists() {
            println!("making the image (some minutes, once): {}", folder.display());
            std::fs::create_dir_all(&kept)?;
            let work = tempfile::Builder::new().prefix("making-").tempdir_in(&kept)?;
            let layout = work.path().join("layout");
            make(root, hello, &work.path().join("parts"), &layout)?;
            // Renamed when complete, so that an interrupted run leaves no partial image.
            std::fs::rename(&layout, &folder)?;
        }
        let facts = read_json(&folder.join("facts.json"))?;
        Ok(Self { folder, facts })
    }

    /// A description in one line.
    pub fn describe(&self) -> String {
        let [first, second] = NAMES.map(|name| &self.facts[name]);
        format!(
            "Debian bookworm ({DEBIAN}) + wheels of {} + {} + examples/hello: {:.2} GB in {} entries, {} gzip layers with \
             {:.0} MB together; the second shares its base and has {:.0} MB of its own",
            WHEELS[0].1.join(", "),
            WHEELS[1].1.join(", "),
            first["unpacked_bytes"].as_f64().unwrap_or_default() / 1e9,
            first["entries"],
            first["layers"],
            first["bytes"].as_f64().unwrap_or_default() / 1e6,
            second["own_bytes"].as_f64().unwrap_or_default() / 1e6,
        )
    }

    /// Compressed bytes of the first image.
    pub fn bytes(&self) -> f64 {
        self.facts[NAMES[0]]["bytes"].as_f64().unwrap_or(f64::NAN)
    }

    /// Compressed bytes of the second image's layers that the first lacks.
    pub fn second_own_bytes(&self) -> f64 {
        self.facts[NAMES[1]]["own_bytes"].as_f64().unwrap_or(f64::NAN)
    }

    /// An image reference in skopeo's form.
    pub fn layout(&self, name: &str) -> String {
        format!("oci:{}:{name}", self.folder.display())
    }

    /// The files of an image's layers, lowest first.
    pub fn layers(&self, name: &str) -> anyhow::Result<Vec<PathBuf>> {
        let index = read_json(&self.folder.join("index.json"))?;
        let named = |m: &&Value| m["annotations"]["org.opencontainers.image.ref.name"] == name;
        let manifest = index["manifests"].as_array().into_iter().flatten().find(named).context("the image is there")?;
        let blob = |descriptor: &Value| {
            self.folder.join("blobs").join(descriptor["digest"].as_str().unwrap_or_default().replace(':', "/"))
        };
        let manifest = read_json(&blob(manifest))?;
        Ok(manifest["layers"].as_array().into_iter().flatten().map(blob).collect())
    }
}

fn make(root: &Path, hello: &Path, parts: &Path, layout: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(parts)?;
    std::fs::create_dir_all(layout.join("blobs/sha256"))?;
    let base = parts.join("base.tar");
    run_loud(Command::new("mmdebstrap").args(["--quiet", "--variant=minbase", DEBIAN, "bookworm"]).arg(&base))?;
    let base = add_layer(layout, &base)?;
    let pip = packages::python(root, false)?.join("bin/pip");
    let mut wheels = Vec::new();
    for (name, packages) in WHEELS {
        let folder = parts.join(name);
        let target = folder.join("opt").join(name);
        let mut install = Command::new(&pip);
        install.args(["install", "--quiet", "--no-compile", "--no-deps", "--python-version", "3.11"]);
        run_loud(install.args(["--only-binary", ":all:", "--target"]).arg(&target).args(packages))?;
        wheels.push(add_layer(layout, &tar_of(&folder)?)?);
    }
    let app = parts.join("app");
    std::fs::create_dir(&app)?;
    std::fs::copy(hello, app.join("hello")).context("cannot copy the built example")?;
    let app = add_layer(layout, &tar_of(&app)?)?;
    let [science, libraries, other] = &wheels[..] else { unreachable!("a layer for each list of wheels") };
    let (first, second) = ([&base, science, libraries, &app], [&base, other, &app]);
    let manifests = [add_image(layout, NAMES[0], &first)?, add_image(layout, NAMES[1], &second)?];
    write_json(&layout.join("index.json"), &json!({ "schemaVersion": 2, "manifests": manifests }))?;
    write_json(&layout.join("oci-layout"), &json!({ "imageLayoutVersion": "1.0.0" }))?;
    let mut facts = json!({ NAMES[0]: facts(&first), NAMES[1]: facts(&second) });
    facts[NAMES[1]]["own_bytes"] = other.descriptor["size"].clone();
    write_json(&layout.join("facts.json"), &facts)
}

fn facts(layers: &[&Layer]) -> Value {
    json!({
        "layers": layers.len(),
        "entries": layers.iter().map(|layer| layer.entries).sum::<usize>(),
        "unpacked_bytes": layers.iter().map(|layer| layer.unpacked_bytes).sum::<u64>(),
        "bytes": layers.iter().filter_map(|layer| layer.descriptor["size"].as_u64()).sum::<u64>(),
    })
}

/// Creates the tar of a folder's content next to the folder.
fn tar_of(folder: &Path) -> anyhow::Result<PathBuf> {
    let tar = folder.with_extension("tar");
    let mut command = Command::new("tar");
    command.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-cf"]).arg(&tar).arg("-C").arg(folder);
    run_loud(command.arg("."))?;
    Ok(tar)
}

/// Compresses a tar into the layout, as `docker push` would, and removes it.
fn add_layer(layout: &Path, tar: &Path) -> anyhow::Result<Layer> {
    let packed = tar.with_extension("tar.gz");
    let unpacked_bytes = std::fs::metadata(tar)?.len();
    let entries = output(Command::new("tar").arg("-tf").arg(tar))?.lines().count();
    let diff_id = sha256(tar)?;
    run_loud(Command::new("gzip").arg("-n").arg(tar))?;
    Ok(Layer { descriptor: add_blob(layout, &packed, LAYER)?, diff_id, entries, unpacked_bytes })
}

/// Adds config and manifest of an image; returns the manifest's descriptor for the index.
fn add_image(layout: &Path, name: &str, layers: &[&Layer]) -> anyhow::Result<Value> {
    let file = layout.join(name);
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    write_json(
        &file,
        &json!({
            "architecture": "amd64", "os": "linux", "config": { "Entrypoint": ["/hello"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }),
    )?;
    let config = add_blob(layout, &file, CONFIG)?;
    let layers: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
    write_json(&file, &json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers }))?;
    let mut manifest = add_blob(layout, &file, MANIFEST)?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    Ok(manifest)
}

/// Moves a file into the layout's blobs and describes it.
fn add_blob(layout: &Path, file: &Path, media_type: &str) -> anyhow::Result<Value> {
    let (digest, size) = (sha256(file)?, std::fs::metadata(file)?.len());
    std::fs::rename(file, layout.join("blobs").join(digest.replace(':', "/")))?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": size }))
}

/// A file's digest, as registries write it.
pub fn sha256(file: &Path) -> anyhow::Result<String> {
    let said = output(Command::new("sha256sum").arg(file))?;
    Ok(format!("sha256:{}", said.split_whitespace().next().context("sha256sum prints a digest")?))
}

fn read_json(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))
}

fn write_json(file: &Path, value: &Value) -> anyhow::Result<()> {
    std::fs::write(file, value.to_string()).with_context(|| format!("cannot write {}", file.display()))
}
