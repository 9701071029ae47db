//! Environment variables of a function (contract 4.1).

use std::collections::HashSet;

use types::wire::Environment;
use types::{ApiError, ErrorCode, secret_ref};

use super::{invalid, quoted};

/// Reserved prefixes of names; the third is the official documentation's spelling.
const PROTECTED: [&str; 4] = ["SCF_", "QCLOUD_", "TENCENTCLOUD_", "TECENTCLOUD_"];

/// Longest name and value of a variable, in bytes: Linux limits both with `=` and the final NUL to
/// 32 pages (execve(2), `MAX_ARG_STRLEN`).
const VARIABLE_BYTES_MAX: usize = 131_070;

/// Validates the variables and keeps their order. Names and values have at most `bytes_max` bytes
/// together, and each variable is within Linux's limit.
pub(crate) fn variables(environment: &Environment, bytes_max: usize) -> Result<Vec<(String, String)>, ApiError> {
    let mut seen = HashSet::new();
    for (index, variable) in environment.variables.iter().enumerate() {
        let field = format!("Environment.Variables.{index}");
        check_key(&field, &variable.key)?;
        if !seen.insert(variable.key.as_str()) {
            let problem = format!("{} is given more than once", quoted(&variable.key));
            return Err(invalid(ErrorCode::INVALID_VALUE_ENVIRONMENT, &format!("{field}.Key"), problem));
        }
        if variable.key.len() + variable.value.len() > VARIABLE_BYTES_MAX {
            let problem = format!("{} is longer than the {VARIABLE_BYTES_MAX} bytes that Linux takes", variable.key);
            return Err(invalid(ErrorCode::INVALID_VALUE_ENVIRONMENT_LIMIT, &format!("{field}.Value"), problem));
        }
        if variable.value.contains('\0') {
            let problem = format!("the value of {} contains a NUL character", variable.key);
            return Err(invalid(ErrorCode::INVALID_VALUE_ENVIRONMENT, &format!("{field}.Value"), problem));
        }
        if let Err(why) = secret_ref::parts(&variable.value) {
            let problem = format!("the value of {} names a secret wrongly: {why}", variable.key);
            return Err(invalid(ErrorCode::INVALID_VALUE_ENVIRONMENT, &format!("{field}.Value"), problem));
        }
    }
    let bytes: usize = environment.variables.iter().map(|variable| variable.key.len() + variable.value.len()).sum();
    if bytes > bytes_max {
        let problem = format!(
            "names and values have {bytes} bytes; at most {bytes_max} are allowed together \
             ([api] environment_bytes_max)"
        );
        return Err(invalid(ErrorCode::INVALID_VALUE_ENVIRONMENT_LIMIT, "Environment.Variables", problem));
    }
    Ok(environment.variables.iter().map(|variable| (variable.key.clone(), variable.value.clone())).collect())
}

fn check_key(field: &str, key: &str) -> Result<(), ApiError> {
    let field = format!("{field}.Key");
    let letter_first = key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !letter_first || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        let problem = format!("{} is not allowed; begin with a letter and use letters, digits and '_'", quoted(key));
        return Err(invalid(ErrorCode::INVALID_VALUE_ENVIRONMENT, &field, problem));
    }
    match PROTECTED.iter().find(|prefix| key.starts_with(**prefix)) {
        None => Ok(()),
        Some(prefix) => {
            let problem = format!("{} is not allowed; names that begin with {prefix} are the platform's", quoted(key));
            Err(invalid(ErrorCode::INVALID_VALUE_ENVIRONMENT_PROTECT, &field, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use types::limits::ENVIRONMENT_BYTES_MAX;
    use types::wire::Variable;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let variable = |(key, value): &(&str, &str)| Variable { key: (*key).to_owned(), value: (*value).to_owned() };
        Environment { variables: pairs.iter().map(variable).collect() }
    }

    fn code(pairs: &[(&str, &str)]) -> &'static str {
        variables(&environment(pairs), ENVIRONMENT_BYTES_MAX).map_or_else(|error| error.code.name, |_| "")
    }

    #[test]
    fn variables_keep_their_order() {
        let read = variables(&environment(&[("B", "2"), ("A_1", ""), ("MODE", "SCF_")]), ENVIRONMENT_BYTES_MAX)
            .expect("valid");
        let keys: Vec<_> = read.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["B", "A_1", "MODE"]);
        assert_eq!(variables(&environment(&[]), ENVIRONMENT_BYTES_MAX), Ok(Vec::new()));
    }

    #[test]
    fn wrong_variables_have_their_codes() {
        for bad in ["", "1A", "_A", "A-B", "A B", "A=B", "é", "A\0"] {
            assert_eq!(code(&[(bad, "x")]), "InvalidParameterValue.Environment", "{bad:?}");
        }
        assert_eq!(code(&[("A", "1"), ("A", "2")]), "InvalidParameterValue.Environment");
        assert_eq!(code(&[("A", "x\0y")]), "InvalidParameterValue.Environment");
        assert_eq!(code(&[("A", "{{secret:db@3}} {{other}}")]), "");
        assert_eq!(code(&[("A", "{{secret:db@x}}")]), "InvalidParameterValue.Environment");
        for protected in ["SCF_X", "QCLOUD_X", "TENCENTCLOUD_X", "TECENTCLOUD_X"] {
            assert_eq!(code(&[(protected, "x")]), "InvalidParameterValue.EnvironmentSystemProtect", "{protected}");
        }
    }

    #[test]
    fn all_together_are_bounded() {
        let fits = "x".repeat(ENVIRONMENT_BYTES_MAX - 2);
        assert_eq!(code(&[("AB", &fits)]), "");
        assert_eq!(code(&[("ABC", &fits)]), "InvalidParameterValue.EnvironmentExceededLimit");
    }
}
