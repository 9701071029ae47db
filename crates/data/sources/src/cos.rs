//! `cos`: changed objects of a bucket, from notifications of its store or from its listings.

use std::collections::BTreeSet;

use bytes::Bytes;
use events::InvokeType;
use formats::hook::{Invalid, Objects as Description, bucket_of};
use formats::object::listing::{Listed, Pass, Seen};
use formats::object::{Origin, cos_event};
use serde_json::{Map, Value};
use types::{ApiError, Installation, Trigger};

use crate::source::{Given, Occurrence, Source, invalid};
use crate::{hook, loops};

/// The kind `cos`.
pub(crate) struct Cos {
    /// Stores of the settings.
    pub(crate) connections: BTreeSet<String>,
    /// The account and region in events.
    pub(crate) installation: Installation,
}

impl Cos {
    fn objects(&self, trigger: &Trigger) -> Result<Description, ApiError> {
        let text = Value::Object(trigger.desc.clone()).to_string();
        Description::parse(&text, &bucket_of(&trigger.name, &self.installation.app_id)).map_err(invalid)
    }
}

impl Source for Cos {
    fn kind(&self) -> &'static str {
        "cos"
    }

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Cos
    }

    fn suits_web_functions(&self) -> bool {
        true
    }

    fn describe(&self, given: Given, _now_ms: i64) -> Result<Map<String, Value>, ApiError> {
        // Otherwise the bucket is that of the trigger's name, which is always valid.
        let connections = &self.connections;
        hook::checked(given, |text| {
            let Some(poll) = Description::parse(text, "bucket")?.poll else { return Ok(()) };
            match connections.contains(&poll.connection) {
                true => Ok(()),
                false => {
                    let known = connections.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let why =
                        format!("{:?} is none of [connections] in the settings; there are: {known}", poll.connection);
                    Err(Invalid::Field { field: "Poll.Connection", why })
                }
            }
        })
    }

    fn shown(&self, desc: &Map<String, Value>) -> Map<String, Value> {
        hook::shown(desc)
    }

    fn warning(&self, trigger: &Trigger, environment: &[(String, String)]) -> Option<String> {
        loops::warning(&self.objects(trigger).ok()?, environment)
    }

    fn event(&self, trigger: &Trigger, occurrence: &Occurrence) -> Result<Bytes, ApiError> {
        let Occurrence::Test { at_ms, function } = occurrence else {
            return Err(invalid("a trigger of objects has no times"));
        };
        let objects = self.objects(trigger)?;
        let key = format!("{}test{}", objects.filter.prefix(), objects.filter.suffix());
        let object = Listed { key, etag: None, size: Some(0), modified_ms: *at_ms };
        let change = Pass::begin(None, *at_ms, 0).change(&objects.bucket, &object, &Seen::default());
        let origin = Origin {
            app_id: &self.installation.app_id,
            region: &self.installation.region,
            notification_id: &trigger.name,
            queue: &format!("{}.{}.{}", function.namespace, function.name, trigger.qualifier),
            endpoint: "",
        };
        let event = change.and_then(|change| cos_event(&change, origin));
        Ok(event.ok_or_else(|| invalid("no event can be made"))?.into())
    }
}
