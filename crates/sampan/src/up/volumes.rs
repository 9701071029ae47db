//! Administration of volumes by signed requests, and the API's check of mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use store::{FunctionQuery, Store};
use types::admin::volumes::{ACTION, Answer, Command, PATH, Usage, Volume};
use types::{Mount, VolumeName};
use volumes::{Error, Kind, VolumeSettings, Volumes};

use super::administration::Administer;
use super::signed::{Refused, Signed};
use crate::failure::{Exit, Failure};

/// State of the endpoint.
pub struct Administration {
    pub volumes: Volumes,
    pub store: Store,
    pub signed: Signed,
    pub memory: Arc<Memory>,
}

/// Memory of the installation, shared by instances and tmpfs volumes.
pub struct Memory {
    /// Total memory (`[pool] memory_mb_max`), in MB.
    pub all_mb: u64,
    /// Part of it that the pool must not give to instances.
    pub set_aside: pool::SetAside,
}

impl Memory {
    /// Subtracts the sizes of tmpfs volumes from the instances' memory.
    pub fn count(&self, volumes: &Volumes) -> anyhow::Result<()> {
        let taken_mb = volumes.memory_mb();
        self.set_aside.set(taken_mb);
        if taken_mb < self.all_mb {
            return Ok(());
        }
        let message = format!(
            "volumes of kind tmpfs have {taken_mb} MB of the {} MB of [pool] memory_mb_max, which leaves none for \
             functions",
            self.all_mb
        );
        Err(Failure::new(Exit::Usage, message, "Lower [volumes.NAME] size_mb, or raise [pool] memory_mb_max.").into())
    }

    /// Rejects a new tmpfs volume if all of them would exceed half of the total memory.
    fn check(&self, volumes: &Volumes, settings: &VolumeSettings) -> Result<(), Refused> {
        let wanted_mb = settings.size_mb.unwrap_or_default();
        let taken_mb = volumes.memory_mb().saturating_add(wanted_mb);
        if settings.kind != Kind::Tmpfs || taken_mb <= self.all_mb / 2 {
            return Ok(());
        }
        let message = format!(
            "volumes of kind tmpfs would have {taken_mb} MB of the {} MB of [pool] memory_mb_max, of which they get \
             half at most; take a smaller size, or raise it",
            self.all_mb
        );
        Err((StatusCode::BAD_REQUEST, message))
    }
}

/// Functions that mount a volume in some version, by volume.
type Users = BTreeMap<VolumeName, BTreeSet<String>>;

impl Administer for Administration {
    const PATH: &'static str = PATH;
    type Answer = Answer;

    fn refusal(status: u16, message: String) -> Answer {
        Answer::Refused { status, message }
    }

    async fn answer(&self, parts: &Parts, body: Body) -> Result<Answer, Refused> {
        match self.signed.command(parts, body, ACTION).await? {
            Command::List {} => Ok(Answer::Volumes(self.list().await?)),
            Command::Create { name, settings } => self.create(name, settings).await,
            Command::Delete { name } => self.delete(name).await,
            Command::Grow { name, size_mb } => {
                let now = self.blocking(move |volumes| volumes.grow(&name, size_mb)).await?;
                Ok(Answer::Grown { now })
            }
            Command::Usage { name } => {
                let usage = self.blocking(move |volumes| volumes.usage(&name)).await?;
                let volumes::Usage { bytes, files, size_bytes, free_bytes, cut_short } = usage;
                Ok(Answer::Usage(Usage { bytes, files, size_bytes, free_bytes, cut_short }))
            }
        }
    }
}

impl Administration {
    async fn list(&self) -> Result<Vec<Volume>, Refused> {
        let users = self.users().await.map_err(fault)?;
        let volumes = self.blocking(|volumes| Ok(volumes.list())).await?;
        Ok(volumes.into_iter().map(|volume| shown(volume, &users)).collect())
    }

