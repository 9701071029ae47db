//! `UpdateFunctionConfiguration`: changes the configuration of the current image; omitted settings
//! are unchanged.

use store::Change;
use types::ErrorCode;
use types::wire::UpdateFunctionConfigurationRequest;

use crate::actions::Outcome;
use crate::actions::functions::{destinations, volumes};
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::validate::given::Given;
use crate::validate::{code, configuration, names, scalars};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: UpdateFunctionConfigurationRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let publish = scalars::publish(request.publish.as_deref())?;
    code::refuse_code_settings(
        request.runtime.as_deref(),
        request.layers.as_deref(),
        request.install_dependency.as_deref(),
    )?;
    let given = Given::from(request);
    destinations::check_targets(cx, &key, given.kept())?;
    volumes::check(cx, given.mounts(&cx.host_environment.bounds)?).await?;
    let host = cx.host_environment.clone();
    // The closure runs while other writes wait, so that concurrent updates do not overwrite each
    // other.
    let change = cx.store.change_latest(&key, move |function, latest| {
        let spec = configuration::apply(&given, function.into(), latest.desired.clone(), &host)?;
        Ok::<_, types::ApiError>(Change { spec, resolve: false, publish })
    });
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_UPDATE_FUNCTION_CONFIGURATION, ..StoreCodes::default() };
    change.await.map_err(|error| codes.failure(error))??;
    Ok(Answer::empty())
}
