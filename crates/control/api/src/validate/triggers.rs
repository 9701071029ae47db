//! Fields common to triggers of all types (contract 2.4).

use sources::Source;
use types::wire::Filter;
use types::{ApiError, ErrorCode, Trigger};

use super::{filled, invalid, quoted, required};

/// `TriggerName`. Dots are allowed, because bucket names contain them.
pub(crate) fn name(given: Option<&str>, len_max: usize) -> Result<String, ApiError> {
    let text = required("TriggerName", filled(given))?;
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() <= len_max && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inside) {
        return Ok(text.to_owned());
    }
    let problem = format!(
        "{} is not allowed; use 1 to {len_max} letters, digits, '-', '_' and '.', a letter or digit first",
        quoted(text)
    );
    Err(invalid(ErrorCode::INVALID_VALUE_TRIGGER_NAME, "TriggerName", problem))
}

/// `Enable`; `None` if omitted.
pub(crate) fn enable(given: Option<&str>) -> Result<Option<bool>, ApiError> {
    match filled(given) {
        None => Ok(None),
        Some("OPEN") => Ok(Some(true)),
        Some("CLOSE") => Ok(Some(false)),
        Some(other) => {
            let problem = format!("{} is neither OPEN nor CLOSE", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE_ENABLE, "Enable", problem))
        }
    }
}

/// `CustomArgument`; only for types whose events carry it.
pub(crate) fn custom_argument(source: &dyn Source, text: &str, bytes_max: usize) -> Result<String, ApiError> {
    if text.is_empty() || source.has_argument() && text.len() <= bytes_max {
        return Ok(text.to_owned());
    }
    let problem = match source.has_argument() {
        true => format!("it has {} bytes; at most {bytes_max} are allowed", text.len()),
        false => format!("it is of timers; triggers of type {} have no use for it", source.kind()),
    };
    Err(invalid(ErrorCode::INVALID_VALUE_CUSTOM_ARGUMENT, "CustomArgument", problem))
}

/// Most filters of a list, and most values of one filter.
const FILTERS_MAX: usize = 10;
const VALUES_MAX: usize = 20;

/// Fields that triggers can be filtered by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chosen {
    Qualifier,
    Name,
    Description,
}

/// `Filters`: field and values of each.
pub(crate) fn filters(given: &[Filter]) -> Result<Vec<(Chosen, &[String])>, ApiError> {
    let wrong = |field: &str, problem: String| invalid(ErrorCode::INVALID_VALUE_FILTERS, field, problem);
    if given.len() > FILTERS_MAX {
        return Err(wrong("Filters", format!("there are {}; at most {FILTERS_MAX} are allowed", given.len())));
    }
    let one = |(index, filter): (usize, &'_ Filter)| {
        let chosen = match filter.name.as_str() {
            "Qualifier" => Chosen::Qualifier,
            "TriggerName" => Chosen::Name,
            "Description" => Chosen::Description,
            other => {
                let problem = format!("{} is not a filter; use Qualifier, TriggerName or Description", quoted(other));
                return Err(wrong(&format!("Filters.{index}.Name"), problem));
            }
        };
        if !(1..=VALUES_MAX).contains(&filter.values.len()) {
            let problem = format!("there are {}; use 1 to {VALUES_MAX}", filter.values.len());
            return Err(wrong(&format!("Filters.{index}.Values"), problem));
        }
        Ok(chosen)
    };
    let chosen = given.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(chosen.into_iter().zip(given.iter().map(|filter| filter.values.as_slice())).collect())
}

/// Whether a trigger has, in each filtered field, one of the values.
pub(crate) fn meets_all(trigger: &Trigger, filters: &[(Chosen, &[String])]) -> bool {
    let qualifier = trigger.qualifier.to_string();
    filters.iter().all(|(chosen, values)| {
        let found = match chosen {
            Chosen::Qualifier => &qualifier,
            Chosen::Name => &trigger.name,
            Chosen::Description => &trigger.description,
        };
        values.contains(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_words_and_arguments_are_bounded() {
        let code = |result: Result<String, ApiError>| result.map_err(|error| error.code.name);
        assert_eq!(code(name(Some("bucket-1.cos.local"), 100)), Ok("bucket-1.cos.local".to_owned()));
        assert_eq!(code(name(None, 100)), Err("MissingParameter"));
        for bad in ["-a", "a b", "é", &"a".repeat(101)] {
            assert_eq!(code(name(Some(bad), 100)), Err("InvalidParameterValue.TriggerName"), "{bad}");
        }
        assert_eq!(
            (enable(None), enable(Some("OPEN")), enable(Some("CLOSE"))),
            (Ok(None), Ok(Some(true)), Ok(Some(false)))
        );
        assert_eq!(enable(Some("open")).expect_err("no word").code.name, "InvalidParameterValue.Enable");
        let sources = sources::Sources::new(sources::Config::default());
        let argument = |kind, text| code(custom_argument(sources.find(kind).expect("built"), text, 4));
        assert_eq!((argument("timer", "abcd"), argument("cos", "")), (Ok("abcd".to_owned()), Ok(String::new())));
        for (kind, text) in [("timer", "abcde"), ("cos", "a"), ("http", "a"), ("webhook", "a")] {
            assert_eq!(argument(kind, text), Err("InvalidParameterValue.CustomArgument"), "{kind}");
        }
    }
}
