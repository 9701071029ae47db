//! Parses a command line with clap, and corrects clap's treatment of negative numbers, of empty
//! environment variables, and of tips for values that begin with a hyphen.

use std::ffi::OsString;

use clap::builder::{Resettable, StyledStr};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, Parser};

use super::connection::without_connection;

/// Parses the arguments of a program.
///
/// # Errors
/// For an invalid command line, and for `--help` and `--version`.
pub fn parse<L: Parser>(args: impl IntoIterator<Item = OsString>) -> Result<L, clap::Error> {
    let mut command = adjusted(L::command());
    let corrected = |error| with_right_tip(without_connection(error));
    let matches = command.try_get_matches_from_mut(args).map_err(corrected)?;
    L::from_arg_matches(&matches).map_err(|error| corrected(error.format(&mut command)))
}

/// Adjusts a command: options accept negative numbers, so that these are rejected by range and not
/// as unknown options, and an empty environment variable counts as unset.
fn adjusted(command: Command) -> Command {
    command.mut_args(adjusted_arg).mut_subcommands(adjusted)
}

fn adjusted_arg(arg: Arg) -> Arg {
    let is_empty = arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
    let arg = if is_empty { arg.env(Resettable::Reset) } else { arg };
    let takes_values = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_values && !arg.is_positional() { arg.allow_negative_numbers(true) } else { arg }
}

/// Corrects an error's tip: clap advises `-- -x` even if an option lacks its value.
fn with_right_tip(mut error: clap::Error) -> clap::Error {
    let (ErrorKind::UnknownArgument, Some(ContextValue::String(arg))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return error;
    };
    if matches!(arg.as_str(), "--qualifier" | "--version") {
        let tip = "a version or an alias is named with its function: NAME:VERSION, NAME:ALIAS";
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return error;
    }
    let advises = |tip: &StyledStr| tip.to_string().contains(&format!("'-- {arg}'"));
    let tip = StyledStr::from("to pass a value that begins with a hyphen to an option, write --option=VALUE");
    if let Some(ContextValue::StyledStrs(tips)) = error.get(ContextKind::Suggested) {
        let tips = tips.iter().map(|old| if advises(old) { tip.clone() } else { old.clone() }).collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;

    fn refused(line: &[&str]) -> String {
        let line = ["sampan"].iter().chain(line).map(OsString::from);
        parse::<Cli>(line).err().expect("it is refused").render().to_string()
    }

    #[test]
    fn a_negative_number_is_refused_by_its_range() {
        for (line, wanted) in [
            (&["deploy", "f", "--memory", "-5"][..], "\"-5\" is not a size"),
            (&["deploy", "f", "--pids", "-5"], "-5 is not in 0..=4294967295"),
            (&["deploy", "f", "--port", "-1"], "-1 is not in 1..=65535"),
            (&["logs", "f", "--limit", "-1"], "-1 is not in 1..=10000"),
            (&["rollout", "f", "--alias", "a", "--to", "-1"], "-1 is not in 1..=4294967295"),
        ] {
            let shown = refused(line);
            assert!(shown.contains(wanted) && !shown.contains("tip:"), "{line:?}: {shown}");
        }
    }

    #[test]
    fn the_tip_for_a_value_with_a_hyphen_works() {
        let shown = refused(&["logs", "f", "--since", "-5m"]);
        assert!(shown.contains("write --option=VALUE") && !shown.contains("-- -5"), "{shown}");
        assert!(refused(&["logs", "f", "--since=-5m"]).contains("neither a time before now"));
    }

    #[test]
    fn a_version_is_named_with_its_function() {
        for option in ["--version", "--qualifier"] {
            let shown = refused(&["invoke", "f", option, "1"]);
            assert!(shown.contains("NAME:VERSION") && !shown.contains("similar"), "{shown}");
        }
    }

    #[test]
    fn ids_and_requests_are_checked_before_anything_is_sent() {
        for (line, wanted) in [
            (&["logs", "f", "--request-id", ""][..], "--request-id"),
            (&["logs", "f", "--instance", ""], "--instance"),
            (&["invoke", "--result", ""], "--result"),
            (&["invoke", "f", "-X", "BAD METHOD"], "invalid value 'BAD METHOD' for '--method"),
            (&["invoke", "f", "-H", "x user: ann"], "is not a header's name"),
        ] {
            let shown = refused(line);
            assert!(shown.contains(wanted), "{line:?}: {shown}");
        }
    }
}
