//! Whether a function reaches the world outside. Pure.

use sandbox::Refused;
use types::VersionSpec;

/// What `PublicNetConfig` says; a function that does not say has it (contract, CreateFunction).
pub(crate) fn has_public_network(spec: &VersionSpec) -> bool {
    let status = spec.carried.get("PublicNetConfig").and_then(|config| config.get("PublicNetStatus")?.as_str());
    status != Some("DISABLE")
}

/// The line of a function's log for what was refused to it.
pub(crate) fn refusal(refused: &Refused) -> String {
    format!("egress to {refused} was refused: it is not on the function's list (sampan deploy --egress)")
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
