//! The description of an http trigger: authentication and networks of a function's URL, and CORS.

mod cors;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use cors::Cors;

/// Authentication of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Auth {
    /// None.
    #[serde(rename = "NONE")]
    None,
    /// A key pair, which signs each request.
    #[serde(rename = "CAM")]
    Cam,
}

/// `TriggerDesc` of an http trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FunctionUrl {
    /// Authentication.
    pub auth_type: Auth,
    /// Allowed networks.
    #[serde(default)]
    pub net_config: Net,
    /// Allowed web pages; `None` leaves CORS to the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors_config: Option<Cors>,
}

/// Networks from which a URL can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Net {
    /// Private networks.
    pub enable_intranet: bool,
    /// All networks.
    pub enable_extranet: bool,
}

impl Default for Net {
    fn default() -> Self {
        Self { enable_intranet: true, enable_extranet: true }
    }
}

/// The URLs that responses add to `NetConfig`: ignored when a description from a response is
/// written back.
pub const URL_KEYS: [&str; 8] = [
    "IntranetUrl",
    "ExtranetUrl",
    "IntranetHTTPUrl",
    "ExtranetHTTPUrl",
    "WsIntranetUrl",
    "WsExtranetUrl",
    "WssIntranetUrl",
    "WssExtranetUrl",
];

/// Why a description is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not the JSON of a description.
    #[error("TriggerDesc of an http trigger: {0}")]
    Json(String),
    /// No network is allowed.
    #[error("NetConfig: EnableIntranet and EnableExtranet are both false, so that nobody could call the URL")]
    Net,
    /// A field of `CorsConfig`.
    #[error("CorsConfig.{field}: {why}")]
    Cors {
        /// The field.
        field: &'static str,
        /// The reason.
        why: String,
    },
}

impl FunctionUrl {
    /// Parses and checks a description.
    ///
    /// # Errors
    /// The first invalid part.
    pub fn parse(description: &str) -> Result<Self, Invalid> {
        let url: Self = serde_json::from_str(description).map_err(|error| Invalid::Json(error.to_string()))?;
        let Net { enable_intranet, enable_extranet } = url.net_config;
        if !enable_intranet && !enable_extranet {
            return Err(Invalid::Net);
        }
        url.cors_config.iter().try_for_each(Cors::check)?;
        Ok(url)
    }

    /// Whether a client at this address may call: without the extranet, only those of private
    /// networks.
    pub fn admits(&self, client: IpAddr) -> bool {
        self.net_config.enable_extranet || is_private(client.to_canonical())
    }

    /// The CORS settings, where the platform handles CORS.
    pub fn cors(&self) -> Option<&Cors> {
        self.cors_config.as_ref().filter(|cors| cors.enable)
    }
}

/// Whether an address is private, loopback or link-local.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(description: &str) -> String {
        FunctionUrl::parse(description).unwrap_err().to_string()
    }

    #[test]
    fn descriptions_are_checked() {
        let url = FunctionUrl::parse(r#"{"AuthType":"NONE"}"#).unwrap();
        assert_eq!((url.auth_type, url.net_config, url.cors()), (Auth::None, Net::default(), None));
        let all = [
            r#"{"AuthType":"CAM","NetConfig":{"EnableIntranet":true,"EnableExtranet":false},"#,
            r#""CorsConfig":{"Enable":true,"Origins":["https://a.example"],"Headers":["X-A"],"Methods":["GET"],"#,
            r#""ExposeHeaders":["X-B"],"MaxAge":60,"Credentials":true}}"#,
        ]
        .concat();
        let url = FunctionUrl::parse(&all).unwrap();
        assert_eq!(serde_json::to_string(&url).unwrap(), all);
        assert!(url.cors().is_some());
        let off = FunctionUrl::parse(r#"{"AuthType":"NONE","CorsConfig":{"Enable":false,"Origins":["*"]}}"#).unwrap();
        assert_eq!(off.cors(), None);
        assert!(refused("{}").contains("missing field `AuthType`"));
        assert!(refused(r#"{"AuthType":"none"}"#).contains("unknown variant `none`"));
        assert!(refused(r#"{"AuthType":"NONE","Cors":{}}"#).contains("unknown field `Cors`"));
        assert!(refused("").starts_with("TriggerDesc of an http trigger: "));
        let nobody = r#"{"AuthType":"NONE","NetConfig":{"EnableIntranet":false,"EnableExtranet":false}}"#;
        assert!(refused(nobody).contains("nobody could call"));
    }

    #[test]
    fn without_the_extranet_private_networks_alone_may_call() {
        let inside = r#"{"AuthType":"NONE","NetConfig":{"EnableIntranet":true,"EnableExtranet":false}}"#;
        let inside = FunctionUrl::parse(inside).unwrap();
        let outside = r#"{"AuthType":"NONE","NetConfig":{"EnableIntranet":false,"EnableExtranet":true}}"#;
        let outside = FunctionUrl::parse(outside).unwrap();
        for (address, private) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.31.0.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("8.8.8.8", false),
            ("::1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("fd00::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(inside.admits(address.parse().unwrap()), private, "{address}");
            assert!(outside.admits(address.parse().unwrap()), "{address}");
        }
    }
}
