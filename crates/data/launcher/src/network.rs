//! Whether a function reaches the world outside. Pure.

use types::VersionSpec;

/// What `PublicNetConfig` says; a function that does not say has it (contract, CreateFunction).
pub(crate) fn has_public_network(spec: &VersionSpec) -> bool {
    let status = spec.carried.get("PublicNetConfig").and_then(|config| config.get("PublicNetStatus")?.as_str());
    status != Some("DISABLE")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_switched_off_is_off() {
        let mut spec = crate::testing::version().spec;
        assert!(has_public_network(&spec));
        for (config, want) in [
            (json!({"PublicNetStatus": "DISABLE"}), false),
            (json!({"PublicNetStatus": "ENABLE"}), true),
            (json!({"EipConfig": {"EipStatus": "DISABLE"}}), true),
        ] {
            spec.carried.insert("PublicNetConfig".to_owned(), config.clone());
            assert_eq!(has_public_network(&spec), want, "{config}");
        }
    }
}
