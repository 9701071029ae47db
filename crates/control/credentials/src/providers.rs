//! Implements `registry_client::Credentials`: asks the providers of credentials in their order.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use registry_client::{Credential, CredentialError, CredentialRequest, Credentials, Grant, HostConfig};

use crate::Registries;
use crate::registries::Inner;
use crate::sealed_store::{Login, TcrLogin};

impl Credentials for Registries {
    fn for_registry(&self, request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        let inner = self.inner.clone();
        async move { inner.find(request).await }.boxed()
    }

    fn host_config(&self, registry: &str) -> HostConfig {
        self.inner.host_config(registry)
    }
}

impl Inner {
    async fn find(&self, request: CredentialRequest) -> Result<Grant, CredentialError> {
        match self.login(&request.registry) {
            Some(Login::Password { username, password }) => {
                let credential = Credential::Basic { user: username, password: password.reveal().to_owned() };
                return Ok(Grant::lasting("the login that was added with `sampan registry add`", credential));
            }
            Some(Login::Tcr(login)) => {
                same_registry(&request, &login)?;
                return self.tcr.find(&login, request.renew).await;
            }
            None => {}
        }
        if let Some(grant) = self.plugins.find(&request).await? {
            return Ok(grant);
        }
        let grant = self.docker.for_registry(request.clone()).await?;
        match &request.registry_id {
            Some(id) if grant.credential.is_none() => Err(no_key_pair(&request.registry, id)),
            _ => Ok(grant),
        }
    }
}

/// Refuses a function's `RegistryId` that differs from the one of the key pair stored for the host.
fn same_registry(request: &CredentialRequest, login: &TcrLogin) -> Result<(), CredentialError> {
    let (host, stored) = (&request.registry, &login.registry_id);
    match &request.registry_id {
        Some(id) if id != stored => Err(CredentialError::new(format!(
            "the function names registry {id}, but {host} was added as {stored}; correct the function's RegistryId, or \
             add the registry again with `sampan registry add {host} --tcr {id}`"
        ))),
        _ => Ok(()),
    }
}

fn no_key_pair(host: &str, id: &str) -> CredentialError {
    CredentialError::new(format!(
        "there is no key pair for the enterprise registry {id}; add it with `sampan registry add {host} --tcr {id} \
         --tcr-secret-id ID --tcr-secret-key-stdin`"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use registry_client::DockerConfig;

    use super::*;
    use crate::{Config, KeyFile, RegistrySettings, Secret};
    use types::admin::registries::{Addition, NewLogin};

    fn open(dir: &std::path::Path, settings: &[(&str, RegistrySettings)]) -> Registries {
        let settings: BTreeMap<_, _> = settings.iter().map(|(host, s)| ((*host).to_owned(), s.clone())).collect();
        Registries::open(dir, &KeyFile::Made, &settings, Config::default(), None).expect("opened")
    }

    fn request(registry: &str, registry_id: Option<&str>) -> CredentialRequest {
        let registry_id = registry_id.map(str::to_owned);
        CredentialRequest { registry: registry.to_owned(), repository: "app".into(), registry_id, renew: false }
    }

    fn password(host: &str, password: &str) -> Addition {
        let login = NewLogin::Password { username: "u".into(), password: Secret::new(password.into()) };
        Addition { login: Some(login), ..Addition::of(host) }
    }

    #[tokio::test]
    async fn an_added_login_is_effective_at_once_and_after_a_restart_until_it_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let registries = open(dir.path(), &[]);
        registries.add(password("https://r.io/", "first")).await.expect("added");
        registries.add(Addition { mirrors: vec!["https://m.io".into()], ..Addition::of("r.io") }).await.expect("more");
        for registries in [registries.clone(), open(dir.path(), &[])] {
            let grant = registries.for_registry(request("r.io", None)).await.expect("found");
            assert_eq!(grant.credential, Some(Credential::Basic { user: "u".into(), password: "first".into() }));
            assert_eq!(registries.host_config("r.io").mirrors.len(), 1);
        }
        registries.remove("r.io").await.expect("removed");
        assert!(registries.list().is_empty());
        let error = registries.remove("r.io").await.expect_err("gone").to_string();
        assert!(error.contains("r.io") && error.contains("registry list"), "{error}");
        assert!(open(dir.path(), &[]).list().is_empty());
    }

    #[tokio::test]
    async fn an_added_entry_overrides_the_configuration_setting_by_setting() {
        let dir = tempfile::tempdir().expect("a folder");
        let settings =
            RegistrySettings { mirrors: vec!["https://a.io".into()], plain_http: Some(true), ..Default::default() };
        let registries = open(dir.path(), &[("r.io", settings)]);
        assert_eq!(registries.host_config("r.io").plain_http, Some(true));
        registries.add(Addition { mirrors: vec!["https://b.io".into()], ..Addition::of("r.io") }).await.expect("added");
        let host_config = registries.host_config("r.io");
        assert_eq!((host_config.mirrors[0].to_string().as_str(), host_config.plain_http), ("https://b.io", Some(true)));
        assert_eq!(registries.host_config("other.io"), HostConfig::default());
    }

    #[tokio::test]
    async fn an_enterprise_image_needs_the_key_pair_of_its_own_registry() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut registries = open(dir.path(), &[]);
        let inner = std::sync::Arc::get_mut(&mut registries.inner).expect("only one");
        inner.docker = DockerConfig::new(dir.path().join("none"), std::time::Duration::from_secs(1));
        let missing = registries.for_registry(request("t.io", Some("tcr-1"))).await.expect_err("no key pair");
        assert!(missing.message.contains("sampan registry add t.io --tcr tcr-1"), "{missing}");
        let login = NewLogin::Tcr {
            registry_id: "tcr-2".into(),
            secret_id: "id".into(),
            secret_key: Secret::new("key".into()),
            region: None,
            endpoint: None,
        };
        registries.add(Addition { login: Some(login), ..Addition::of("t.io") }).await.expect("added");
        let other = registries.for_registry(request("t.io", Some("tcr-1"))).await.expect_err("another one");
        assert!(other.message.contains("tcr-1") && other.message.contains("tcr-2"), "{other}");
        assert_eq!(registries.for_registry(request("p.io", None)).await, Ok(Grant::anonymous()));
    }

    #[tokio::test]
    async fn an_invalid_addition_is_refused_with_the_name_of_the_setting() {
        let dir = tempfile::tempdir().expect("a folder");
        let registries = open(dir.path(), &[]);
        let tcr = |registry_id: &str, endpoint: &str| NewLogin::Tcr {
            registry_id: registry_id.into(),
            secret_id: "id".into(),
            secret_key: Secret::new("key".into()),
            region: None,
            endpoint: Some(endpoint.into()),
        };
        let with_login = |login| Addition { login: Some(login), ..Addition::of("r.io") };
        for (addition, word) in [
            (Addition::of("r.io/team"), "host"),
            (Addition { mirrors: vec!["m.io".into()], ..Addition::of("r.io") }, "mirror"),
            (Addition { mirrors: vec!["https://m.io".into(); 17], ..Addition::of("r.io") }, "mirrors_max"),
            (Addition { ca_pem: Some("no PEM".into()), ..Addition::of("r.io") }, "PEM"),
            (password("r.io", ""), "password"),
            (password("r.io", "two\nlines"), "password"),
            (with_login(tcr("ecr-1", "https://t.io")), "tcr-"),
            (with_login(tcr("tcr-1", "http://t.io")), "endpoint"),
        ] {
            let error = registries.add(addition).await.expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(registries.list().is_empty());
    }
}
