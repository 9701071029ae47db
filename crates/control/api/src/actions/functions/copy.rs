//! `CopyFunction`: creates a function from the serving state of another.

use store::{FunctionWithVersions, NewFunction};
use types::wire::CopyFunctionRequest;
use types::{ApiError, ErrorCode, FunctionKey, ImageSpec, Serving, VersionSpec};

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::render::function::pinned_uri;
use crate::validate::{configuration, filled, invalid, names, quoted, scalars};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: CopyFunctionRequest = params.read()?;
    let source = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let namespace = names::namespace("TargetNamespace", request.target_namespace.as_deref())?;
    let target = names::new_function("NewFunctionName", request.new_function_name.as_deref(), namespace)?;
    refuse_other_region(request.target_region.as_deref(), &cx.account.region)?;
    let replace = request.r#override.unwrap_or(false);
    if source == target {
        let problem = "a function cannot be copied onto itself; choose another name or namespace";
        return Err(invalid(ErrorCode::UNSUPPORTED_COPY_FUNCTION, "NewFunctionName", problem).into());
    }
    let new = copy(&cx.store.function(&source).await?, target, &request)?;
    let codes = StoreCodes { function_exists: ErrorCode::RESOURCE_IN_USE_FUNCTION_NAME, ..StoreCodes::default() };
    let made = if replace { cx.store.replace_function(new).await } else { cx.store.create_function(new).await };
    made.map_err(|error| codes.failure(error))?;
    Ok(Answer::empty())
}

fn refuse_other_region(given: Option<&str>, own: &str) -> Result<(), ApiError> {
    match filled(given) {
        Some(other) if other != own => {
            let problem =
                format!("{} is another region; this installation is {own:?} and copies within it", quoted(other));
            Err(invalid(ErrorCode::UNSUPPORTED_REGION, "TargetRegion", problem))
        }
        _ => Ok(()),
    }
}

/// The new function: the serving image by digest, and the configuration unless only the code is
/// requested.
fn copy(
    source: &FunctionWithVersions,
    target: FunctionKey,
    request: &CopyFunctionRequest,
) -> Result<NewFunction, ApiError> {
    let latest = source.latest();
    let record = &source.record;
    let Serving { spec, image, .. } = latest.serving.as_ref().ok_or_else(|| {
        let problem =
            format!("function {} is {} and serves nothing that could be copied", record.key, latest.status.as_str());
        invalid(ErrorCode::FAILED_COPY_FAILED, "FunctionName", problem)
    })?;
    let image = ImageSpec { uri: pinned_uri(&spec.image, &image.digest), ..spec.image.clone() };
    let mut spec = match request.copy_configuration {
        Some(false) => configuration::default_for(image),
        _ => VersionSpec { image, ..spec.clone() },
    };
    if let Some(description) = &request.description {
        spec.description = scalars::description(description)?;
    }
    Ok(NewFunction {
        key: target,
        kind: record.kind,
        protocol: record.protocol.clone(),
        async_run: record.async_run,
        trace: record.trace,
        tags: record.tags.clone(),
        spec,
    })
}
