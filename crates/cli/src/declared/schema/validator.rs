//! Tests the schema with a validator: it accepts what `deploy -f` accepts, and rejects all errors
//! of shape that `deploy -f` rejects.

use jsonschema::Validator;
use serde_json::{Map, Value};

use super::SCHEMA;
use crate::declared::files;
use crate::declared::yaml::load;
use crate::declared::yaml::node::{Content, Node, Style};
use crate::declared::yaml::write;

/// Variables in the files of these tests.
fn lookup(name: &str) -> Option<String> {
    match name {
        "NUMBER" => Some("512".to_owned()),
        "FLAG" => Some("true".to_owned()),
        "KIND" => Some("event".to_owned()),
        "TEXT" => Some("a".to_owned()),
        _ => None,
    }
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(SCHEMA).expect("a schema is JSON");
    jsonschema::validator_for(&schema).expect("a valid schema")
}

/// Value of a node as an editor reads it: plain scalars by YAML 1.2's core schema.
fn in_editor(node: &Node) -> Value {
    match &node.content {
        Content::List(items) => items.iter().map(in_editor).collect(),
        Content::Map(entries) => {
            Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), in_editor(node))).collect::<Map<_, _>>())
        }
        Content::Scalar(scalar) if scalar.style != Style::Plain => scalar.text.as_str().into(),
        Content::Scalar(scalar) => match scalar.text.as_str() {
            "" | "~" | "null" => Value::Null,
            "true" => true.into(),
            "false" => false.into(),
            text => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => text.into(),
            },
        },
    }
}

/// Results of deploy and of the schema for a file.
type Both = (Result<(), String>, Result<(), String>);

fn both(validator: &Validator, text: &str) -> Both {
    let deployed = files::parsed([("a.yaml", text)].into_iter(), &lookup).map(drop).map_err(|error| error.to_string());
    let node = load::load("a.yaml", text).expect("YAML");
    (deployed, validator.validate(&in_editor(&node)).map_err(|error| error.to_string()))
}

/// A file with one function.
fn with(keys: &str) -> String {
    let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
    format!("project: shop\nfunctions:\n  f:\n    image: a:v1\n{keys}")
}

/// Valid functions.
const ACCEPTED: &[&str] = &[
    "",
    "memory: 8g",
    "memory: ${NUMBER}\ntimeout: \"${NONE:-30}\"\ninit: ${FLAG}\ntype: ${KIND}\nport: ${NUMBER}",
    "timeout:\ninit:\ntype:\nmemory:\nenvironment:\nsession:\ntriggers:",
    "environment: { LIMIT: 1000000, ZEROS: 007, NO: no, ON: 'true', TIME: 12:30:00, E: '' }",
    "description: 7\ntags: { a: 1 }",
    "cpu: 0.5\nshm: 256m\nnofile: 4096\npids: 1\nreserved: 0\ntmp: 2g",
    "cpu: '2'",
    "command: sh -c 'a b'\nargs: [a, 8080]",
    "mounts: [files/a:/data:ro]\nhost_ports: [5432, 80]\negress: [10.0.0.0/8, db.example.com:5432]",
    "egress: none\nenv_file: a.env",
    "env_file: [a.env, b.env]",
    "secrets: { A: db, B: db@3 }\nsecret_files: { tls/key.pem: web-key }",
    "session: { source: header, name: x, ttl: 60, when_idle: pause }\nconcurrency: 4",
    "websocket: true\nwebsocket_idle: 60",
    "type: event\nasync_run: true\nrerun: true\nevents: { retries: 1, ttl: 600 }",
    "job: true\nstop_grace: 5\nstart_check: false\nruntime: runc",
    "publish: true\nprovisioned: { number: 1 }",
    "publish: true\nprovisioned: { utilization: 0.6, max: 4, at: [{ cron: 0 0 8 * * * *, number: 3 }] }",
    "versions:\n  1: { image: a, timeout: 10 }\n  3: { image: b, provisioned: { number: 2 } }",
    "aliases:\n  a: { version: newest, description: x }\n  b: { version: 1, weights: { 2: 0.05 } }",
    "aliases: { c: { version: 1, match: { version: 2, header: x, exact: 1 } }, d: { version: $LATEST } }",
    "triggers: { t: { cron: 0 3 * * *, zone: UTC, argument: go, paused: true, max_age: 60, rate: 5, concurrency: 1 } }",
    "triggers: { h: { type: webhook, name: g, qualifier: 1, desc: { Scheme: github, Secret: '${A}', D: [1, {}] } } }",
];

