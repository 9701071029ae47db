//! Opens the data directory's parts: store, logs, credentials, secrets, images and registry.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;

use super::Installation;
use crate::settings;
use crate::up::data_dir;
use crate::up::own_names::OwnNames;
use crate::up::registries::InstallationCredentials;

/// Parts that hold persistent data.
pub struct Storage {
    pub store: store::Store,
    pub logs: logs::Logs,
    pub own_names: OwnNames,
    pub credentials: Arc<InstallationCredentials>,
    pub secrets: secrets::Secrets,
    pub images: image::Images,
    pub registry: registry::Registry,
}

impl Storage {
    /// Opens all parts; `last_endpoint` is the URL of the control address at the last start.
    pub async fn open(
        of: &Installation,
        control_addr: SocketAddr,
        last_endpoint: Option<&str>,
    ) -> anyhow::Result<Self> {
        let (settings, dir) = (&of.settings, &of.settings.data_dir);
        let store = store::Store::open(&dir.join(data_dir::DATABASE), settings.store.clone())
            .await
            .context("cannot open the store")?;
        let logs = logs::Logs::open(&dir.join("logs"), settings.logs.clone()).await.context("cannot open the logs")?;
        let own_names = OwnNames::open(&dir.join("registry"), control_addr, last_endpoint)?;
        let (credentials, secrets) = sealed(of, &store, &own_names)?;
        let images = image::Images::open(&dir.join("images"), settings.image.clone(), credentials.clone())
            .await
            .context("cannot open the image store")?;
        let registry = registry(of, &images).await?;
        credentials.set_own(registry.clone());
        Ok(Self { store, logs, own_names, credentials, secrets, images, registry })
    }
}

/// Opens the stores sealed with the installation's key.
fn sealed(
    of: &Installation,
    store: &store::Store,
    own_names: &OwnNames,
) -> anyhow::Result<(Arc<InstallationCredentials>, secrets::Secrets)> {
    let (settings, dir) = (&of.settings, &of.settings.data_dir);
    let database = dir.join(data_dir::DATABASE);
    let has_secrets = (!store.catalog().load().secrets.is_empty()).then_some(database.as_path());
    let key = settings::secrets_key(settings)?;
    let (names, config) = (own_names.clone(), settings.credentials.clone());
    let credentials = InstallationCredentials::open(dir, names, &settings.registries, config, (&key, has_secrets))?;
    let secrets = secrets::Secrets::open(store.clone(), credentials.sealer(), &database, settings.secrets.clone())
        .context("cannot open the secrets")?;
    Ok((Arc::new(credentials), secrets))
}

/// Opens the registry; pushed layers are indexed on arrival.
async fn registry(of: &Installation, images: &image::Images) -> anyhow::Result<registry::Registry> {
    let keys = registry::Credentials { secret_id: of.pair.secret_id.clone(), secret_key: of.pair.secret_key.clone() };
    let indexing = images.clone();
    let push_events: registry::PushListener = Arc::new(move |event| match event {
        registry::PushEvent::Blob { digest } => indexing.index_ahead(digest),
        registry::PushEvent::Manifest { .. } => {}
    });
    let (content, dir) = (images.content().clone(), of.settings.data_dir.join("registry"));
    registry::Registry::open(content, &dir, keys, of.settings.registry.clone(), push_events)
        .await
        .context("cannot open the registry")
}
