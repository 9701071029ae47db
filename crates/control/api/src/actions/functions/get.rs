//! `GetFunction`: one version in full.

use store::FunctionWithVersions;
use types::wire::GetFunctionRequest;
use types::{ApiError, ErrorCode, Qualifier, VersionName, VersionRecord};

use crate::actions::{Caller, Outcome, triggers};
use crate::context::Context;
use crate::envelope::Answer;
use crate::params::Params;
use crate::render::function::Shown;
use crate::validate::{filled, names};

pub(in crate::actions) async fn run(cx: &Context, params: Params, caller: Caller) -> Outcome {
    let request: GetFunctionRequest = params.read()?;
    let name = filled(request.function_name.as_deref()).ok_or_else(|| {
        ApiError::new(ErrorCode::INVALID_PARAMETER_FUNCTION_NAME_REQUIRED, "FunctionName: it is required")
    })?;
    let key = names::function(Some(name), request.namespace.as_deref())?;
    let qualifier = names::qualifier(request.qualifier.as_deref(), Qualifier::LATEST)?;
    let function = cx.store.function(&key).await?;
    let version = version(&function, &qualifier)?;
    let progress = cx.store.progress(&function.record.id, version.version);
    let shown =
        Shown { function: &function.record, version, progress: progress.as_deref(), offset: cx.config.utc_offset };
    let runtime = cx.host_environment.runtime_of(&function.record.tags);
    let of_qualifier = function.triggers.iter().filter(|trigger| trigger.qualifier == qualifier);
    let catalog = cx.store.catalog().load_full();
    let in_catalog = catalog.functions.get(&key);
    let urls = in_catalog.map(|function| triggers::Urls::of(&cx.host_environment.gateway, function, &caller.host));
    let urls = urls.unwrap_or_default();
    let triggers = of_qualifier.map(|trigger| triggers::shown(&cx.sources, trigger, cx.config.utc_offset, &urls));
    let triggers = triggers.filter_map(|info| serde_json::to_value(info).ok()).collect();
    let mut answer = shown.details(qualifier.to_string(), runtime, triggers);
    answer.revision_id = (version.version == VersionName::Latest).then(|| function.revision());
    Ok(Answer::of(&answer))
}

/// The version that a qualifier names; for an alias, its main version.
fn version<'f>(function: &'f FunctionWithVersions, qualifier: &Qualifier) -> Result<&'f VersionRecord, ApiError> {
    let missing = |code| {
        ApiError::new(code, format!("Qualifier: function {} has no version or alias {qualifier}", function.record.key))
    };
    let name: VersionName = match qualifier {
        Qualifier::Version(version) => *version,
        Qualifier::Alias(alias) => {
            let found = function.aliases.get(alias);
            found.ok_or_else(|| missing(ErrorCode::RESOURCE_NOT_FOUND_QUALIFIER))?.route.version
        }
    };
    function.version(name).ok_or_else(|| missing(ErrorCode::RESOURCE_NOT_FOUND_VERSION))
}
