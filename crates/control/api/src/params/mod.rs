//! Parameters of a call: from the body or the query to a typed request.
//!
//! Parses the three encodings of parameters (JSON, form, query); errors name a field by its path.
//! Pure.

mod deserialize;
mod error;
mod form;
mod objects;
mod tree;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use types::{ApiError, ErrorCode};

use error::describe;
pub(crate) use form::parse as parse_form;
pub(crate) use tree::Tree;

/// Unparsed parameters of one call.
#[derive(Debug)]
pub(crate) enum Params {
    /// A JSON object; an empty body is an empty object.
    Json(Bytes),
    /// `A.B.0.C=v` pairs; all values are texts.
    Flat(Tree),
}

impl Params {
    /// Deserializes the request. Unknown fields are ignored.
    ///
    /// # Errors
    /// `InvalidParameter` with the field's path, its value and the expected type.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        match self {
            Self::Json(body) if body.iter().all(u8::is_ascii_whitespace) => read_json(b"{}"),
            Self::Json(body) => read_json(body),
            Self::Flat(tree) => {
                let read = serde_path_to_error::deserialize(deserialize::Node::root(tree));
                read.map_err(|error| describe(error.path(), &error.inner().to_string()))
            }
        }
    }
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::new(ErrorCode::INVALID_PARAMETER, "the body of the request is not a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(objects::Objects(&mut json));
    let value = read.map_err(|error| {
        if error.inner().is_data() {
            describe(error.path(), &error.inner().to_string())
        } else {
            not_json(error.inner())
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::INVALID_PARAMETER, format!("the body of the request is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::wire::{
        CreateFunctionRequest, FunctionEventInvokeConfigRequest, GetFunctionLogsRequest, ListFunctionsRequest,
        UpdateFunctionConfigurationRequest,
    };

    use super::*;

    fn json<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
        Params::Json(Bytes::copy_from_slice(text.as_bytes())).read()
    }

    fn flat<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
        let pairs = parse_form(text.as_bytes()).expect("well-formed");
        Params::Flat(Tree::of_pairs(&pairs)?).read()
    }

    #[test]
    fn both_forms_read_the_same_request() {
        let from_json: CreateFunctionRequest = json(
            r#"{"FunctionName":"f1","MemorySize":256,"Code":{"ImageConfig":{"ImageUri":"a:b","ContainerImageAccelerate":true,
                "ImagePort":-1}},"Environment":{"Variables":[{"Key":"A","Value":"1"},{"Key":"B","Value":"x y"}]},
                "DeployMode":"image","Stamp":{"any":["thing"]}}"#,
        )
        .expect("well-formed");
        let from_form: CreateFunctionRequest = flat(
            "FunctionName=f1&MemorySize=256&Code.ImageConfig.ImageUri=a%3Ab&Code.ImageConfig.ContainerImageAccelerate=True\
             &Code.ImageConfig.ImagePort=-1&Environment.Variables.0.Key=A&Environment.Variables.0.Value=1\
             &Environment.Variables.1.Key=B&Environment.Variables.1.Value=x+y&DeployMode=image&Stamp.any.0=thing",
        )
        .expect("well-formed");
        assert_eq!(format!("{from_json:?}"), format!("{from_form:?}"));
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let table = [
            (r#"{"MemorySize":"128"}"#, r#"MemorySize: string "128" is given, but an integer is expected"#),
            (r#"{"MemorySize":1.5}"#, "MemorySize: floating point `1.5` is given, but an integer is expected"),
            (r#"{"Code":[]}"#, "Code: a list is given, but an object is expected"),
            (r#"{"Layers":{}}"#, "Layers: an object is given, but a list is expected"),
            (
                r#"{"Environment":{"Variables":[{"Key":"A","Value":"1"},{"Key":2}]}}"#,
                "Environment.Variables.1.Key: integer `2` is given, but a string is expected",
            ),
            (
                r#"{"InstanceConcurrencyConfig":{"MaxConcurrency":-1}}"#,
                "InstanceConcurrencyConfig.MaxConcurrency: integer `-1` is given, but an integer of 0 or more is expected",
            ),
        ];
        for (text, message) in table {
            let error = json::<CreateFunctionRequest>(text).expect_err(text);
            assert_eq!((error.code.name, error.message.as_str()), ("InvalidParameter", message));
        }
        let long = format!(r#"{{"MemorySize":"{}"}}"#, "x".repeat(1000));
        assert!(json::<CreateFunctionRequest>(&long).expect_err("no number").message.len() < 200);
        let error = flat::<ListFunctionsRequest>("Limit=ten").expect_err("no number");
        assert_eq!(error.message, "Limit: \"ten\" is not an integer");
        let error = flat::<CreateFunctionRequest>("Environment=x").expect_err("no object");
        assert!(error.message.starts_with("Environment: "), "{}", error.message);
        let error = flat::<CreateFunctionRequest>("FunctionName.0=x").expect_err("no text");
        assert!(error.message.starts_with("FunctionName: "), "{}", error.message);
    }

    #[test]
    fn lists_are_not_taken_for_objects() {
        fn refused<T: DeserializeOwned + std::fmt::Debug>(texts: &[(&str, &str)]) {
            for (text, path) in texts {
                let error = json::<T>(text).expect_err(text);
                let message = format!("{path}: a list is given, but an object is expected");
                assert_eq!((error.code.name, error.message), ("InvalidParameter", message));
            }
        }
        refused::<CreateFunctionRequest>(&[
            (r#"{"Code":[{"ImageUri":"a:v1"}]}"#, "Code"),
            (r#"{"Code":{"ImageConfig":["personal","a:v1"]}}"#, "Code.ImageConfig"),
            (r#"{"Environment":[[{"Key":"A","Value":"1"}]]}"#, "Environment"),
            (r#"{"Environment":{"Variables":[{"Key":"A","Value":"1"},["B","2"]]}}"#, "Environment.Variables.1"),
            (r#"{"Tags":[["sampan:temporary","60"]]}"#, "Tags.0"),
            (r#"{"InstanceConcurrencyConfig":["FALSE",4]}"#, "InstanceConcurrencyConfig"),
            (r#"{"InstanceConcurrencyConfig":{"SessionConfig":["X"]}}"#, "InstanceConcurrencyConfig.SessionConfig"),
            (r#"{"ProtocolParams":{"WSParams":[10]}}"#, "ProtocolParams.WSParams"),
            (r#"{"CfsConfig":{"CfsInsList":[["0","0","v"]]}}"#, "CfsConfig.CfsInsList.0"),
            (r#"{"PublicNetConfig":{"EipConfig":["ENABLE"]}}"#, "PublicNetConfig.EipConfig"),
            (r#"{"Sampan":[[]]}"#, "Sampan"),
            (r#"{"Sampan":{"Mounts":[["a"]]}}"#, "Sampan.Mounts.0"),
        ]);
        refused::<UpdateFunctionConfigurationRequest>(&[
            (r#"{"VpcConfig":["vpc","subnet"]}"#, "VpcConfig"),
            (r#"{"DeadLetterConfig":["topic","q",""]}"#, "DeadLetterConfig"),
        ]);
        refused::<ListFunctionsRequest>(&[(r#"{"Filters":[["Runtime",["CustomImage"]]]}"#, "Filters.0")]);
        refused::<GetFunctionLogsRequest>(&[
            (r#"{"Filter":["is","ok"]}"#, "Filter"),
            (r#"{"SearchContext":["0",10]}"#, "SearchContext"),
        ]);
        refused::<FunctionEventInvokeConfigRequest>(&[
            (r#"{"AsyncTriggerConfig":[[{"RetryNum":1}],60]}"#, "AsyncTriggerConfig"),
            (r#"{"AsyncTriggerConfig":{"RetryConfig":[[1]]}}"#, "AsyncTriggerConfig.RetryConfig.0"),
        ]);
        // A form has no lists of its own: numbers are names of fields.
        let flat: CreateFunctionRequest = flat("Code.ImageConfig.0=personal").expect("unknown fields");
        assert_eq!(flat.code.and_then(|code| code.image_config).and_then(|image| image.image_uri), None);
    }

    #[test]
    fn nulls_are_fields_left_out() {
        assert_eq!(json::<ListFunctionsRequest>(r#"{"Limit":null}"#).expect("well-formed").limit, None);
    }

    #[test]
    fn an_empty_body_is_the_empty_request() {
        assert!(json::<ListFunctionsRequest>(" \n").is_ok());
        assert!(flat::<ListFunctionsRequest>("").is_ok());
    }

    #[test]
    fn what_is_no_json_object_is_said_to_be_none() {
        for text in ["[]", "1", "{", "{} x", "{\"Limit\":1", "not json"] {
            let error = json::<ListFunctionsRequest>(text).expect_err(text);
            assert!(error.message.starts_with("the body of the request is not"), "{}", error.message);
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Params::Json(Bytes::from(body.clone())).read::<CreateFunctionRequest>();
            if let Ok(tree) = parse_form(&body).and_then(|pairs| Tree::of_pairs(&pairs)) {
                let _ = Params::Flat(tree).read::<CreateFunctionRequest>();
            }
        }

        #[test]
        fn texts_survive_the_form(text in "\\PC{0,40}", limit in any::<i64>()) {
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
            let read: ListFunctionsRequest = flat(&format!("SearchKey={encoded}&Limit={limit}")).expect("well-formed");
            prop_assert_eq!(read.search_key.as_deref(), Some(text.as_str()));
            prop_assert_eq!(read.limit, Some(limit));
        }
    }
}
