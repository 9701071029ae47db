//! Request fields common to the actions on logs.

use types::wire::GetFunctionLogsRequest;
use types::{ApiError, ErrorCode, RequestId};

use crate::validate::{filled, invalid, names, paging, quoted};

/// Maximum of offset plus limit (contract 2.2).
const REACH_MAX: u32 = 10_000;

/// The requested page.
pub(super) fn page(request: &GetFunctionLogsRequest) -> Result<paging::Page, ApiError> {
    let page = paging::page(request.offset, request.limit, REACH_MAX)?;
    if page.offset.saturating_add(page.limit) > REACH_MAX {
        let problem = format!("{} and Limit {} are more than {REACH_MAX} together", page.offset, page.limit);
        return Err(invalid(ErrorCode::LIMIT_OFFSET, "Offset", problem));
    }
    Ok(page)
}

/// `Qualifier`, if present.
pub(super) fn qualifier(request: &GetFunctionLogsRequest) -> Result<Option<String>, ApiError> {
    match filled(request.qualifier.as_deref()) {
        Some(text) => Ok(Some(names::qualifier(Some(text), types::Qualifier::LATEST)?.to_string())),
        None => Ok(None),
    }
}

/// `FunctionRequestId`.
pub(super) fn request_id(text: &str) -> Result<RequestId, ApiError> {
    // Stored ids are in lower case, and lookups compare exactly.
    let parsed = text.to_ascii_lowercase().parse();
    parsed.map_err(|_| {
        let problem = format!("{} is not the id of a run, which is a UUID", quoted(text));
        invalid(ErrorCode::INVALID_VALUE_FUNCTION_REQUEST_ID, "FunctionRequestId", problem)
    })
}
