//! `sampan get`: shows all settings and states of a function.

use serde_json::{Value, json};
use types::tags::{INIT, RERUN, START_CHECK, STOP_GRACE, TEMPORARY};

use crate::args::{Connection, NameArgs, Output};
use crate::client::{Client, function_type};
use crate::commands::deploy::unchangeable::tag;
use crate::{output, terminal};

/// Fields of the text output with their labels; JSON output has all fields.
const SHOWN: &[(&str, &str)] = &[
    ("function", "/FunctionName"),
    ("namespace", "/Namespace"),
    ("id", "/FunctionId"),
    ("type", "/Type"),
    ("status", "/Status"),
    ("detail", "/StatusDesc"),
    ("image", "/ImageConfig/ImageUri"),
    ("command", "/ImageConfig/Command"),
    ("command", "/ImageConfig/CommandList"),
    ("args", "/ImageConfig/Args"),
    ("args", "/ImageConfig/ArgsList"),
    ("port", "/ImageConfig/ImagePort"),
    ("memory MB", "/MemorySize"),
    ("cpu milli", "/Sampan/CpuMilli"),
    ("shm MB", "/Sampan/ShmMb"),
    ("tmp MB", "/Sampan/TmpMb"),
    ("open files", "/Sampan/FilesMax"),
    ("processes", "/Sampan/PidsMax"),
    ("egress", "/Sampan/Egress"),
    ("host ports", "/Sampan/HostPorts"),
    ("timeout s", "/Timeout"),
    ("init timeout s", "/InitTimeout"),
    ("async run", "/AsyncRunEnable"),
    ("concurrency", "/InstanceConcurrencyConfig/MaxConcurrency"),
    ("sessions by", "/InstanceConcurrencyConfig/SessionConfig/SessionName"),
    ("sessions in an instance", "/InstanceConcurrencyConfig/SessionConfig/MaximumConcurrencySessionPerInstance"),
    ("runtime", "/RuntimeClass"),
    ("description", "/Description"),
    ("version", "/FunctionVersion"),
    ("added", "/AddTime"),
    ("modified", "/ModTime"),
];

/// Serving state, shown after a failed change.
const SERVING: &[(&str, &str)] = &[
    ("serving image", "/Serving/ImageConfig/ImageUri"),
    ("serving command", "/Serving/ImageConfig/Command"),
    ("serving args", "/Serving/ImageConfig/Args"),
    ("serving port", "/Serving/ImageConfig/ImagePort"),
    ("serving memory", "/Serving/MemorySize"),
];

/// Prints the function.
pub async fn run(connection: &Connection, args: NameArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let name = json!({"FunctionName": args.name, "Namespace": args.namespace});
    let mut function = client.call("GetFunction", &name).await?;
    client.localize(&mut function).await?;
    if format == Output::Json {
        return output::json(&function);
    }
    for (word, pointer) in SHOWN.iter().chain(SERVING) {
        match function.pointer(pointer) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::Array(list)) if list.is_empty() => {}
            // 0 means unset.
            Some(value) if pointer.starts_with("/Sampan/") && value == &Value::from(0) => {}
            Some(Value::String(switch)) if *pointer == "/AsyncRunEnable" && switch != "TRUE" => {}
            Some(Value::String(kind)) if *pointer == "/Type" => println!("{word:15} {}", function_type(kind)),
            Some(Value::String(text)) => println!("{word:15} {}", terminal::line(text)),
            Some(value) => println!("{word:15} {value}"),
        }
    }
    let tags = [
        ("stop grace s", STOP_GRACE),
        ("init", INIT),
        ("start check", START_CHECK),
        ("rerun", RERUN),
        ("temporary s", TEMPORARY),
    ];
    for (word, name) in tags {
        if let Some(value) = tag(&function, name) {
            println!("{word:15} {value}");
        }
    }
    for (word, pointer) in [("env", "/Environment/Variables"), ("serving env", "/Serving/Environment/Variables")] {
        for variable in entries(&function, pointer) {
            println!("{word:15} {}={}", field(variable, "Key"), terminal::line(field(variable, "Value")));
        }
    }
    for (word, pointer) in [("mount", "/Sampan/Mounts"), ("serving mount", "/Serving/Sampan/Mounts")] {
        for mount in entries(&function, pointer) {
            println!("{word:15} {}", terminal::line(&mounted(mount)));
        }
    }
    for (word, pointer) in [("secret file", "/Sampan/SecretFiles"), ("serving file", "/Serving/Sampan/SecretFiles")] {
        for file in entries(&function, pointer) {
            println!("{word:15} {}={}", field(file, "Path"), field(file, "Secret"));
        }
    }
    for reason in entries(&function, "/StatusReasons") {
        println!(
            "{:15} {}: {}",
            "reason",
            field(reason, "ErrorCode"),
            terminal::message(field(reason, "ErrorMessage"))
        );
    }
    Ok(())
}

/// Formats a mount as in `--mount`.
fn mounted(mount: &Value) -> String {
    let own = |mount: &types::wire::Mount| {
        let id = |given: Option<u32>| given.unwrap_or(types::mount::OWNER_DEFAULT);
        let parsed = types::Mount::new(&mount.volume, &mount.sub, &mount.path, mount.read_only).ok()?;
        let (user_id, group_id) = (id(mount.user_id), id(mount.group_id));
        Some(types::Mount { user_id, group_id, ..parsed }.to_string())
    };
    let read: Option<types::wire::Mount> = serde_json::from_value(mount.clone()).ok();
    read.as_ref().and_then(own).unwrap_or_else(|| mount.to_string())
}

fn entries<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
