//! `CreateFunction`: converts the request to a new function.

use store::NewFunction;
use types::tags::check;
use types::wire::{CreateFunctionRequest, Tag};
use types::{ApiError, ErrorCode, FunctionKind};

use super::configuration::Fixed;
use super::given::Given;
use super::{code, concurrency, configuration, filled, invalid, names, quoted, scalars};
use crate::context::HostEnvironment;

/// Most tags of one function.
const TAGS_MAX: usize = 50;

/// Converts a request to a new function.
pub(crate) fn new_function(request: CreateFunctionRequest, host: &HostEnvironment) -> Result<NewFunction, ApiError> {
    let namespace = names::namespace("Namespace", request.namespace.as_deref())?;
    let key = names::new_function("FunctionName", request.function_name.as_deref(), namespace)?;
    let kind = kind(request.r#type.as_deref())?;
    let protocol = concurrency::protocol(kind, request.protocol_type.as_deref())?;
    let runtime = request.runtime.as_deref();
    code::refuse_code_settings(runtime, request.layers.as_deref(), request.install_dependency.as_deref())?;
    let image = code::image(request.code.as_ref())?;
    code::check_kind(&image, kind)?;
    let async_run = async_run(request.async_run_enable.as_deref(), kind)?;
    let trace = scalars::switch("TraceEnable", request.trace_enable.as_deref(), ErrorCode::INVALID_VALUE_TRACE_ENABLE)?;
    let tags = tags(request.tags.as_deref().unwrap_or_default())?;
    let fixed = Fixed { kind, protocol: protocol.as_deref(), async_run };
    let spec = configuration::apply(&Given::from(request), fixed, configuration::default_for(image), host)?;
    Ok(NewFunction { key, kind, protocol, async_run, trace, tags, spec })
}

fn kind(given: Option<&str>) -> Result<FunctionKind, ApiError> {
    match filled(given) {
        None | Some("Event") => Ok(FunctionKind::Event),
        Some("HTTP") => Ok(FunctionKind::Http),
        Some(other) => {
            let problem = format!("{} is neither Event nor HTTP", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE_TYPE, "Type", problem))
        }
    }
}

/// `AsyncRunEnable`: whether every call returns only its id.
fn async_run(given: Option<&str>, kind: FunctionKind) -> Result<bool, ApiError> {
    let wanted = scalars::switch("AsyncRunEnable", given, ErrorCode::INVALID_VALUE_ASYNC_RUN_ENABLE)?;
    if wanted && kind == FunctionKind::Http {
        let problem = "the callers of a web function wait for its answers; make an event function (Type Event)";
        return Err(invalid(ErrorCode::UNSUPPORTED_ASYNC_RUN_ENABLE, "AsyncRunEnable", problem));
    }
    Ok(wanted)
}

fn tags(given: &[Tag]) -> Result<Vec<(String, String)>, ApiError> {
    if given.len() > TAGS_MAX {
        let problem = format!("there are {}; at most {TAGS_MAX} are allowed", given.len());
        return Err(invalid(ErrorCode::INVALID_VALUE, "Tags", problem));
    }
    for (index, tag) in given.iter().enumerate() {
        if tag.key.is_empty() {
            return Err(invalid(ErrorCode::INVALID_VALUE, &format!("Tags.{index}.Key"), "it is empty"));
        }
        if given[..index].iter().any(|earlier| earlier.key == tag.key) {
            let problem = format!("{} is given more than once", quoted(&tag.key));
            return Err(invalid(ErrorCode::INVALID_VALUE, &format!("Tags.{index}.Key"), problem));
        }
    }
    let tags: Vec<(String, String)> = given.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    check(&tags).map_err(|error| invalid(ErrorCode::INVALID_VALUE, "Tags", error))?;
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use types::wire::{Code, ImageConfig};

    use super::*;

    fn request() -> CreateFunctionRequest {
        let image = ImageConfig {
            image_type: Some("personal".to_owned()),
            image_uri: Some("localhost:5000/ns/app:v1".to_owned()),
            ..ImageConfig::default()
        };
        CreateFunctionRequest {
            function_name: Some("hello".to_owned()),
            code: Some(Code { image_config: Some(image), ..Code::default() }),
            ..CreateFunctionRequest::default()
        }
    }

    fn code(change: impl FnOnce(&mut CreateFunctionRequest)) -> &'static str {
        let mut request = request();
        change(&mut request);
        new_function(request, &HostEnvironment::default()).map_or_else(|error| error.code.name, |_| "")
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_bare_request_gets_the_defaults_of_the_contract() {
        let new = new_function(request(), &HostEnvironment::default()).expect("valid");
        assert_eq!(new.key.to_string(), "default/hello");
        assert_eq!((new.kind, new.protocol, new.async_run, new.trace), (FunctionKind::Event, None, false, false));
        assert_eq!((new.spec.memory_mb, new.spec.timeout_s, new.spec.init_timeout_s), (128, 3, 90));
        assert!(new.spec.environment.is_empty() && new.spec.carried.is_empty() && new.tags.is_empty());
    }

    #[test]
    fn each_wrong_field_has_its_code() {
        assert_eq!(code(|_| {}), "");
        assert_eq!(code(|r| r.function_name = None), "MissingParameter");
        assert_eq!(code(|r| r.code = None), "MissingParameter.Code");
        assert_eq!(code(|r| r.r#type = text("http")), "InvalidParameterValue.Type");
        let web_run = |r: &mut CreateFunctionRequest| {
            (r.async_run_enable, r.r#type) = (text("TRUE"), text("HTTP"));
        };
        assert_eq!(code(web_run), "UnsupportedOperation.AsyncRunEnable");
        assert_eq!(code(|r| (r.async_run_enable, r.timeout) = (text("TRUE"), Some(86_400))), "");
        assert_eq!(code(|r| r.async_run_enable = text("1")), "InvalidParameterValue.AsyncRunEnable");
        assert_eq!(code(|r| r.trace_enable = text("on")), "InvalidParameterValue.TraceEnable");
        assert_eq!(code(|r| r.runtime = text("Nodejs18.15")), "InvalidParameterValue.Runtime");
        assert_eq!(code(|r| r.protocol_type = text("WS")), "InvalidParameterValue.ProtocolType");
        assert_eq!(code(|r| r.timeout = Some(901)), "LimitExceeded.Timeout");
        assert_eq!(code(|r| r.tags = Some(vec![Tag::default()])), "InvalidParameterValue");
    }

    #[test]
    fn labels_are_unique() {
        let tag = |key: &str| Tag { key: key.to_owned(), value: String::new() };
        assert_eq!(code(|r| r.tags = Some(vec![tag("a"), tag("b")])), "");
        assert_eq!(code(|r| r.tags = Some(vec![tag("a"), tag("a")])), "InvalidParameterValue");
    }

    #[test]
    fn labels_of_ours_have_values_that_mean_something() {
        let grace = |value: &str| Tag { key: "sampan:stop-grace".to_owned(), value: value.to_owned() };
        assert_eq!(code(|r| r.tags = Some(vec![grace("30")])), "");
        assert_eq!(code(|r| r.tags = Some(vec![grace("31")])), "InvalidParameterValue");
    }
}
