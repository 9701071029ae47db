//! Converts a function from the answer of `GetFunction` to the model, and from the model to
//! requests.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use types::limits::JOB_PORT;
use types::tags::{INIT, RERUN, RUNTIME, START_CHECK, STOP_GRACE, TEMPORARY};

use super::{extras, image, mark};
use crate::declared::model::{Cores, Entries, Function, FunctionName, Kind, Session, SessionSource, WhenIdle, Words};

/// Tag of functions and domains that a project created; its value is the ownership mark.
pub const DECLARED: &str = "sampan:declared";

/// An existing function.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The function with every default explicit.
    pub function: Function,
    /// Whether the platform deletes it when it is idle.
    pub temporary: bool,
    /// The project that created it.
    pub project: Option<String>,
    pub status: String,
    /// Message of the last failed change.
    pub reason: String,
    /// Revision, for publishing exactly this state; empty for a published version.
    pub revision: String,
}

/// Reads an answer of `GetFunction`.
pub fn observed(answer: &Value, own_registry: &str) -> Observed {
    let tags = pairs(answer, "/Tags");
    let tag = |key: &str| tags.get(key).cloned();
    let port = answer.pointer("/ImageConfig/ImagePort").and_then(Value::as_i64).unwrap_or_default();
    let job = port == i64::from(JOB_PORT);
    let concurrency = answer.get("InstanceConcurrencyConfig").unwrap_or(&Value::Null);
    let function = Function {
        kind: Some(if text(answer, "/Type") == "Event" { Kind::Event } else { Kind::Web }),
        image: image::short(text(answer, "/ImageConfig/ImageUri"), own_registry),
        registry_id: Some(text(answer, "/ImageConfig/RegistryId").to_owned()),
        command: words(answer, "Command"),
        args: words(answer, "Args"),
        port: u16::try_from(port).ok(),
        job: Some(job),
        memory: number(answer, "/MemorySize"),
        timeout: number(answer, "/Timeout"),
        init_timeout: number(answer, "/InitTimeout"),
        environment: Some(pairs(answer, "/Environment/Variables")),
        env_file: None,
        secrets: None,
        secret_files: Some(extras::secret_files(answer)),
        tmp: number(answer, "/Sampan/TmpMb"),
        cpu: number(answer, "/Sampan/CpuMilli").map(Cores),
        shm: number(answer, "/Sampan/ShmMb"),
        nofile: number(answer, "/Sampan/FilesMax"),
        pids: number(answer, "/Sampan/PidsMax"),
        mounts: Some(extras::mounts(answer)),
        egress: Some(Entries(extras::texts(answer, "/Sampan/Egress"))).filter(|Entries(list)| !list.is_empty()),
        host_ports: Some(extras::ports(answer)),
        concurrency: number(concurrency, "/MaxConcurrency"),
        session: session(concurrency),
        websocket: Some(text(answer, "/ProtocolType") == "WS"),
        websocket_idle: answer.pointer("/ProtocolParams/WSParams/IdleTimeOut").and_then(Value::as_u64),
        public_network: Some(text(answer, "/PublicNetConfig/PublicNetStatus") != "DISABLE"),
        description: Some(text(answer, "/Description").to_owned()),
        on_success: Some(text(answer, "/OnSuccess").to_owned()),
        on_failure: Some(text(answer, "/OnFailure").to_owned()),
        async_run: Some(text(answer, "/AsyncRunEnable") == "TRUE"),
        rerun: tag(RERUN).map(|value| value == "on"),
        runtime: tag(RUNTIME),
        stop_grace: tag(STOP_GRACE).and_then(|value| value.parse().ok()),
        init: tag(INIT).map(|value| value == "on"),
        start_check: tag(START_CHECK).map(|value| value != "off"),
        tags: Some(tags.iter().filter(|(key, _)| !key.starts_with("sampan:")).map(owned).collect()),
        events: None,
        reserved: None,
        publish: None,
        provisioned: None,
        versions: None,
        aliases: None,
        triggers: None,
    };
    Observed {
        function: function.filled(),
        temporary: tags.contains_key(TEMPORARY),
        project: project(answer),
        status: text(answer, "/Status").to_owned(),
        reason: text(answer, "/StatusReasons/0/ErrorMessage").to_owned(),
        revision: text(answer, "/RevisionId").to_owned(),
    }
}

/// The project that created a function, from an entry of a list or an answer of `GetFunction`.
pub fn project(entry: &Value) -> Option<String> {
    let name = FunctionName::new(text(entry, "/Namespace"), text(entry, "/FunctionName"));
    let tag = pairs(entry, "/Tags").remove(DECLARED)?;
    mark::project(&tag, &name.to_string()).map(str::to_owned)
}

/// Request of `CreateFunction`; the function must have its defaults explicit.
pub fn creation(name: &FunctionName, function: &Function, project: &str, uri: &str) -> Value {
    let mut request = named(name);
    request.extend(settings(function));
    request.insert("Type".to_owned(), kind_word(function.kind()).into());
    request.insert("Code".to_owned(), json!({"ImageConfig": image_config(function, uri)}));
    if function.async_run == Some(true) {
        request.insert("AsyncRunEnable".to_owned(), "TRUE".into());
    }
    if function.websocket == Some(true) {
        request.insert("ProtocolType".to_owned(), "WS".into());
    }
    let tags = all_tags(function, &mark::tag(project, &name.to_string()));
    request
        .insert("Tags".to_owned(), tags.into_iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect());
    request.into()
}

