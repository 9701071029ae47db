//! `UpdateFunctionCode`: another image, whose tag is resolved anew. Calls get the previous one until it is prepared.

use store::Change;
use types::wire::UpdateFunctionCodeRequest;
use types::{ApiError, ErrorCode, VersionSpec};

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::validate::{code, names, scalars};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: UpdateFunctionCodeRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let publish = scalars::publish(request.publish.as_deref())?;
    code::refuse_package(&[
        ("ZipFile", request.zip_file.as_deref()),
        ("CosBucketName", request.cos_bucket_name.as_deref()),
        ("CosObjectName", request.cos_object_name.as_deref()),
    ])?;
    code::refuse_code_settings(None, None, request.install_dependency.as_deref())?;
    let image = code::image(request.code.as_ref())?;
    let change = cx.store.change_latest(&key, move |_, latest| {
        let spec = VersionSpec { image, ..latest.desired.clone() };
        Ok::<_, ApiError>(Change { spec, resolve: true, publish })
    });
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_UPDATE_FUNCTION_CODE, ..StoreCodes::default() };
    change.await.map_err(|error| codes.failure(error))??;
    Ok(Answer::empty())
}
