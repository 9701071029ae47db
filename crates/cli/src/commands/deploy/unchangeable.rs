//! Settings that are fixed at creation: type, WebSockets, runtime, and those in tags.

use serde_json::Value;
use types::tags::{INIT, RERUN, START_CHECK, STOP_GRACE};

use crate::args::{DeployArgs, Kind};
use crate::client::function_type;
use crate::failure::{Exit, Failure};

/// Rejects flags that would change such a setting.
pub fn check(args: &DeployArgs, function: &Value) -> anyhow::Result<()> {
    let Some(problem) = problem(args, function) else { return Ok(()) };
    let message = format!("function {} {problem}", args.name);
    Err(Failure::new(Exit::Usage, message, "Delete it first, or deploy under another name.").into())
}

fn problem(args: &DeployArgs, function: &Value) -> Option<String> {
    let text = |name: &str| function.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = if text("Type") == "Event" { Kind::Event } else { Kind::Web };
    if args.kind.is_some_and(|wanted| wanted != kind) {
        let word = function_type(text("Type"));
        return Some(format!("is of type {word}, and a function's type cannot change"));
    }
    if args.websocket && text("ProtocolType") != "WS" {
        return Some("does not accept WebSocket connections, and that cannot change".to_owned());
    }
    let runtime = text("RuntimeClass");
    if args.runtime.as_ref().is_some_and(|wanted| wanted != runtime) {
        return Some(format!("runs under {runtime}, and a function's runtime cannot change"));
    }
    if args.stop_grace.is_some_and(|wanted| tag(function, STOP_GRACE) != Some(&wanted.to_string())) {
        let now = tag(function, STOP_GRACE).map_or("of the installation".to_owned(), |seconds| format!("{seconds} s"));
        return Some(format!("has the stop grace {now}, and a function's stop grace cannot change"));
    }
    if args.init && tag(function, INIT) != Some("on") {
        return Some("has no init, and that cannot change".to_owned());
    }
    if args.no_start_check && tag(function, START_CHECK) != Some("off") {
        return Some("has start checks, and that cannot change".to_owned());
    }
    if args.async_run && text("AsyncRunEnable") != "TRUE" {
        return Some("was made without --async-run, and that cannot change".to_owned());
    }
    if args.rerun && tag(function, RERUN) != Some("on") {
        return Some("was made without --rerun, and that cannot change".to_owned());
    }
    None
}

/// Value of a function's tag.
pub fn tag<'a>(function: &'a Value, key: &str) -> Option<&'a str> {
    let tags = function.get("Tags").and_then(Value::as_array)?;
    tags.iter().find(|tag| tag["Key"] == key).and_then(|tag| tag["Value"].as_str())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn only_flags_that_change_nothing_are_taken() {
        let function = json!({
            "Type": "HTTP", "ProtocolType": "", "RuntimeClass": "runc", "Tags": [{"Key": STOP_GRACE, "Value": "5"}],
        });
        let said = |flags: &[&str]| {
            let cli = Cli::try_parse_from(["sampan", "deploy", "f"].iter().chain(flags)).expect("valid");
            let Command::Deploy(args) = cli.command else { panic!("a deploy") };
            problem(&args, &function)
        };
        for flags in [&[][..], &["--type", "web"], &["--runtime", "runc"], &["--stop-grace", "5"]] {
            assert_eq!(said(flags), None, "{flags:?}");
        }
        for (flags, wanted) in [
            (&["--type", "event"][..], "is of type web"),
            (&["--websocket"], "WebSocket"),
            (&["--runtime", "sampan"], "runs under runc"),
            (&["--stop-grace", "6"], "has the stop grace 5 s"),
            (&["--init"], "has no init"),
            (&["--no-start-check"], "has start checks"),
            (&["--async-run"], "was made without --async-run"),
            (&["--async-run", "--rerun"], "was made without --async-run"),
        ] {
            assert!(said(flags).is_some_and(|said| said.contains(wanted)), "{flags:?}");
        }
    }
}