/// Request of `UpdateFunctionCode`, which also changes settings.
pub fn code_change(name: &FunctionName, function: &Function, uri: &str) -> Value {
    let mut request = named(name);
    request.extend(settings(function));
    request.insert("Code".to_owned(), json!({"ImageConfig": image_config(function, uri)}));
    request.into()
}

/// Request of `UpdateFunctionConfiguration`.
pub fn configuration_change(name: &FunctionName, function: &Function) -> Value {
    let mut request = named(name);
    request.extend(settings(function));
    request.into()
}

/// Request fields that identify a function.
pub fn named(name: &FunctionName) -> Map<String, Value> {
    let text = |text: &str| Value::from(text.to_owned());
    Map::from_iter([("FunctionName".to_owned(), text(&name.name)), ("Namespace".to_owned(), text(&name.namespace))])
}

/// The API's name for a type.
fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Web => "HTTP",
        Kind::Event => "Event",
    }
}

/// All settings that can change. Empty ones are included, which removes them.
fn settings(function: &Function) -> Map<String, Value> {
    let variables = function.environment.iter().flatten().map(|(key, value)| json!({"Key": key, "Value": value}));
    let mut settings = Map::from_iter([
        ("MemorySize".to_owned(), json!(function.memory)),
        ("Timeout".to_owned(), json!(function.timeout)),
        ("InitTimeout".to_owned(), json!(function.init_timeout)),
        ("Description".to_owned(), json!(function.description)),
        ("OnSuccess".to_owned(), json!(function.on_success)),
        ("OnFailure".to_owned(), json!(function.on_failure)),
        ("Environment".to_owned(), json!({ "Variables": variables.collect::<Vec<_>>() })),
        ("Sampan".to_owned(), extras::object(function)),
        ("PublicNetConfig".to_owned(), public_network(function.public_network != Some(false))),
    ]);
    if function.kind() == Kind::Web {
        settings.insert("InstanceConcurrencyConfig".to_owned(), concurrency(function));
    }
    if function.websocket == Some(true) {
        let params = json!({"WSParams": {"IdleTimeOut": function.websocket_idle}});
        settings.insert("ProtocolParams".to_owned(), params);
    }
    settings
}

fn public_network(on: bool) -> Value {
    json!({ "PublicNetStatus": if on { "ENABLE" } else { "DISABLE" } })
}

fn concurrency(function: &Function) -> Value {
    let Some(session) = &function.session else {
        // An empty text disables concurrency: one request at a time.
        return match function.concurrency {
            None | Some(1) => json!({ "DynamicEnabled": "" }),
            Some(requests) => json!({"DynamicEnabled": "FALSE", "MaxConcurrency": requests}),
        };
    };
    let source = match session.source {
        SessionSource::Header => "HEADER",
        SessionSource::Cookie => "COOKIE",
        SessionSource::Query => "QUERY_STRING",
    };
    json!({
        "DynamicEnabled": "FALSE", "MaxConcurrency": function.concurrency, "Type": "Session-Based",
        "SessionConfig": {
            "SessionSource": source, "SessionName": session.name,
            "MaximumConcurrencySessionPerInstance": session.per_instance,
            "MaximumTTLInSeconds": session.ttl, "MaximumIdleTimeInSeconds": session.idle,
            "IdleTimeoutStrategy": if session.when_idle == Some(WhenIdle::Pause) { "PAUSE" } else { "FATAL" },
        },
    })
}

fn session(config: &Value) -> Option<Session> {
    if text(config, "/Type") != "Session-Based" {
        return None;
    }
    let config = config.get("SessionConfig")?;
    let number = |name: &str| config.get(name).and_then(Value::as_u64);
    Some(Session {
        source: match text(config, "/SessionSource") {
            "COOKIE" => SessionSource::Cookie,
            "QUERY_STRING" => SessionSource::Query,
            _ => SessionSource::Header,
        },
        name: text(config, "/SessionName").to_owned(),
        per_instance: number("MaximumConcurrencySessionPerInstance"),
        ttl: number("MaximumTTLInSeconds"),
        idle: number("MaximumIdleTimeInSeconds"),
        when_idle: Some(if text(config, "/IdleTimeoutStrategy") == "PAUSE" { WhenIdle::Pause } else { WhenIdle::End }),
    })
}

fn image_config(function: &Function, uri: &str) -> Value {
    let registry = function.registry_id.clone().unwrap_or_default();
    let port = function.port.map_or(i64::from(JOB_PORT), i64::from);
    let mut image = Map::from_iter([
        ("ImageType".to_owned(), if registry.is_empty() { "personal" } else { "enterprise" }.into()),
        ("ImageUri".to_owned(), uri.into()),
        ("ImagePort".to_owned(), port.into()),
    ]);
    if !registry.is_empty() {
        image.insert("RegistryId".to_owned(), registry.into());
    }
    for (field, words) in [("Command", &function.command), ("Args", &function.args)] {
        if let Some(Words(list)) = words {
            image.insert(format!("{field}List"), json!(list));
        }
    }
    image.into()
}

