//! Checks that the destinations in a request exist.

use events::Destination;
use serde_json::Value;
use types::{ApiError, ErrorCode, FunctionKey};

use crate::context::Context;
use crate::failure::Failure;
use crate::validate::destinations;

/// Refuses a destination that is the function itself or does not exist. A later removal is detected
/// at delivery.
pub(super) fn check_targets<'a>(
    cx: &Context,
    of: &FunctionKey,
    settings: impl Iterator<Item = (impl AsRef<str>, &'a Value)>,
) -> Result<(), Failure> {
    for (name, value) in settings {
        let name = name.as_ref();
        match destinations::target(name, value)? {
            Some(Destination::Function(target)) if target == of.name => {
                let message = format!("{name}: a function cannot be its own destination");
                return Err(ApiError::new(ErrorCode::INVALID_VALUE, message).into());
            }
            Some(Destination::Function(target)) => {
                let key = FunctionKey { namespace: of.namespace.clone(), name: target };
                if cx.store.catalog().load().functions.get(&key).is_none() {
                    let message = format!("{name}: there is no function {key}");
                    return Err(ApiError::new(ErrorCode::RESOURCE_NOT_FOUND_FUNCTION, message).into());
                }
            }
            Some(Destination::Connection(connection)) => {
                let found = cx.events.outbound().check_connection(&connection);
                found.map_err(|refused| ApiError::new(ErrorCode::INVALID_VALUE, format!("{name}: {refused}")))?;
            }
            Some(Destination::Url(_)) | None => {}
        }
    }
    Ok(())
}
