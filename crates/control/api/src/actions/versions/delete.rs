//! `DeleteFunctionVersion`: one published version.

use types::{ErrorCode, FunctionKey, Qualifier, VersionName};

use super::wire::DeleteFunctionVersionRequest;
use crate::actions::Outcome;
use crate::context::Context;
use crate::envelope::Answer;
use crate::failure::{Failure, StoreCodes};
use crate::params::Params;
use crate::validate::{filled, invalid, names, required};

pub(in crate::actions) async fn run(cx: &Context, params: Params) -> Outcome {
    let request: DeleteFunctionVersionRequest = params.read()?;
    let key = names::function(request.function_name.as_deref(), request.namespace.as_deref())?;
    let text = required("Qualifier", filled(request.qualifier.as_deref()))?;
    delete(cx, &key, &names::qualifier(Some(text), Qualifier::LATEST)?).await?;
    Ok(Answer::empty())
}

/// Deletes the published version that `Qualifier` names.
pub(in crate::actions) async fn delete(cx: &Context, key: &FunctionKey, qualifier: &Qualifier) -> Result<(), Failure> {
    let Qualifier::Version(VersionName::Number(number)) = qualifier else {
        // A missing function is reported before an invalid version.
        cx.store.function(key).await?;
        let problem = match qualifier {
            Qualifier::Version(_) => {
                "$LATEST cannot be deleted alone; delete the function with DeleteFunction".to_owned()
            }
            Qualifier::Alias(name) => format!("{name} is no version; delete an alias with DeleteAlias"),
        };
        return Err(invalid(ErrorCode::INVALID_VALUE_QUALIFIER, "Qualifier", problem).into());
    };
    let codes = StoreCodes {
        wrong_status: ErrorCode::FAILED_DELETE_FUNCTION,
        version_not_found: ErrorCode::RESOURCE_NOT_FOUND_QUALIFIER,
        ..StoreCodes::default()
    };
    cx.store.delete_version(key, *number).await.map_err(|error| codes.failure(error))
}
