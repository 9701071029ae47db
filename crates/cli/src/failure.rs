//! Failures of commands: message, remedy, and an exit code for scripts.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;
pub use types::root_cause;

use crate::args::Output;
use crate::terminal;

/// Exit codes, as listed by `sampan --help` and docs/EXIT_CODES.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Any other failure.
    Failed = 1,
    /// Invalid arguments or configuration (also clap's code).
    Usage = 2,
    /// The named object does not exist.
    NotFound = 3,
    /// The invocation failed.
    RunFailed = 4,
    /// Sampan or a registry is unreachable, or refuses the credentials.
    Connection = 5,
    /// A rollout was rolled back.
    RolledBack = 6,
    /// `sampan up` stopped after an internal fault; a service manager should restart it.
    Fault = 7,
    /// `sampan up` was stopped at once by a second signal, SIGINT.
    Interrupted = 128 + 2,
    /// `sampan up` was stopped at once by a second signal, SIGTERM.
    Terminated = 128 + 15,
}

/// An error with message, remedy and exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: String,
    exit: Exit,
    api_code: Option<String>,
    request_id: Option<String>,
    /// Function and qualifier in the rejected request.
    subject: Option<Subject>,
    /// Overrides the code of `exit`.
    exit_code: Option<u8>,
}

/// Function, namespace and qualifier in an API request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Name of the function; empty if the request has none.
    pub function: String,
    /// Its namespace.
    pub namespace: String,
    /// Version or alias, if the request has one.
    pub qualifier: Option<String>,
}

/// A failure as printed with `--output json`: one line on standard error.
#[derive(Serialize)]
struct Shown<'a> {
    /// The API's error code, or the name of the exit code.
    code: String,
    message: &'a str,
    hint: Option<&'a str>,
    request_id: Option<&'a str>,
    exit_code: u8,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.api_code {
            Some(code) => write!(f, "{code}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Failure {
    /// A failure with a remedy; an empty hint is not printed.
    pub fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { message, hint, exit, api_code: None, request_id: None, subject: None, exit_code: None }
    }

    /// Adds the subject of the rejected request.
    pub fn about(self, subject: Subject) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// Subject of the rejected request.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Adds the API's error code.
    pub fn with_api_code(self, code: String) -> Self {
        Self { api_code: Some(code), ..self }
    }

    /// Adds the request id; an empty one is ignored.
    pub fn with_request_id(self, id: impl Into<String>) -> Self {
        let id = Some(id.into()).filter(|id| !id.is_empty());
        Self { request_id: id, ..self }
    }

    /// Sets the exit code to that of another program, such as a job.
    pub fn with_exit_code(self, code: u8) -> Self {
        Self { exit_code: Some(code), ..self }
    }

    fn code(&self) -> u8 {
        self.exit_code.unwrap_or(self.exit as u8)
    }

    /// Replaces the remedy.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The platform's request id, if known.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The remedy; may be empty.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// Exit code of the command, unless overridden by [`Self::with_exit_code`].
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The API's error code, if the API rejected the request.
    pub fn api_code(&self) -> Option<&str> {
        self.api_code.as_deref()
    }

    /// Whether a call failed because the named object does not exist.
    pub fn is_not_found(error: &anyhow::Error) -> bool {
        let code = error.downcast_ref::<Self>().and_then(Self::api_code);
        code.is_some_and(|code| code.starts_with("ResourceNotFound"))
    }

    /// Converts any error to a failure whose message has the whole chain of causes.
    pub fn of(error: &anyhow::Error) -> Self {
        let text = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<Self>() {
            Some(failure) => failure.message.clone(),
            None => cause.to_string(),
        };
        let message = error.chain().map(text).collect::<Vec<_>>().join(": ");
        match error.downcast_ref::<Self>() {
            Some(Self { hint, exit, api_code, request_id, subject, exit_code, .. }) => Self {
                message,
                hint: hint.clone(),
                exit: *exit,
                api_code: api_code.clone(),
                request_id: request_id.clone(),
                subject: subject.clone(),
                exit_code: *exit_code,
            },
            None => Self::new(Exit::Failed, message, ""),
        }
    }

    /// Prints `error: …` and `hint: …`, or one JSON object, to standard error and returns the exit
    /// code.
    pub fn report(&self, output: Output) -> ExitCode {
        match output {
            Output::Json => eprintln!("{}", self.json()),
            Output::Text => {
                eprintln!("error: {}", terminal::message(&self.to_string()));
                if !self.hint.is_empty() {
                    eprintln!("hint: {}", terminal::message(&self.hint));
                }
            }
        }
        ExitCode::from(self.code())
    }

    fn json(&self) -> String {
        let shown = Shown {
            code: self.api_code.clone().unwrap_or_else(|| format!("{:?}", self.exit)),
            message: &self.message,
            hint: Some(self.hint.as_str()).filter(|hint| !hint.is_empty()),
            request_id: self.request_id.as_deref(),
            exit_code: self.code(),
        };
        terminal::json(serde_json::to_string(&shown).expect("texts and numbers always serialize"))
    }
}

/// Failure for a command line that clap rejects; `None` for help and version.
pub fn usage(error: &clap::Error) -> Option<Failure> {
    if !error.use_stderr() {
        return None;
    }
    let text = error.render().to_string();
    let (message, hint) = text.split_once("\n\n").unwrap_or((&text, ""));
    let message = message.strip_prefix("error: ").unwrap_or(message).trim();
    Some(Failure::new(Exit::Usage, message, hint.trim()))
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

    #[test]
    fn every_exit_code_is_documented() {
        let document = include_str!("../../../docs/EXIT_CODES.md");
        let all = [
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::RunFailed,
            Exit::Connection,
            Exit::RolledBack,
            Exit::Fault,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        for exit in all {
            let row = format!("| {} | `{exit:?}` |", exit as u8);
            assert!(document.contains(&row), "{row}");
            assert!(crate::args::AFTER_HELP.contains(&format!("{}", exit as u8)), "{exit:?} is not in the help");
        }
    }

    #[test]
    fn a_failure_is_one_json_object() {
        let refused = Failure::new(Exit::NotFound, "there is no f", "look")
            .with_api_code("ResourceNotFound.Function".to_owned())
            .with_request_id("42");
        let failure = Failure::of(&anyhow::Error::new(refused).context("get"));
        assert_eq!(failure.to_string(), "ResourceNotFound.Function: get: there is no f");
        let shown: serde_json::Value = serde_json::from_str(&failure.json()).expect("JSON");
        let wanted = serde_json::json!({
            "code": "ResourceNotFound.Function", "message": "get: there is no f", "hint": "look", "request_id": "42",
            "exit_code": 3,
        });
        assert_eq!(shown, wanted);
        let bare: serde_json::Value =
            serde_json::from_str(&Failure::new(Exit::Connection, "gone", "").with_request_id("").json()).expect("JSON");
        assert_eq!(bare["code"], "Connection");
        assert!(bare["request_id"].is_null() && bare["hint"].is_null(), "{bare}");
    }
}
