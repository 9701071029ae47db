//! Concurrency and session affinity of a deploy: given settings replace the function's, others are
//! kept.

use serde_json::{Value, json};

use crate::args::DeployArgs;
use crate::failure::{Exit, Failure};

/// Builds `InstanceConcurrencyConfig` if a flag changes it; `kept` is the function's current one.
pub fn of(args: &DeployArgs, kept: Option<&Value>) -> anyhow::Result<Option<Value>> {
    if args.concurrency.is_none() && args.session.is_none() && args.sessions_per_instance.is_none() {
        return Ok(None);
    }
    let mut config = kept.filter(|kept| kept.is_object()).cloned().unwrap_or_else(|| json!({}));
    config["DynamicEnabled"] = "FALSE".into();
    if let Some(requests) = args.concurrency {
        config["MaxConcurrency"] = requests.into();
    }
    match args.session.as_deref() {
        Some("none") => {
            config["Type"] = "Request-Based".into();
            config["SessionConfig"] = Value::Null;
            if config.get("MaxConcurrency").is_none_or(Value::is_null) {
                config["MaxConcurrency"] = 1.into();
            }
        }
        Some(session) => {
            let (source, name) = source(session)?;
            config["Type"] = "Session-Based".into();
            config["SessionConfig"]["SessionSource"] = source.into();
            config["SessionConfig"]["SessionName"] = name.into();
        }
        None => {}
    }
    if let Some(sessions) = args.sessions_per_instance {
        if !config["SessionConfig"].is_object() {
            let message = "--sessions-per-instance needs a function with sessions";
            return Err(Failure::new(Exit::Usage, message, "Add --session, such as --session header:X-Session.").into());
        }
        config["SessionConfig"]["MaximumConcurrencySessionPerInstance"] = sessions.into();
    }
    Ok(Some(config))
}

/// Checks the arguments that can be checked without the function.
pub fn check(args: &DeployArgs) -> anyhow::Result<()> {
    match args.session.as_deref() {
        None | Some("none") => Ok(()),
        Some(session) => source(session).map(drop),
    }
}

/// Splits a session key into source and name.
fn source(session: &str) -> anyhow::Result<(&'static str, &str)> {
    let source = |source: &str| match source {
        "header" => Some("HEADER"),
        "cookie" => Some("COOKIE"),
        "query" => Some("QUERY_STRING"),
        _ => None,
    };
    let found = session.split_once(':').and_then(|(at, name)| Some((source(at)?, name)));
    found.ok_or_else(|| {
        let problem = format!("--session {session:?} is not header:NAME, cookie:NAME, query:NAME or none");
        Failure::new(Exit::Usage, problem, "").into()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn config(flags: &[&str], kept: &Value) -> Option<Value> {
        let cli = Cli::try_parse_from(["sampan", "deploy", "f"].iter().chain(flags)).expect("valid");
        let Command::Deploy(args) = cli.command else { panic!("a deploy") };
        of(&args, Some(kept)).expect("valid")
    }

    #[test]
    fn flags_change_their_own_settings_only() {
        assert_eq!(config(&["--timeout", "5"], &Value::Null), None);
        let new = config(&["--concurrency", "5"], &Value::Null);
        assert_eq!(new, Some(json!({"DynamicEnabled": "FALSE", "MaxConcurrency": 5})));
        let session = |per_instance: u32| {
            json!({
                "SessionSource": "HEADER", "SessionName": "X-Session", "MaximumTTLInSeconds": 60,
                "MaximumConcurrencySessionPerInstance": per_instance,
            })
        };
        let kept = json!({
            "DynamicEnabled": "FALSE", "Type": "Session-Based", "MaxConcurrency": 7, "SessionConfig": session(2),
        });
        let wanted = |requests: u32, per_instance: u32| {
            Some(json!({
                "DynamicEnabled": "FALSE", "Type": "Session-Based", "MaxConcurrency": requests,
                "SessionConfig": session(per_instance),
            }))
        };
        assert_eq!(config(&["--concurrency", "9"], &kept), wanted(9, 2));
        assert_eq!(config(&["--sessions-per-instance", "3"], &kept), wanted(7, 3));
        assert_eq!(config(&["--session", "header:X-Session"], &kept), wanted(7, 2));
        let ended = config(&["--session", "none"], &kept).expect("a change");
        assert_eq!((&ended["Type"], &ended["MaxConcurrency"]), (&json!("Request-Based"), &json!(7)));
    }

    #[test]
    fn sessions_per_instance_need_sessions() {
        let cli = Cli::try_parse_from(["sampan", "deploy", "f", "--sessions-per-instance", "2"]).expect("valid");
        let Command::Deploy(args) = cli.command else { panic!("a deploy") };
        assert!(of(&args, None).is_err());
    }
}
