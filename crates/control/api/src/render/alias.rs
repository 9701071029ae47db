//! Aliases in answers (contract 3).

use serde::Serialize;
use types::AliasRecord;
use types::alias::{Additional, HeaderValue, When};

use crate::validate::aliases::{KEY_PREFIX, RoutingConfig, VersionMatch, VersionWeight};
use types::UtcOffset;

/// `Alias`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Alias {
    pub name: String,
    pub function_version: String,
    pub routing_config: RoutingConfig,
    pub description: String,
    pub add_time: String,
    pub mod_time: String,
}

/// An alias.
pub(crate) fn shown(alias: &AliasRecord, offset: UtcOffset) -> Alias {
    Alias {
        name: alias.name.clone(),
        function_version: alias.route.version.to_string(),
        routing_config: routing_config(alias.route.additional.as_ref()),
        description: alias.description.clone(),
        add_time: offset.format(alias.added_ms),
        mod_time: offset.format(alias.modified_ms),
    }
}

/// Both lists are present even if empty.
fn routing_config(additional: Option<&Additional>) -> RoutingConfig {
    let mut config =
        RoutingConfig { additional_version_weights: Some(Vec::new()), addtion_version_matchs: Some(Vec::new()) };
    let Some(Additional { version, when }) = additional else { return config };
    let version = Some(version.to_string());
    match when {
        When::Weight(weight) => {
            config.additional_version_weights = Some(vec![VersionWeight { version, weight: Some(weight.fraction()) }]);
        }
        When::Header { name, value } => {
            let (method, expression) = match value {
                HeaderValue::Exact(text) => ("exact", text.clone()),
                HeaderValue::Range { min, max } => ("range", format!("[{min},{max}]")),
            };
            config.addtion_version_matchs = Some(vec![VersionMatch {
                version,
                key: Some(format!("{KEY_PREFIX}{name}")),
                method: Some(method.to_owned()),
                expression: Some(expression),
            }]);
        }
    }
    config
}