/// Tags of a new function: the user's, those that stand for settings, and the ownership mark.
fn all_tags(function: &Function, mark: &str) -> BTreeMap<String, String> {
    let switch = |on: Option<bool>, value: bool, word: &str| (on == Some(value)).then(|| word.to_owned());
    let own = [
        (RUNTIME, function.runtime.clone()),
        (STOP_GRACE, function.stop_grace.map(|seconds| seconds.to_string())),
        (INIT, switch(function.init, true, "on")),
        (START_CHECK, switch(function.start_check, false, "off")),
        (RERUN, switch(function.rerun, true, "on")),
        (DECLARED, Some(mark.to_owned())),
    ];
    let own = own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    function.tags.iter().flatten().map(owned).chain(own).collect()
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> Option<u32> {
    value.pointer(pointer).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}

/// Reads a list of objects with `Key` and `Value`.
fn pairs(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter().flatten().map(|pair| (text(pair, "/Key").to_owned(), text(pair, "/Value").to_owned())).collect()
}

/// Reads the words of a field, from its text (separated by blanks) or from its list.
fn words(answer: &Value, field: &str) -> Option<Words> {
    let plain = text(answer, &format!("/ImageConfig/{field}"));
    if !plain.is_empty() {
        return Some(Words(plain.split_whitespace().map(str::to_owned).collect()));
    }
    let list = answer.pointer(&format!("/ImageConfig/{field}List")).and_then(Value::as_array);
    let list: Vec<String> = list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    (!list.is_empty()).then_some(Words(list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::model::Mount;

    /// Answer of the platform after such a request.
    fn answered(request: &Value) -> Value {
        let mut answer = request.clone();
        answer["ImageConfig"] = request["Code"]["ImageConfig"].clone();
        answer["Status"] = "Active".into();
        let off = answer["InstanceConcurrencyConfig"]["DynamicEnabled"] == "";
        if off {
            answer["InstanceConcurrencyConfig"] = Value::Null;
        }
        answer
    }

    #[test]
    fn a_request_asks_for_what_the_answer_is_read_as() {
        let name = FunctionName::new("team", "f");
        let session = Session {
            source: SessionSource::Cookie,
            name: "session".to_owned(),
            per_instance: Some(2),
            ttl: None,
            idle: Some(60),
            when_idle: Some(WhenIdle::Pause),
        };
        let map = |key: &str, value: &str| Some(BTreeMap::from([(key.to_owned(), value.to_owned())]));
        let bare = || Function { image: "a:v1".to_owned(), ..Function::default() };
        let full = Function {
            command: Some(Words(vec!["sh".to_owned(), "-c".to_owned(), "a b".to_owned()])),
            memory: Some(512),
            cpu: Some(Cores(1_500)),
            shm: Some(128),
            tmp: Some(2048),
            secrets: Some(BTreeMap::from([("PASSWORD".to_owned(), "db@3".parse().expect("a reference"))])),
            secret_files: Some(BTreeMap::from([("tls/key.pem".to_owned(), "web-key".parse().expect("a reference"))])),
            nofile: Some(4096),
            pids: Some(64),
            mounts: Some(vec![Mount(types::Mount::parse("files/a:/data:ro,uid=20000").expect("a mount"))]),
            egress: Some(Entries(vec!["10.0.0.0/8".to_owned(), "db.example.com:5432".to_owned()])),
            host_ports: Some(vec![3306, 5432]),
            environment: map("A", "b=c"),
            session: Some(session),
            websocket: Some(true),
            websocket_idle: Some(60),
            public_network: Some(false),
            stop_grace: Some(5),
            init: Some(true),
            start_check: Some(false),
            runtime: Some("runc".to_owned()),
            tags: map("owner", "me"),
            registry_id: Some("tcr-1".to_owned()),
            ..bare()
        };
        let job = Function { job: Some(true), async_run: Some(true), rerun: Some(true), ..bare() };
        for function in [bare(), full, job, Function { concurrency: Some(7), ..bare() }] {
            let filled = function.filled();
            let request = creation(&name, &filled, "shop", "r:7070/a:v1");
            let read = observed(&answered(&request), "r:7070");
            assert_eq!((read.function, read.project.as_deref()), (filled, Some("shop")));
        }
    }

    #[test]
    fn a_setting_that_is_left_out_is_taken_away() {
        let bare = Function { image: "a".to_owned(), ..Function::default() }.filled();
        let request = configuration_change(&FunctionName::new("default", "f"), &bare);
        assert_eq!((&request["Description"], &request["OnSuccess"]), (&json!(""), &json!("")));
        assert_eq!((&request["MemorySize"], &request["Environment"]), (&json!(128), &json!({"Variables": []})));
        assert_eq!(request["InstanceConcurrencyConfig"], json!({"DynamicEnabled": ""}));
        assert_eq!(request.get("Code"), None);
    }
}
