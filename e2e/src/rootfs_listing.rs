//! Listings of root file systems, made by the walker of `examples/hello`, and their comparison.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Map, Value};

use crate::oci::{self, Compression, Format, Image, Layer};
use crate::{Platform, build_cache, tools};

/// Paths of the sandbox, not of the image (see `crates/node/sandbox`).
const SANDBOX: &[&str] = &["proc", "sys", "dev", "tmp", "etc/hosts", "etc/hostname", "etc/resolv.conf"];
/// Directories in which the sandbox creates missing entries, which changes their times.
const MODIFIED: &[&str] = &["", "etc"];
/// Highest id mapped into an instance; higher owners appear as this one.
const MAPPED_ID_MAX: u64 = 65_534;
const FOLDED_ID: u64 = 65_535;
/// Number of differences that a failed test shows.
const SHOWN_MAX: usize = 40;

/// Entries by path below the root, each with the walker's fields.
pub type Listing = BTreeMap<String, Map<String, Value>>;

/// Lists the root of an instance of a web function whose image contains the walker.
pub async fn of_instance(platform: &Platform, function: &str) -> anyhow::Result<Listing> {
    let answer = platform.get(function, "/walk?/").await?;
    let status = answer.status();
    let text = answer.text().await.context("the listing is truncated")?;
    ensure!(status.is_success(), "listing {function}: {status} {text}");
    parse(&text)
}

/// Lists the result of `umoci unpack` of an image, in a temporary folder below `work`.
pub async fn of_umoci(image: &Image, work: &Path) -> anyhow::Result<Listing> {
    parse(&umoci_lines(image, work).await?)
}

/// Lists the result of `umoci unpack` of large layers, given as tars; cached, because that takes
/// half a minute.
pub async fn of_umoci_cached(tars: &[&[u8]]) -> anyhow::Result<Listing> {
    let layers = Layer::stack(tars, &[Compression::Plain])?;
    let image = Image::new(Format::Oci, oci::config(&["/hello"]), &layers);
    let name = format!("umoci-{}.jsonl", image.digest().trim_start_matches("sha256:"));
    let kept = build_cache::file(&name, async |work| {
        let file = work.join(&name);
        std::fs::write(&file, umoci_lines(&image, work).await?)?;
        Ok(file)
    });
    parse(&std::fs::read_to_string(kept.await?)?)
}

async fn umoci_lines(image: &Image, work: &Path) -> anyhow::Result<String> {
    let folder = tempfile::Builder::new().prefix("umoci-").tempdir_in(work)?;
    let (layout, root) = (folder.path().join("layout"), folder.path().join("root"));
    image.write_layout(&layout, "v1")?;
    let source = format!("{}:v1", layout.display());
    tools::run_ok(tools::command("umoci").args(["raw", "unpack", "--image", &source]).arg(&root)).await?;
    let mut walker = tools::command(&tools::hello().display().to_string());
    tools::run_ok(walker.arg("walk").arg(&root)).await
}

fn parse(lines: &str) -> anyhow::Result<Listing> {
    let entry = |line: &str| {
        let mut fields: Map<String, Value> = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let path = fields.remove("path").and_then(|path| path.as_str().map(str::to_owned));
        Ok((path.with_context(|| format!("no path in {line}"))?, fields))
    };
    lines.lines().map(entry).collect()
}

/// Removes a field that the specifications leave to the implementation.
pub fn without(mut listing: Listing, field: &str, paths: &[&str]) -> Listing {
    for path in paths {
        listing.entry((*path).to_owned()).and_modify(|fields| drop(fields.remove(field)));
    }
    listing
}

/// Fails unless an instance sees the unpacked files, except for fields that differ inside an
/// instance.
pub fn same(instance: Listing, unpacked: Listing) -> anyhow::Result<()> {
    let (mut instance, unpacked) = (comparable(instance), comparable(unpacked));
    if !unpacked.contains_key("etc") {
        // Created for the sandbox's files.
        instance.remove("etc");
    }
    ensure!(!unpacked.is_empty(), "nothing was unpacked");
    let mut found = Vec::new();
    for path in unpacked.keys().filter(|path| !instance.contains_key(*path)) {
        found.push(format!("{path:?} is missing in the instance"));
    }
    for (path, seen) in &instance {
        let Some(expected) = unpacked.get(path) else {
            found.push(format!("{path:?} is in the instance only: {seen:?}"));
            continue;
        };
        let names = seen.keys().chain(expected.keys().filter(|name| !seen.contains_key(*name)));
        let differing = names.filter(|name| seen.get(*name) != expected.get(*name));
        let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        found.extend(differing.map(|name| {
            format!("{path:?}: {name} is {}, unpacked {}", shown(seen.get(name)), shown(expected.get(name)))
        }));
    }
    let (count, all) = (found.len(), unpacked.len());
    found.truncate(SHOWN_MAX);
    ensure!(found.is_empty(), "{count} differences in {all} entries:\n{}", found.join("\n"));
    Ok(())
}

