//! The entry of a registry, split into a readable part and a secret. Pure.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// Settings added for a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Mirrors in order; `None` uses the configuration file's.
    pub mirrors: Option<Vec<String>>,
    /// PEM of certificate authorities.
    pub ca_pem: Option<String>,
    pub plain_http: Option<bool>,
    pub login: Option<Login>,
}

/// Login of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Password { username: String, password: Secret },
    Tcr(TcrLogin),
}

/// Key pair that is exchanged for temporary credentials of an enterprise registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TcrLogin {
    /// `tcr-…`.
    pub registry_id: String,
    pub secret_id: String,
    pub secret_key: Secret,
    /// `None` for the configured default.
    pub region: Option<String>,
    /// `None` for the configured default.
    pub endpoint: Option<String>,
}

/// The part stored in clear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Open {
    #[serde(skip_serializing_if = "Option::is_none")]
    mirrors: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plain_http: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<OpenLogin>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OpenLogin {
    Password {
        username: String,
    },
    Tcr {
        registry_id: String,
        secret_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
}

impl Entry {
    /// Splits the entry into its readable part and its secret.
    pub(super) fn split(&self) -> (Open, Option<&Secret>) {
        let (login, secret) = match &self.login {
            None => (None, None),
            Some(Login::Password { username, password }) => {
                (Some(OpenLogin::Password { username: username.clone() }), Some(password))
            }
            Some(Login::Tcr(tcr)) => {
                let open = OpenLogin::Tcr {
                    registry_id: tcr.registry_id.clone(),
                    secret_id: tcr.secret_id.clone(),
                    region: tcr.region.clone(),
                    endpoint: tcr.endpoint.clone(),
                };
                (Some(open), Some(&tcr.secret_key))
            }
        };
        let Self { mirrors, ca_pem, plain_http, .. } = self.clone();
        (Open { mirrors, ca_pem, plain_http, login }, secret)
    }
}

impl Open {
    /// Joins both parts; `None` unless both or neither are there.
    pub(super) fn join(self, secret: Option<Secret>) -> Option<Entry> {
        let login = match (self.login, secret) {
            (None, None) => None,
            (Some(OpenLogin::Password { username }), Some(password)) => Some(Login::Password { username, password }),
            (Some(OpenLogin::Tcr { registry_id, secret_id, region, endpoint }), Some(secret_key)) => {
                Some(Login::Tcr(TcrLogin { registry_id, secret_id, secret_key, region, endpoint }))
            }
            _ => return None,
        };
        Some(Entry { mirrors: self.mirrors, ca_pem: self.ca_pem, plain_http: self.plain_http, login })
    }

    /// The associated data of the seal: the host and the readable part.
    pub(super) fn bound_to(&self, host: &str) -> Vec<u8> {
        let open = serde_json::to_string(self).expect("texts and lists of texts are JSON");
        format!("sampan registry 1\n{host}\n{open}").into_bytes()
    }
}
