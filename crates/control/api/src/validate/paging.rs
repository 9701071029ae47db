//! Paging and sort order of lists.

use types::{ApiError, ErrorCode};

use super::{filled, invalid, quoted};

/// Default page length.
const LIMIT_DEFAULT: u32 = 20;

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// Number of entries to skip.
    pub offset: u32,
    /// Maximum number of entries.
    pub limit: u32,
}

impl Page {
    /// Cuts the page out of a complete list.
    pub(crate) fn cut<T>(self, list: impl IntoIterator<Item = T>) -> Vec<T> {
        list.into_iter().skip(self.offset as usize).take(self.limit as usize).collect()
    }
}

/// `Offset` and `Limit`; a page has at most `limit_max` entries.
pub(crate) fn page(offset: Option<i64>, limit: Option<i64>, limit_max: u32) -> Result<Page, ApiError> {
    let (offset, limit) = (offset.unwrap_or(0), limit.unwrap_or(i64::from(LIMIT_DEFAULT.min(limit_max))));
    let offset = u32::try_from(offset).map_err(|_| {
        let problem = format!("{offset} is not allowed; use 0 to {}", u32::MAX);
        invalid(ErrorCode::INVALID_VALUE_OFFSET, "Offset", problem)
    })?;
    let limit = u32::try_from(limit).ok().filter(|limit| (1..=limit_max).contains(limit)).ok_or_else(|| {
        let problem = format!("{limit} is not allowed; use 1 to {limit_max}");
        invalid(ErrorCode::INVALID_VALUE_LIMIT, "Limit", problem)
    })?;
    Ok(Page { offset, limit })
}

/// Parses a number given as a string.
pub(crate) fn number(field: &str, given: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = given else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let code = if field == "Offset" { ErrorCode::INVALID_VALUE_OFFSET } else { ErrorCode::INVALID_VALUE_LIMIT };
        invalid(code, field, format!("{} is not a number", quoted(text)))
    })
}

/// `Order`: true for descending, which is the default.
pub(crate) fn descending(given: Option<&str>) -> Result<bool, ApiError> {
    match filled(given) {
        None => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("DESC") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("ASC") => Ok(false),
        Some(text) => {
            let problem = format!("{} is neither ASC nor DESC", quoted(text));
            Err(invalid(ErrorCode::INVALID_VALUE_ORDER, "Order", problem))
        }
    }
}

/// The sort key: one of `choices`, by default the first.
pub(crate) fn order_by<T: Copy>(field: &str, given: Option<&str>, choices: &[(&str, T)]) -> Result<T, ApiError> {
    let Some(text) = filled(given) else { return Ok(choices[0].1) };
    choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let problem = format!("{} is not allowed; use {}", quoted(text), words.join(" or "));
        invalid(ErrorCode::INVALID_VALUE_ORDER_BY, field, problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_defaults_and_limits() {
        assert_eq!(page(None, None, 1000), Ok(Page { offset: 0, limit: 20 }));
        assert_eq!(page(Some(5), Some(1000), 1000), Ok(Page { offset: 5, limit: 1000 }));
        let code = |offset, limit| page(offset, limit, 1000).expect_err("outside").code.name;
        assert_eq!(code(Some(-1), None), "InvalidParameterValue.Offset");
        assert_eq!(code(Some(i64::MAX), None), "InvalidParameterValue.Offset");
        for limit in [-1, 0, 1001, i64::MAX] {
            assert_eq!(code(None, Some(limit)), "InvalidParameterValue.Limit");
        }
        assert_eq!(Page { offset: 1, limit: 2 }.cut(0..9), [1, 2]);
        assert_eq!(Page { offset: 10, limit: 2 }.cut(0..9), [0; 0]);
    }

    #[test]
    fn numbers_may_come_as_texts() {
        assert_eq!((number("Limit", None), number("Limit", Some("20"))), (Ok(None), Ok(Some(20))));
        assert_eq!(number("Offset", Some("x")).expect_err("no number").code.name, "InvalidParameterValue.Offset");
        assert_eq!(number("Limit", Some("1.5")).expect_err("no number").code.name, "InvalidParameterValue.Limit");
    }

    #[test]
    fn orders_are_words() {
        assert_eq!(
            (descending(None), descending(Some("asc")), descending(Some("DESC"))),
            (Ok(true), Ok(false), Ok(true))
        );
        assert_eq!(descending(Some("up")).expect_err("no order").code.name, "InvalidParameterValue.Order");
        let choices = [("AddTime", 1), ("ModTime", 2)];
        assert_eq!(order_by("Orderby", None, &choices), Ok(1));
        assert_eq!(order_by("Orderby", Some("ModTime"), &choices), Ok(2));
        let error = order_by("Orderby", Some("x"), &choices).expect_err("no choice");
        assert_eq!(error.message, "Orderby: \"x\" is not allowed; use AddTime or ModTime");
    }
}
