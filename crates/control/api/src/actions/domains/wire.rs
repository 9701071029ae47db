//! Request and answer types of the actions on custom domains. Every request field is optional, so
//! that validation can name the missing one.

use serde::{Deserialize, Serialize};
use types::CustomDomain;
use types::wire::{Filter, Tag};

use crate::validate::domains::{self, CertConf, EndpointsConf, Given, WAF, WafConf};

/// `CreateCustomDomain` and `UpdateCustomDomain`; with the name alone also `GetCustomDomain` and
/// `DeleteCustomDomain`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DomainRequest {
    pub domain: Option<String>,
    pub protocol: Option<String>,
    pub endpoints_config: Option<Vec<EndpointsConf>>,
    pub cert_config: Option<CertConf>,
    pub waf_config: Option<WafConf>,
    pub tags: Option<Vec<Tag>>,
}

impl From<DomainRequest> for Given {
    fn from(request: DomainRequest) -> Self {
        Self {
            protocol: request.protocol,
            endpoints: request.endpoints_config,
            certificate: request.cert_config,
            waf: request.waf_config,
            tags: request.tags,
        }
    }
}

/// `ListCustomDomains`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListDomainsRequest {
    pub offset: Option<i64>,
    pub limit: Option<i64>,
    pub order_by: Option<String>,
    pub order: Option<String>,
    pub filters: Option<Vec<Filter>>,
}

/// Answer of `ListCustomDomains`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListDomainsAnswer {
    /// All matches.
    pub total: usize,
    /// This page.
    pub domains: Vec<DomainInfo>,
}

/// `DomainInfo`; also the answer of `GetCustomDomain`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DomainInfo {
    pub domain: String,
    pub protocol: &'static str,
    pub endpoints_config: Vec<EndpointsConf>,
    pub cert_config: CertConf,
    pub waf_config: serde_json::Value,
    pub tags: Vec<Tag>,
}

impl From<&CustomDomain> for DomainInfo {
    fn from(domain: &CustomDomain) -> Self {
        let unset = || serde_json::json!({ "WafOpen": "CLOSE", "WafInstanceId": "" });
        Self {
            domain: domain.domain.clone(),
            protocol: domains::protocol_word(domain.protocol),
            endpoints_config: domain.endpoints.iter().map(domains::shown).collect(),
            cert_config: CertConf { certificate_id: Some(domain.certificate.clone().unwrap_or_default()) },
            waf_config: domain.carried.get(WAF).cloned().unwrap_or_else(unset),
            tags: domain.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect(),
        }
    }
}
