//! `DeleteFunction`: a function with all its versions.

use types::wire::DeleteFunctionRequest;
use types::{ApiError, ErrorCode, Qualifier, VersionName};

use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::StoreCodes;
use crate::params::Params;
use crate::validate::{filled, invalid, names};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: DeleteFunctionRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    if let Some(text) = filled(request.qualifier.as_deref()) {
        let qualifier = names::qualifier(Some(text), Qualifier::LATEST)?;
        // Whoever names a version of a function that is not there learns that first.
        cx.store.function(&key).await?;
        return Err(one_version(&qualifier).into());
    }
    let codes = StoreCodes { wrong_status: ErrorCode::FAILED_DELETE_FUNCTION, ..StoreCodes::default() };
    cx.store.begin_delete(&key).await.map_err(|error| codes.failure(error))?;
    Ok(Answer::empty())
}

/// Why one version alone is not deleted: there are no published ones.
fn one_version(qualifier: &Qualifier) -> ApiError {
    match qualifier {
        Qualifier::Version(VersionName::Number(number)) => {
            let problem = format!("version {number} does not exist; leave it out to delete the function");
            invalid(ErrorCode::RESOURCE_NOT_FOUND_QUALIFIER, "Qualifier", problem)
        }
        Qualifier::Version(VersionName::Latest) | Qualifier::Alias(_) => {
            let problem = format!("{qualifier} cannot be deleted alone; leave it out to delete the function");
            invalid(ErrorCode::INVALID_VALUE_QUALIFIER, "Qualifier", problem)
        }
    }
}
