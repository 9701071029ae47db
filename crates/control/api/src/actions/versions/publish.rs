//! `PublishVersion`: publishes the serving state of `$LATEST` as an immutable version.

use serde_json::Value;
use store::Publication;
use types::ErrorCode;

use super::wire::{PublishVersionAnswer, PublishVersionRequest};
use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::validate::code::RUNTIME;
use crate::validate::{filled, names, scalars};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: PublishVersionRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let description = filled(request.description.as_deref()).map(scalars::description).transpose()?;
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_PUBLISH_VERSION, ..StoreCodes::default() };
    let number = filled(request.function_version.as_deref()).map(scalars::version_number).transpose()?;
    let revision = filled(request.revision_id.as_deref()).map(str::to_owned);
    let publication = Publication { description, number, revision };
    let made = cx.store.publish_as(&key, publication).await.map_err(|error| codes.failure(error))?;
    let spec = made.desired;
    Ok(Answer::of(&PublishVersionAnswer {
        function_version: made.version.to_string(),
        code_size: made.serving.map_or(0, |serving| serving.image.size_bytes),
        memory_size: spec.memory_mb,
        description: spec.description,
        handler: spec.carried.get("Handler").and_then(Value::as_str).unwrap_or_default().to_owned(),
        timeout: spec.timeout_s,
        runtime: RUNTIME,
        namespace: key.namespace.to_string(),
    }))
}
