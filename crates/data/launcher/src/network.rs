//! Network access of a function. Pure.

use sandbox::{GATEWAY_NAME, Refused};
use types::{Egress, VersionSpec};

/// Whether its instances have a link: one without public network has a link only for ports of the
/// machine, or for the gateway.
pub(crate) fn is_linked(spec: &VersionSpec) -> bool {
    has_public_network(spec) || !spec.extras.host_ports.is_empty() || !gateway_ports(spec).is_empty()
}

/// First and last of the ports by which they reach the gateway: all of them with public network and
/// without an egress list.
pub(crate) fn gateway_ports(spec: &VersionSpec) -> Vec<(u16, u16)> {
    match &spec.extras.egress {
        Some(list) => list.ports_of_name(GATEWAY_NAME),
        None if has_public_network(spec) => vec![(1, u16::MAX)],
        None => Vec::new(),
    }
}

/// The egress list, if there is one; an empty list without public network.
pub(crate) fn egress(spec: &VersionSpec) -> Option<Egress> {
    if has_public_network(spec) { spec.extras.egress.clone() } else { Some(Egress::nothing()) }
}

/// The setting `PublicNetConfig`; enabled by default (contract, CreateFunction).
fn has_public_network(spec: &VersionSpec) -> bool {
    let status = spec.carried.get("PublicNetConfig").and_then(|config| config.get("PublicNetStatus")?.as_str());
    status != Some("DISABLE")
}

/// The line in a function's log for a refused connection.
pub(crate) fn refusal(refused: &Refused) -> String {
    format!("egress to {refused} was refused: it is not on the function's list (sampan deploy --egress)")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_gateway_is_reached_unless_a_list_leaves_it_out_or_the_network_is_off() {
        for (list, public, linked, want) in [
            (None, true, true, vec![(1, u16::MAX)]),
            (None, false, false, vec![]),
            (Some("none"), true, true, vec![]),
            (Some("10.0.0.0/8,*.example.com"), true, true, vec![]),
            (Some("gateway.sampan.internal"), true, true, vec![(1, u16::MAX)]),
            (
                Some("10.0.0.0/8,Gateway.sampan.internal:80,*.sampan.internal:443"),
                false,
                true,
                vec![(80, 80), (443, 443)],
            ),
        ] {
            let mut spec = crate::testing::version().spec;
            let entries = list.map(|list: &str| list.split(',').collect::<Vec<_>>());
            spec.extras.egress = entries.map(|entries| Egress::parse(&entries).expect("a list"));
            if !public {
                spec.carried.insert("PublicNetConfig".to_owned(), json!({"PublicNetStatus": "DISABLE"}));
            }
            assert_eq!((gateway_ports(&spec), is_linked(&spec)), (want, linked), "{list:?} {public}");
        }
    }

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
