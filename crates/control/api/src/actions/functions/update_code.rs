//! `UpdateFunctionCode`: changes the image and resolves its tag. Calls use the previous image until
//! the new one is prepared. As an extension it accepts the fields of `UpdateFunctionConfiguration`,
//! so that image and configuration are one change.

use store::Change;
use types::wire::{UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest};
use types::{ApiError, ErrorCode, VersionSpec};

use crate::actions::Outcome;
use crate::actions::functions::{destinations, volumes};
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::validate::given::Given;
use crate::validate::{code, configuration, names, scalars};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: UpdateFunctionCodeRequest = params.read()?;
    let settings: UpdateFunctionConfigurationRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let publish = scalars::publish(request.publish.as_deref())?;
    code::refuse_package(&[
        ("ZipFile", request.zip_file.as_deref()),
        ("CosBucketName", request.cos_bucket_name.as_deref()),
        ("CosObjectName", request.cos_object_name.as_deref()),
    ])?;
    code::refuse_code_settings(
        settings.runtime.as_deref(),
        settings.layers.as_deref(),
        request.install_dependency.as_deref(),
    )?;
    let image = code::image(request.code.as_ref())?;
    let given = Given::from(settings);
    destinations::check_targets(cx, &key, given.kept())?;
    volumes::check(cx, given.mounts(&cx.host_environment.bounds)?).await?;
    let host = cx.host_environment.clone();
    let change = cx.store.change_latest(&key, move |function, latest| {
        code::check_kind(&image, function.kind)?;
        let base = VersionSpec { image, ..latest.desired.clone() };
        let spec = configuration::apply(&given, function.into(), base, &host)?;
        Ok::<_, ApiError>(Change { spec, resolve: true, publish })
    });
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_UPDATE_FUNCTION_CODE, ..StoreCodes::default() };
    change.await.map_err(|error| codes.failure(error))??;
    Ok(Answer::empty())
}