/// Removes the sandbox's entries, and fields that differ inside an instance.
fn comparable(listing: Listing) -> Listing {
    let of_sandbox = |path: &str| {
        SANDBOX.iter().any(|name| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    let entries = listing.into_iter().filter(|(path, _)| !of_sandbox(path));
    entries
        .map(|(path, mut fields)| {
            if fields.get("type").is_some_and(|kind| kind == "directory") {
                // Overlayfs does not count subdirectories of merged directories, and file systems
                // count differently.
                fields.remove("nlink");
            }
            if MODIFIED.contains(&path.as_str()) {
                fields.remove("mtime");
            }
            for owner in ["uid", "gid"] {
                if fields.get(owner).and_then(Value::as_u64).is_some_and(|id| id > MAPPED_ID_MAX) {
                    fields.insert(owner.to_owned(), FOLDED_ID.into());
                }
            }
            if let Some(Value::Object(xattrs)) = fields.get_mut("xattrs") {
                // Only root of the initial user namespace sees them (xattr(7)).
                xattrs.retain(|name, _| !name.starts_with("trusted."));
            }
            (path, fields)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(lines: &str) -> Listing {
        parse(lines).expect("valid lines")
    }

    #[test]
    fn missing_additional_and_different_entries_are_named() {
        let file = |path: &str, mode: &str| {
            format!(r#"{{"path":"{path}","type":"file","mode":"{mode}","uid":0,"xattrs":{{}}}}"#)
        };
        let unpacked = || listing(&[file("a", "0644"), file("b", "0644")].join("\n"));
        assert!(same(unpacked(), unpacked()).is_ok());
        let said =
            |instance: &[String]| same(listing(&instance.join("\n")), unpacked()).expect_err("other").to_string();
        let missing = said(&[file("a", "0644")]);
        assert!(missing.contains("\"b\" is missing"), "{missing}");
        let more = said(&[file("a", "0644"), file("b", "0644"), file("c", "0644")]);
        assert!(more.contains("\"c\" is in the instance only"), "{more}");
        let other = said(&[file("a", "0600"), file("b", "0644")]);
        assert!(other.contains("mode is \"0600\", unpacked \"0644\""), "{other}");
        assert!(same(Listing::new(), Listing::new()).is_err());
    }

    #[test]
    fn entries_of_the_sandbox_are_ignored() {
        let entry = |path: &str, kind: &str, uid: u32, nlink: u32, xattr: &str| {
            let xattrs = if xattr.is_empty() { String::new() } else { format!(r#""{xattr}":"00""#) };
            format!(r#"{{"path":"{path}","type":"{kind}","uid":{uid},"nlink":{nlink},"xattrs":{{{xattrs}}}}}"#)
        };
        let lines = |all: &[String]| listing(&all.join("\n"));
        let unpacked = [entry("d", "directory", 0, 2, "trusted.a"), entry("f", "file", 70_000, 1, "user.a")];
        let instance = [
            entry("d", "directory", 0, 1, ""),
            entry("f", "file", 65_535, 1, "user.a"),
            entry("proc/1", "directory", 0, 1, ""),
            entry("etc/hosts", "file", 0, 1, ""),
        ];
        assert!(same(lines(&instance), lines(&unpacked)).is_ok());
        let hidden = [entry("d", "directory", 0, 2, ""), entry("f", "file", 70_000, 1, "")];
        assert!(same(lines(&hidden), lines(&unpacked)).is_err(), "an attribute for everybody is missing");
        let names_alike = [&instance[..], &[entry("process", "file", 0, 1, "")]].concat();
        assert!(same(lines(&names_alike), lines(&unpacked)).is_err(), "`process` is not `proc`");
    }
}
