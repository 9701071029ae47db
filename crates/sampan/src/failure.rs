//! How a command fails: what is said, what to do about it, and the exit code that scripts can rely on.

use std::process::ExitCode;

/// Exit codes of the command line, as `sampan --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Anything that has no code of its own.
    Failed = 1,
    /// The arguments or the configuration are wrong (clap's own code, too).
    Usage = 2,
    /// The thing named does not exist.
    NotFound = 3,
    /// The function was called and its run failed.
    RunFailed = 4,
    /// Sampan or a registry cannot be reached, or refuses the credentials.
    Connection = 5,
    /// A rollout was given up, and its alias leads where it led before.
    RolledBack = 6,
}

/// An error with a remedy and an exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    hint: String,
    exit: Exit,
    api_code: Option<String>,
}

impl Failure {
    /// A failure with its remedy; an empty hint prints none.
    pub fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), exit, api_code: None }
    }

    /// The same failure with the API's code, so that a command can tell one from another.
    pub fn with_api_code(self, code: String) -> Self {
        Self { api_code: Some(code), ..self }
    }

    /// The API's code, when the API refused.
    pub fn api_code(&self) -> Option<&str> {
        self.api_code.as_deref()
    }

    /// What to print of any error: the failure inside it, or the whole chain of causes.
    pub fn of(error: &anyhow::Error) -> Self {
        let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
        match error.downcast_ref::<Self>() {
            Some(failure) => Self::new(failure.exit, chain.join(": "), failure.hint.clone()),
            None => Self::new(Exit::Failed, chain.join(": "), ""),
        }
    }

    /// Prints `error: …` and `hint: …` and returns the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.message);
        if !self.hint.is_empty() {
            eprintln!("hint: {}", self.hint);
        }
        ExitCode::from(self.exit as u8)
    }
}

/// The innermost cause of an error, which for a failed connection says what the kernel said.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_hint_and_code_under_context() {
        let error = anyhow::Error::new(Failure::new(Exit::NotFound, "no such file", "name another")).context("push");
        let failure = Failure::of(&error);
        assert_eq!((failure.exit, failure.hint.as_str()), (Exit::NotFound, "name another"));
        assert_eq!(failure.message, "push: no such file");
    }
}