/// Errors of shape, which both reject.
const REFUSED: &[&str] = &[
    "memroy: 512",
    "timeout: '512'",
    "timeout: 1.5",
    "timeout: -1",
    "timeout: 5000000000",
    "memory: 5000000000",
    "memory: 8x",
    "memory: 1.5",
    "memory: [1]",
    "port: 70000",
    "init: yes",
    "init: 1",
    "type: wbe",
    "type: 1",
    "environment:\n  A: true",
    "environment:\n  A: 1.10",
    "environment:\n  A:",
    "environment:\n  A: [x]",
    "environment: [A=b]",
    "tags: { a: false }",
    "tags: { 'sampan:init': 'on' }",
    "command: 5",
    "command: { a: b }",
    "args: [[a]]",
    "cpu: fast",
    "cpu: -1",
    "mounts: files:/x",
    "mounts: [files]",
    "mounts: [1]",
    "host_ports: [http]",
    "host_ports: 80",
    "egress: { a: b }",
    "egress: []",
    "egress: ''",
    "secrets: { A: b@x }",
    "secrets: { A: 'b c' }",
    "session: { source: header }",
    "session: { source: body, name: x }",
    "events: { retry: 1 }",
    "versions: { 01: { image: a } }",
    "versions: { 1: { timeout: 5 } }",
    "versions: { 1: { image: a, init: true } }",
    "versions: { 1: { image: a, memroy: 1 } }",
    "versions: [{ image: a }]",
    "publish: true\nprovisioned: 1",
    "publish: true\nprovisioned: { number: 1, mni: 1 }",
    "publish: true\nprovisioned: { at: [{ cron: x }] }",
    "publish: true\nprovisioned: { number: 1, utilization: 0.5, max: 2 }",
    "publish: true\nprovisioned: { utilization: 0.5 }",
    "publish: true\nprovisioned: { number: 1, min: 1 }",
    "publish: true\nprovisioned: {}",
    "provisioned: { number: 1 }",
    "aliases: { a: { wieghts: {}, version: 1 } }",
    "aliases: { a: { description: x } }",
    "aliases: { a: { version: 1, weights: { 2: 0.1, 3: 0.1 } } }",
    "aliases: { a: { version: 1, weights: {} } }",
    "aliases: { a: { version: 1, weights: { 2: x } } }",
    "aliases: { a: { version: 1, match: { version: 2, header: x } } }",
    "aliases: { a: { version: 1, match: { version: 2, header: x, exact: a, range: b } } }",
    "aliases: { a: { version: 1, weights: { 2: 0.1 }, match: { version: 2, header: x, exact: a } } }",
    "triggers: { t: { crno: x } }",
    "triggers: { t: { desc: [a] } }",
    "triggers: { t: cron }",
    "websocket_idle: 5",
    "rerun: true",
    "job: true\nport: 80",
    "job: true\ntype: web",
];

/// Errors of spelling, or of several values together, which only deploy detects.
const OF_DEPLOY: &[&str] = &[
    "timeout: 1e3",
    "timeout: 3.0",
    "environment: { A: 1.0 }",
    "timeout: 0512",
    "command: sh -c 'x",
    "cpu: 0.12345",
    "mounts: ['a:/x', 'b:/x/y']",
    "egress: [10.0.0.0/99]",
    "egress: \"${NONE:-}\"",
    "triggers: { t: { desc: { cron: 0 3 * * * } } }",
    "description: ${NONE}",
    "timeout: ${TEXT}",
    "type: event\nconcurrency: 2",
    "async_run: true",
];

