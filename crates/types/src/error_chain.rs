//! Texts of errors with their causes.

use std::error::Error;
use std::iter::successors;

/// An error with all its causes, on one line: `cannot read x: permission denied`.
pub fn error_chain(error: &dyn Error) -> String {
    chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The innermost cause of an error, or the error itself: for a failed connection the kernel's
/// message.
pub fn root_cause(error: &dyn Error) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

/// The error, its cause, the cause of that, and so on.
fn chain<'a>(error: &'a (dyn Error + 'a)) -> impl Iterator<Item = &'a (dyn Error + 'a)> {
    successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read {0}")]
    struct Unread(&'static str, #[source] io::Error);

    #[test]
    fn an_error_is_shown_with_its_causes_and_by_its_innermost() {
        let error = Unread("x", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(error_chain(&error), "cannot read x: entity not found");
        assert_eq!(root_cause(&error), "entity not found");
        assert_eq!(root_cause(&Unread("y", io::Error::other(error))), "entity not found");
        assert_eq!(root_cause(&io::Error::from(io::ErrorKind::NotFound)), "entity not found");
    }
}
