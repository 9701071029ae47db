//! `sampan doctor`: kernel features, and fallbacks for missing ones.

use std::path::Path;

use crate::args::{Output, UpArgs};
use crate::failure::{Exit, Failure};
use crate::{output, settings};

/// Prints the checks; fails when a required feature is missing.
pub fn run(args: &UpArgs, format: Output) -> anyhow::Result<()> {
    let mut checks = sandbox::doctor();
    let settings = settings::load(args)?;
    checks.push(ipv6(&settings.network));
    checks.push(images(&settings.data_dir));
    checks.push(volumes(&settings.data_dir, &settings.volumes));
    let missing: Vec<&str> = checks.iter().filter(|c| c.is_missing()).map(|c| c.name).collect();
    match format {
        Output::Json => output::json(&checks)?,
        Output::Text => {
            let row =
                |c: &sandbox::Check| vec![c.name.to_owned(), c.status.to_string(), c.found.clone(), c.remedy.clone()];
            let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
            output::table(&["FEATURE", "STATUS", "FOUND", "INSTEAD / REMEDY"], &rows);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("this machine cannot run Sampan: missing {}", missing.join(", "));
    Err(Failure::new(Exit::Failed, message, "The last column lists the remedies.").into())
}

/// Nearest existing ancestor of a directory, or the directory itself.
fn nearest(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"))
}

/// Whether instances would have IPv6 with these settings.
fn ipv6(config: &sandbox::NetworkConfig) -> sandbox::Check {
    let (status, found, remedy) = match sandbox::ipv6_off(config) {
        Ok(None) => (sandbox::CheckStatus::Ok, "instances have egress by it".to_owned(), String::new()),
        Ok(Some(reason)) => {
            let found = format!("instances have none: {reason}");
            (sandbox::CheckStatus::Ok, found, "They use IPv4; see [network] ipv6 in docs/NETWORK.md.".to_owned())
        }
        Err(error) => (sandbox::CheckStatus::Degraded, error.to_string(), error.remedy().to_owned()),
    };
    sandbox::Check { name: "IPv6", status, found, remedy }
}

/// Volume features that this machine supports.
fn volumes(data_dir: &Path, config: &volumes::Config) -> sandbox::Check {
    let volumes::Found { found, remedy } = volumes::doctor(nearest(data_dir), config);
    let status = if remedy.is_empty() { sandbox::CheckStatus::Ok } else { sandbox::CheckStatus::Degraded };
    sandbox::Check { name: "volumes", status, found, remedy }
}

/// Kind of root file systems, tested in the data directory or its nearest existing ancestor.
fn images(data_dir: &Path) -> sandbox::Check {
    let there = nearest(data_dir);
    let (status, found, remedy) = match image::doctor(there) {
        Ok(check) if check.remedy.is_empty() => (sandbox::CheckStatus::Ok, check.found, check.remedy),
        Ok(check) => (sandbox::CheckStatus::Degraded, check.found, check.remedy),
        Err(error) => {
            let found = format!("not tested: {} cannot be written ({error})", there.display());
            (sandbox::CheckStatus::Degraded, found, "Run the doctor as root.".to_owned())
        }
    };
    sandbox::Check { name: "images", status, found, remedy }
}