    async fn create(&self, name: VolumeName, settings: serde_json::Value) -> Result<Answer, Refused> {
        let settings: VolumeSettings =
            serde_json::from_value(settings).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        self.memory.check(&self.volumes, &settings)?;
        let made = name.clone();
        self.blocking(move |volumes| volumes.create(&made, settings)).await?;
        self.memory.set_aside.set(self.volumes.memory_mb());
        let found = self.list().await?.into_iter().find(|volume| volume.name == name);
        found.map(Answer::Created).ok_or_else(|| fault(anyhow::anyhow!("the volume {name} was deleted meanwhile")))
    }

    async fn delete(&self, name: VolumeName) -> Result<Answer, Refused> {
        // Hide the volume before the check, so that no new version can mount it.
        let deletion = self.volumes.begin_delete(&name).map_err(|error| refused(&error))?;
        let users = self.users().await.map_err(fault)?.remove(&name).unwrap_or_default();
        if !users.is_empty() {
            let users = users.into_iter().collect::<Vec<_>>().join(", ");
            let message = format!(
                "versions of {users} mount the volume {name}; deploy them without it, and delete their published \
                 versions that have it"
            );
            return Err((StatusCode::CONFLICT, message));
        }
        let kept = deletion.kept().map(|path| path.display().to_string());
        tokio::task::spawn_blocking(move || deletion.finish())
            .await
            .map_err(|error| fault(error.into()))?
            .map_err(|error| refused(&error))?;
        self.memory.set_aside.set(self.volumes.memory_mb());
        Ok(Answer::Deleted { kept })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volumes) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        let volumes = self.volumes.clone();
        let done = tokio::task::spawn_blocking(move || work(&volumes)).await;
        done.map_err(|error| fault(error.into()))?.map_err(|error| refused(&error))
    }

    /// Reads the functions that mount each volume, in desired and serving versions.
    async fn users(&self) -> anyhow::Result<Users> {
        let mut users = Users::new();
        for namespace in self.store.namespaces().await.context("cannot list namespaces")? {
            let functions = self.store.functions(&FunctionQuery::all(namespace.name)).await;
            for listed in functions.context("cannot list functions")?.functions {
                let function = match self.store.function(&listed.record.key).await {
                    Ok(function) => function,
                    // Deleted meanwhile.
                    Err(store::Error::FunctionNotFound { .. }) => continue,
                    Err(error) => return Err(error).context("cannot read a function"),
                };
                for version in &function.versions {
                    let served = version.serving.iter().flat_map(|serving| &serving.spec.extras.mounts);
                    for mount in version.desired.extras.mounts.iter().chain(served) {
                        users.entry(mount.volume.clone()).or_default().insert(function.record.key.to_string());
                    }
                }
            }
        }
        Ok(users)
    }
}

fn shown(volume: volumes::Volume, users: &Users) -> Volume {
    Volume {
        mounted_by: users.get(&volume.name).into_iter().flatten().cloned().collect(),
        name: volume.name,
        kind: volume.settings.kind.as_str().to_owned(),
        path: volume.path.map(|path| path.display().to_string()),
        size_mb: volume.settings.size_mb,
        squash: volume.settings.squash,
        read_only: volume.settings.read_only,
        origin: if volume.made { "command" } else { "settings" }.to_owned(),
        problem: volume.problem,
    }
}

fn refused(error: &Error) -> Refused {
    let status = match error {
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::Exists { .. } | Error::OfSettings { .. } | Error::Changing { .. } => StatusCode::CONFLICT,
        Error::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, error.report())
}

fn fault(error: anyhow::Error) -> Refused {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

/// Checks mounts for the API.
pub struct Checked(pub Volumes);

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checked").finish_non_exhaustive()
    }
}

impl api::CheckMount for Checked {
    fn check(&self, mount: &Mount) -> Result<(), String> {
        self.0.check(mount).map_err(|error| error.report())
    }
}
