//! Administration of secrets by signed requests, and secret values for instance starts.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use launcher::{SecretReader, SecretValues};
use secrets::{Error, Reader, Secrets};
use store::SecretUser;
use types::admin::secrets::{ACTION, Answer, Command, Listed, ListedVersion, PATH};
use types::{
    CatalogVersion, Namespace, Secret, SecretBytes, SecretKey, SecretName, SecretRecord, SecretRef, SecretUse,
    secret_use,
};

use super::administration::Administer;
use super::signed::{Refused, Signed};

/// Most audit log lines in one answer.
const AUDIT_LINES_MAX: usize = 10_000;

/// State of the endpoint.
pub struct Administration {
    pub secrets: Secrets,
    pub invoker: invoke::Invoker,
    pub signed: Signed,
}

impl Administer for Administration {
    const PATH: &'static str = PATH;
    type Answer = Answer;

    fn refusal(status: u16, message: String) -> Answer {
        Answer::Refused { status, message }
    }

    async fn answer(&self, parts: &Parts, body: Body) -> Result<Answer, Refused> {
        let body = self.signed.body(parts, body, ACTION).await?;
        // The parser's message could contain a value.
        let unreadable = |error: serde_json::Error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            (StatusCode::BAD_REQUEST, format!("the body is not a command of this version of sampan ({place})"))
        };
        match serde_json::from_slice(&body).map_err(unreadable)? {
            Command::Set { namespace, name, value } => self.set(SecretKey { namespace, name }, value).await,
            Command::List { namespace } => self.list(namespace.as_ref()).await,
            Command::Versions { namespace, name } => self.versions(namespace, name).await,
            Command::Delete { namespace, name, version } => {
                let key = SecretKey { namespace, name };
                let by = &self.signed.secrets.secret_id;
                self.secrets.delete(key, version, by).await.map_err(|error| refused(&error))?;
                Ok(Answer::Deleted {})
            }
            Command::Audit { namespace, name, limit } => {
                let found = self.secrets.audit(namespace, name, limit.min(AUDIT_LINES_MAX)).await;
                found.map(Answer::Audit).map_err(|error| refused(&error))
            }
        }
    }
}

impl Administration {
    async fn set(&self, key: SecretKey, value: Secret) -> Result<Answer, Refused> {
        let no_base64 = |_| (StatusCode::BAD_REQUEST, "the value is not Base64".to_owned());
        let value = SecretBytes::new(STANDARD.decode(value.reveal()).map_err(no_base64)?);
        let version = self
            .secrets
            .set(key.clone(), value, &self.signed.secrets.secret_id)
            .await
            .map_err(|error| refused(&error))?;
        // Later starts get the new value; instances with the old one are replaced.
        let restarted = self.invoker.restart(|catalog_version| follows(catalog_version, &key));
        Ok(Answer::Set { version, restarted })
    }

    async fn list(&self, namespace: Option<&Namespace>) -> Result<Answer, Refused> {
        let users = self.secrets.users().await.map_err(|error| refused(&error))?;
        let listed = self.secrets.records(namespace).into_iter().filter_map(|record| listed(&record, &users));
        Ok(Answer::Secrets(listed.collect()))
    }

    async fn versions(&self, namespace: Namespace, name: SecretName) -> Result<Answer, Refused> {
        let records = self.secrets.records(Some(&namespace));
        let record = records.into_iter().find(|record| record.key.name == name).ok_or_else(|| {
            refused(&Error::Store(store::Error::Secret(store::SecretError::NotFound {
                key: SecretKey { namespace, name },
            })))
        })?;
        let users = self.secrets.users().await.map_err(|error| refused(&error))?;
        let newest = record.version(None).map(|version| version.number);
        let versions = record.versions.iter().map(|version| {
            let has = |user: &&SecretUser| {
                user.has(&record.key) && user.uses.secret.version.or(newest) == Some(version.number)
            };
            let used_by: BTreeSet<String> =
                users.iter().filter(has).map(|user| format!("{}:{}", user.function, user.version)).collect();
            ListedVersion {
                version: version.number,
                bytes: version.bytes,
                set_ms: version.added_ms,
                used_by: used_by.into_iter().collect(),
            }
        });
        Ok(Answer::Versions(versions.collect()))
    }
}

/// Whether a version uses the newest version of a secret.
fn follows(version: &CatalogVersion, key: &SecretKey) -> bool {
    let uses = |uses: SecretUse| uses.secret.name == key.name && uses.secret.version.is_none();
    version.function.key.namespace == key.namespace && secret_use::of_version(&version.spec).any(uses)
}

fn listed(record: &SecretRecord, users: &[SecretUser]) -> Option<Listed> {
    let newest = record.version(None)?;
    let used_by = users.iter().filter(|user| user.has(&record.key)).map(|user| user.function.to_string());
    Some(Listed {
        namespace: record.key.namespace.clone(),
        name: record.key.name.clone(),
        newest: newest.number,
        versions: record.versions.len(),
        set_ms: newest.added_ms,
        used_by: used_by.collect::<BTreeSet<_>>().into_iter().collect(),
    })
}

fn refused(error: &Error) -> Refused {
    use store::{Error as Stored, SecretError};
    let status = match error {
        Error::Empty { .. } | Error::TooLong { .. } => StatusCode::BAD_REQUEST,
        Error::Store(Stored::NamespaceNotFound { .. }) => StatusCode::NOT_FOUND,
        Error::Store(Stored::Secret(refused)) => match refused {
            SecretError::NotText { .. } | SecretError::TooMany { .. } | SecretError::TooLarge { .. } => {
                StatusCode::BAD_REQUEST
            }
            SecretError::InUse { .. } | SecretError::VersionsPinned { .. } => StatusCode::CONFLICT,
            SecretError::NotFound { .. } | SecretError::VersionNotFound { .. } => StatusCode::NOT_FOUND,
        },
        error => {
            tracing::error!(error = error as &dyn std::error::Error, "cannot administer secrets");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, error.to_string())
}

/// Logs a warning if files with secrets may be written to swap.
pub fn warn_of_swap() {
    // The first line is a header (proc(5)).
    let has_swap = std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1);
    if has_swap && !sandbox::is_never_swapped() {
        tracing::warn!("files with secrets may be swapped: this kernel has no tmpfs without swap (Linux 6.4)");
    }
}

/// Secret values for instance starts.
pub struct Values(pub Secrets);

impl SecretValues for Values {
    fn value(&self, reader: SecretReader<'_>, secret: &SecretRef) -> Result<SecretBytes, String> {
        let SecretReader { version, instance } = reader;
        let reader = Reader { function: &version.function.key, version: version.key.version, instance };
        self.0.value(reader, secret).map_err(|error| error.to_string())
    }
}
