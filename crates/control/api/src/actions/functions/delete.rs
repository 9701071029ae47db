//! `DeleteFunction`: a function with all its versions, or one published version.

use types::wire::DeleteFunctionRequest;
use types::{ErrorCode, Qualifier};

use crate::actions::{Outcome, versions};
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::validate::{filled, names};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: DeleteFunctionRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    if let Some(text) = filled(request.qualifier.as_deref()) {
        let qualifier = names::qualifier(Some(text), Qualifier::LATEST)?;
        versions::delete::delete(cx, &key, &qualifier).await?;
        return Ok(Answer::empty());
    }
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_DELETE_FUNCTION, ..StoreCodes::default() };
    cx.store.begin_delete(&key).await.map_err(|error| codes.failure(error))?;
    Ok(Answer::empty())
}