#[test]
fn the_schema_accepts_what_is_deployed() {
    let validator = validator();
    let files = ACCEPTED.iter().map(|keys| with(keys));
    let whole = [
        "project: 7\n",
        "project: ${TEXT}\nfunctions: {}\n",
        "project: p\nfunctions: { team/f: { image: 7 } }\n",
        "project: p\ndomains: { a.example.com: { protocol: both, certificate: c, routes: { /*: f:live } } }\n",
        "project: p\ndomains: { a: { routes: { /x/*: { function: f, rewrites: [{ path: /x/*, to: /$ }] } } } }\n",
    ];
    let said = |text: String| (both(&validator, &text), text);
    let wrong: Vec<_> =
        files.chain(whole.map(str::to_owned)).map(said).filter(|(said, _)| *said != (Ok(()), Ok(()))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_written_again_is_valid_and_the_same() {
    let validator = validator();
    for keys in ACCEPTED {
        let read = |text: &str| files::parsed([("a.yaml", text)].into_iter(), &lookup).map(|(file, _)| file);
        let file = read(&with(keys)).expect("valid");
        let written = write::document(&serde_json::to_value(&file).expect("a file is JSON"));
        assert_eq!(both(&validator, &written), (Ok(()), Ok(())), "{written}");
        assert_eq!(read(&written).expect("valid"), file, "{written}");
    }
}

#[test]
fn the_schema_refuses_mistakes_of_shape() {
    let validator = validator();
    let files = REFUSED.iter().map(|keys| with(keys));
    let whole = [
        "functions: {}\n",
        "project: Shop\n",
        "project: ''\n",
        "project: true\n",
        "project: p\nfunctions: { 'a/b/c': { image: x } }\n",
        "project: p\nfunctions: { 'a:b': { image: x } }\n",
        "project: p\nfunctions: { f: { memory: 128 } }\n",
        "project: p\nfunctions: { f: }\n",
        "project: p\nfunctions:\n",
        "project: p\nfunction: {}\n",
        "project: p\ndomains: { a: {} }\n",
        "project: p\ndomains: { a: { routes: { /*: 5 } } }\n",
        "project: p\ndomains: { a: { protocol: tcp, routes: {} } }\n",
        "project: p\ndomains: { a: { routes: { /*: { function: f, rewrite: [] } } } }\n",
        "[project]\n",
        "text\n",
    ];
    let said = |text: String| (both(&validator, &text), text);
    let is_accepted = |(said, _): &(Both, String)| said.0.is_ok() || said.1.is_ok();
    let wrong: Vec<_> = files.chain(whole.map(str::to_owned)).map(said).filter(is_accepted).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_spelling_and_meaning_are_left_to_deploy() {
    let validator = validator();
    let said = |keys: &&str| (both(&validator, &with(keys)), (*keys).to_owned());
    let wrong: Vec<_> = OF_DEPLOY.iter().map(said).filter(|(said, _)| said.0.is_ok() || said.1.is_err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_samples_of_the_documents_are_valid() {
    let validator = validator();
    let documents = [
        include_str!("../../../../../docs/DECLARED.md"),
        include_str!("../../../../../README.md"),
        include_str!("../../../../../docs/TRIGGERS.md"),
        include_str!("../../../../../docs/SECRETS.md"),
    ];
    let blocks = documents.iter().flat_map(|text| text.split("```yaml\n").skip(1));
    let samples: Vec<&str> = blocks.filter_map(|block| block.split("```").next()).collect();
    let whole: Vec<&&str> = samples.iter().filter(|text| text.starts_with("project:")).collect();
    assert!(!whole.is_empty(), "no sample was found");
    for text in whole {
        assert_eq!(both(&validator, text), (Ok(()), Ok(())), "{text}");
    }
}
