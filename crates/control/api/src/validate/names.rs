//! Names of functions and namespaces, and qualifiers.

use types::limits::FULL_NAME_LEN_MAX;
use types::{ApiError, ErrorCode, FunctionKey, Namespace, Qualifier};

use super::{filled, invalid, required};

/// A namespace; `default` if omitted.
pub(crate) fn namespace(field: &str, text: Option<&str>) -> Result<Namespace, ApiError> {
    match filled(text) {
        None => Ok(Namespace::default_namespace()),
        Some(text) => text.parse().map_err(|error| invalid(ErrorCode::INVALID_VALUE_NAMESPACE, field, error)),
    }
}

/// A function by `FunctionName` and `Namespace`.
pub(crate) fn function(name: Option<&str>, space: Option<&str>) -> Result<FunctionKey, ApiError> {
    named("FunctionName", name, namespace("Namespace", space)?, ErrorCode::INVALID_VALUE_FUNCTION_NAME)
}

/// A function named in any field; `code` is the error code of an invalid name.
pub(crate) fn named(
    field: &str,
    name: Option<&str>,
    namespace: Namespace,
    code: ErrorCode,
) -> Result<FunctionKey, ApiError> {
    let name = required(field, filled(name))?.parse().map_err(|error| invalid(code, field, error))?;
    Ok(FunctionKey { namespace, name })
}

/// A new function; namespace and name together have a length limit too.
pub(crate) fn new_function(field: &str, name: Option<&str>, namespace: Namespace) -> Result<FunctionKey, ApiError> {
    let code = ErrorCode::INVALID_VALUE_FUNCTION_NAME;
    let key = named(field, name, namespace, code)?;
    let len = key.name.as_str().len() + key.namespace.as_str().len();
    if len > FULL_NAME_LEN_MAX {
        let problem =
            format!("with its namespace the name has {len} characters; at most {FULL_NAME_LEN_MAX} are allowed");
        return Err(invalid(code, field, problem));
    }
    Ok(key)
}

/// A version or alias; `default` if omitted.
pub(crate) fn qualifier(text: Option<&str>, default: Qualifier) -> Result<Qualifier, ApiError> {
    match filled(text) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|error| invalid(ErrorCode::INVALID_VALUE_QUALIFIER, "Qualifier", error)),
    }
}

/// The alias `$DEFAULT`, which every function has.
pub(crate) fn default_alias() -> Qualifier {
    Qualifier::Alias(Qualifier::DEFAULT_ALIAS.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_within_its_namespace() {
        let key = function(Some("hello"), None).expect("valid");
        assert_eq!(key.to_string(), "default/hello");
        assert_eq!(function(Some("hello"), Some("team-a")).expect("valid").to_string(), "team-a/hello");
        assert_eq!(function(Some("hello"), Some("")).expect("valid").to_string(), "default/hello");
    }

    #[test]
    fn wrong_names_are_refused_by_field() {
        let code = |result: Result<FunctionKey, ApiError>| result.map(|_| ()).map_err(|e| e.code.name);
        assert_eq!(code(function(None, None)), Err("MissingParameter"));
        assert_eq!(code(function(Some(""), None)), Err("MissingParameter"));
        assert_eq!(code(function(Some("1a"), None)), Err("InvalidParameterValue.FunctionName"));
        assert_eq!(code(function(Some("hello"), Some("a b"))), Err("InvalidParameterValue.Namespace"));
        let message = function(Some("hello-"), None).expect_err("bad end").message;
        assert!(message.starts_with("FunctionName: function name \"hello-\" is not valid: use "), "{message}");
    }

    #[test]
    fn both_names_together_are_bounded() {
        let long = |n: usize| "a".repeat(n);
        let namespace = |n| long(n).parse::<Namespace>().expect("valid");
        assert!(new_function("FunctionName", Some(&long(58)), namespace(60)).is_ok());
        assert!(new_function("FunctionName", Some(&long(59)), namespace(60)).is_err());
    }

    #[test]
    fn a_qualifier_has_the_default_of_its_action() {
        assert_eq!(qualifier(None, Qualifier::LATEST), Ok(Qualifier::LATEST));
        assert_eq!(qualifier(Some(""), default_alias()), Ok(default_alias()));
        assert_eq!(qualifier(Some("$LATEST"), default_alias()), Ok(Qualifier::LATEST));
        assert!(qualifier(Some("$OTHER"), Qualifier::LATEST).is_err());
    }
}
