//! Errors in files: place, message and remedy.

use std::fmt;

use super::place::Place;
use crate::failure::{Exit, Failure};

/// An error in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// `None` until the node is known.
    pub place: Option<Place>,
    pub message: String,
    /// Remedy; may be empty.
    pub hint: String,
}

impl Error {
    pub fn new(place: Place, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: Some(place), message: message.into(), hint: hint.into() }
    }

    /// Sets the place, unless the error has one.
    pub fn at(self, place: &Place) -> Self {
        Self { place: self.place.or_else(|| Some(place.clone())), ..self }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Usage, error.to_string(), error.hint)
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: None, message: message.to_string(), hint: String::new() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { place: None, message: format!("`{field}` is missing here"), hint: String::new() }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = super::nearest::hint(variant, expected.iter().copied());
        Self { place: None, message: format!("{variant:?} is not one of {}", expected.join(", ")), hint }
    }
}
