//! Whether a function reaches the world outside. Pure.

use sandbox::Refused;
use types::{Egress, VersionSpec};

/// Whether its instances have a link: one without public network has one for the sake of the
/// machine's ports alone.
pub(crate) fn is_linked(spec: &VersionSpec) -> bool {
    has_public_network(spec) || !spec.extras.host_ports.is_empty()
}

/// The list of what they may reach by it, if there is one.
pub(crate) fn egress(spec: &VersionSpec) -> Option<Egress> {
    if has_public_network(spec) { spec.extras.egress.clone() } else { Some(Egress::nothing()) }
}

/// What `PublicNetConfig` says; a function that does not say has it (contract, CreateFunction).
fn has_public_network(spec: &VersionSpec) -> bool {
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
