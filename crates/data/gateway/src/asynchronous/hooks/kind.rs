//! The kinds of triggers that receive requests.

use std::sync::Arc;

use formats::hook::{CloudEvents, Objects, Received, Rejection, Request, Webhook, bucket_of};
use formats::object::{self, Envelope, Origin};
use serde_json::Value;
use types::{CatalogFunction, Installation, Qualifier, Trigger};

use super::error::HookError;

/// `Type` of object events.
pub const COS: &str = "cos";
/// Characters of a name that a response quotes.
const NAME_CHARS_QUOTED: usize = 100;
/// All of them.
const KINDS: [&str; 3] = ["webhook", "cloudevents", COS];

/// A parsed trigger.
pub enum Hook {
    Webhook(Webhook),
    CloudEvents(CloudEvents),
    Objects(Objects),
}

/// The trigger of a function that a request names, with or without a version or alias.
pub fn find(function: &CatalogFunction, qualifier: Option<&Qualifier>, name: &str) -> Result<Arc<Trigger>, HookError> {
    let fits = |trigger: &&Arc<Trigger>| {
        trigger.name == name
            && KINDS.contains(&trigger.kind.as_str())
            && qualifier.is_none_or(|qualifier| trigger.qualifier == *qualifier)
    };
    let mut found = function.triggers.iter().filter(fits);
    let name = || name.chars().take(NAME_CHARS_QUOTED).collect();
    match (found.next(), found.next()) {
        (Some(trigger), None) => Ok(Arc::clone(trigger)),
        (None, _) => Err(HookError::NotFound(name())),
        (Some(_), Some(_)) => Err(HookError::Ambiguous(name())),
    }
}

impl Hook {
    /// Parses a stored trigger.
    pub fn of(trigger: &Trigger, installation: &Installation) -> Result<Self, HookError> {
        let text = Value::Object(trigger.desc.clone()).to_string();
        let hook = match trigger.kind.as_str() {
            "webhook" => Webhook::parse(&text).map(Self::Webhook),
            "cloudevents" => CloudEvents::parse(&text).map(Self::CloudEvents),
            _ => Objects::parse(&text, &bucket_of(&trigger.name, &installation.app_id)).map(Self::Objects),
        };
        match hook {
            Ok(Self::Objects(objects)) if objects.poll.is_some() => Err(HookError::Polled),
            Ok(hook) => Ok(hook),
            Err(error) => {
                tracing::error!(trigger = trigger.id.as_str(), %error, "cannot read a trigger");
                Err(HookError::Unreadable)
            }
        }
    }

    /// Whether its senders authenticate.
    pub fn has_proof(&self) -> bool {
        match self {
            Self::Webhook(_) | Self::Objects(_) => true,
            Self::CloudEvents(hook) => hook.has_proof(),
        }
    }

    /// The SNS envelope of a request, which has a signature of its own, where it is a message of
    /// SNS.
    pub fn envelope(&self, body: &[u8]) -> Result<Option<Envelope>, HookError> {
        match self {
            Self::Objects(_) => object::envelope(body).map_err(|error| Rejection::from(error).into()),
            Self::Webhook(_) | Self::CloudEvents(_) => Ok(None),
        }
    }

    /// Converts a request to events.
    pub fn receive(
        &self,
        request: Request<'_>,
        installation: &Installation,
        trigger: &Trigger,
        queue: &str,
    ) -> Result<Received, HookError> {
        let received: Result<Received, Rejection> = match self {
            Self::Webhook(hook) => hook.receive(request),
            Self::CloudEvents(hook) => hook.receive(request),
            Self::Objects(hook) => {
                let Installation { region, app_id, .. } = installation;
                hook.receive(request, Origin { app_id, region, notification_id: &trigger.name, queue, endpoint: "" })
            }
        };
        Ok(received?)
    }
}
