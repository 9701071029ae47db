//! Permitted dependencies between crates of the workspace.

use std::collections::BTreeMap;

use super::Crate;

/// Every crate, its folder, and the crates of the workspace on which it may depend. Other
/// dependencies are forbidden.
const ARROWS: &[(&str, &str, &[&str])] = &[
    ("types", "crates/types", &[]),
    ("schedule", "crates/schedule", &[]),
    ("supervisor", "crates/supervisor", &[]),
    ("sys", "crates/node/sys", &[]),
    ("store", "crates/store", &["types"]),
    ("logs", "crates/node/logs", &["supervisor", "types"]),
    ("erofs", "crates/node/erofs", &[]),
    ("oci", "crates/node/oci", &["types"]),
    ("layer-index", "crates/node/layer-index", &["types", "sys", "erofs", "oci"]),
    ("content-store", "crates/node/content-store", &["types", "sys", "erofs", "oci", "layer-index"]),
    ("rootfs", "crates/node/rootfs", &["types", "sys", "erofs", "oci", "layer-index", "content-store"]),
    ("registry-client", "crates/node/registry-client", &["types", "oci"]),
    (
        "image",
        "crates/node/image",
        &["supervisor", "types", "sys", "erofs", "oci", "layer-index", "content-store", "rootfs", "registry-client"],
    ),
    ("network", "crates/node/network", &["supervisor", "types", "sys"]),
    ("volumes", "crates/node/volumes", &["types", "sys"]),
    ("sandbox", "crates/node/sandbox", &["supervisor", "types", "sys", "network"]),
    ("pool", "crates/data/pool", &["supervisor", "types", "schedule"]),
    ("launcher", "crates/data/launcher", &["types", "pool", "image", "sandbox", "logs", "volumes"]),
    ("connections", "crates/data/connections", &["supervisor"]),
    ("outbound", "crates/data/outbound", &["registry-client"]),
    ("events", "crates/data/events", &["supervisor", "types", "invoke", "outbound"]),
    (
        "sources",
        "crates/data/sources",
        &["supervisor", "types", "schedule", "store", "events", "formats", "object-store"],
    ),
    ("formats", "crates/data/formats", &[]),
    ("object-store", "crates/data/object-store", &["formats"]),
    ("invoke", "crates/data/invoke", &["supervisor", "types", "connections", "pool", "logs"]),
    ("gateway", "crates/data/gateway", &["supervisor", "types", "connections", "invoke", "events", "formats"]),
    ("registry", "crates/control/registry", &["types", "oci", "content-store"]),
    ("deploy", "crates/control/deploy", &["supervisor", "types", "store", "oci"]),
    ("signature", "crates/control/signature", &["types"]),
    ("credentials", "crates/control/credentials", &["types", "registry-client", "signature"]),
    ("secrets", "crates/control/secrets", &["types", "store", "credentials"]),
    ("api", "crates/control/api", &["types", "schedule", "signature", "store", "logs", "invoke", "events", "sources"]),
    ("cli", "crates/cli", &["types", "oci", "registry-client", "signature"]),
    (
        "sampan",
        "crates/sampan",
        &[
            "cli",
            "types",
            "supervisor",
            "store",
            "sys",
            "oci",
            "layer-index",
            "registry-client",
            "image",
            "sandbox",
            "volumes",
            "logs",
            "pool",
            "events",
            "sources",
            "object-store",
            "outbound",
            "launcher",
            "invoke",
            "connections",
            "gateway",
            "registry",
            "deploy",
            "signature",
            "credentials",
            "secrets",
            "api",
        ],
    ),
    ("warm-path", "benches/warm-path", &["types", "logs", "pool", "invoke", "gateway"]),
    ("xtask", "xtask", &["pool", "signature"]),
    ("e2e", "e2e", &["signature", "types"]),
];

/// Finds dependencies and crates that are missing in the table.
pub fn check(crates: &BTreeMap<String, Crate>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, found) in crates {
        let Some((_, folder, allowed)) = ARROWS.iter().find(|(n, ..)| n == name) else {
            findings.push(format!("crate {name} is not in the table of arrows (xtask/src/tidy/arrows.rs)"));
            continue;
        };
        if !found.folder.ends_with(folder) {
            findings.push(format!("crate {name} belongs in {folder}"));
        }
        let ours = found.uses.iter().filter(|used| crates.contains_key(*used));
        for used in ours.filter(|used| !allowed.contains(&used.as_str())) {
            findings.push(format!("crate {name} must not use {used}: arrows point down (ARCHITECTURE.md)"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn crates(list: &[(&str, &str, &[&str])]) -> BTreeMap<String, Crate> {
        list.iter()
            .map(|(name, folder, uses)| {
                let uses = uses.iter().map(|u| (*u).to_owned()).collect();
                ((*name).to_owned(), Crate { folder: PathBuf::from(folder), uses })
            })
            .collect()
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let found = check(&crates(&[("types", "crates/types", &["store"]), ("store", "crates/store", &["types"])]));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("types must not use store"));
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(check(&crates(&[("extra", "crates/extra", &[])])).len(), 1);
    }

    #[test]
    fn the_table_has_no_circles() {
        for (name, _, uses) in ARROWS {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&str> = uses.to_vec();
            while let Some(used) = next.pop() {
                assert_ne!(&used, name, "{name} reaches itself");
                if seen.insert(used) {
                    next.extend(ARROWS.iter().filter(|(n, ..)| *n == used).flat_map(|(_, _, u)| u.iter()));
                }
            }
        }
    }
}
