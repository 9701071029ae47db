//! Reads files into the model: YAML, overlays, variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::model::{Entries, File, Function, refuse_two_names};
use super::variables::{self, Lookup};
use super::yaml::error::Error;
use super::yaml::node::Node;
use super::yaml::{deserialize, load, merge};
use super::{text, text::STDIN};
use crate::env_file;
use crate::failure::{Exit, Failure};

/// Reads the files, later ones as overlays of earlier ones, with variables from the environment and
/// from `--vars` files.
pub fn read(paths: &[PathBuf], vars: &[PathBuf]) -> anyhow::Result<File> {
    if paths.iter().chain(vars).filter(|path| path.as_os_str() == STDIN).count() > 1 {
        return Err(Failure::new(
            Exit::Usage,
            "standard input is named more than once",
            "Give `-` once, and files for the rest.",
        )
        .into());
    }
    let mut given = BTreeMap::new();
    for path in vars {
        let (name, text) = text::read(path)?;
        given.extend(variables::file(&name, &text)?);
    }
    let lookup = |name: &str| std::env::var(name).ok().or_else(|| given.get(name).cloned());
    let texts: Vec<(String, String)> = paths.iter().map(|path| text::read(path)).collect::<anyhow::Result<_>>()?;
    let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let (mut file, root) = parsed(texts, &lookup).map_err(Failure::from)?;
    let nodes = root.functions();
    for (name, function) in &mut file.functions {
        let node = nodes.get(name).copied();
        add_variables(function, node)?;
        for (number, version) in function.versions.iter_mut().flatten() {
            let node = node.and_then(|node| node.get("versions")?.get(&number.to_string()));
            add_variables(&mut version.0, node)?;
        }
    }
    Ok(file)
}

/// Adds the variables of a function's `env_file` to its environment.
fn add_variables(function: &mut Function, node: Option<&Node>) -> anyhow::Result<()> {
    let Some(Entries(named)) = function.env_file.take() else { return Ok(()) };
    let node = node.and_then(|node| node.get("env_file"));
    let folder = node.and_then(|node| Path::new(&*node.place.file).parent()).unwrap_or(Path::new(""));
    let named: Vec<PathBuf> = named.iter().map(|name| folder.join(name)).collect();
    let mut variables: BTreeMap<_, _> = env_file::variables(&named)?.into_iter().collect();
    variables.extend(function.environment.take().unwrap_or_default());
    function.environment = Some(variables);
    Ok(())
}

/// Parses texts with file names into the model; also returns the merged tree.
pub(super) fn parsed<'a>(
    texts: impl Iterator<Item = (&'a str, &'a str)>,
    lookup: &Lookup<'_>,
) -> Result<(File, Node), Error> {
    let mut merged: Option<Node> = None;
    for (name, text) in texts {
        let node = load::load(name, text)?;
        merged = Some(match merged {
            Some(base) => {
                merge::refuse_empty(&node)?;
                merge::merged(base, node)
            }
            None => node,
        });
    }
    let mut root = merged.ok_or_else(|| serde::de::Error::custom("no file is named"))?;
    refuse_two_names(&root)?;
    variables::replace(&mut root, lookup)?;
    let file: File = deserialize::from_node(&root)?;
    file.check(&root)?;
    Ok((file, root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::model::{FunctionName, Words};
    use crate::declared::yaml::load::FILE_BYTES_MAX;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "MEMORY" => Some("512".to_owned()),
            "FLAG" => Some("true".to_owned()),
            "TRICK" => Some("a: b\n- #c".to_owned()),
            _ => None,
        }
    }

    fn read(texts: &[&str]) -> Result<File, Error> {
        let names = ["a.yaml", "b.yaml"];
        parsed(names.into_iter().zip(texts.iter().copied()), &lookup).map(|(file, _)| file)
    }

    fn function(text: &str) -> crate::declared::model::Function {
        let file = read(&[text]).expect("valid");
        file.functions.into_values().next().expect("one function")
    }

    /// A file with one function whose keys begin at line 5, column 5.
    fn with(keys: &str) -> String {
        let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
        format!("project: shop\nfunctions:\n  f:\n    image: a:v1\n{keys}")
    }

    #[test]
    fn values_reach_the_model_as_they_are_written() {
        let text = "environment:\n  PASSWORD: 'abc$def${MEMORY}'\n  BIG: 1000000\n  LONG: 12345678901234567890123\n  \
                    ZEROS: 007\n  NO: no\n  FLAG: ${FLAG}\n  TRICK: ${TRICK}\n  QUOTED: \"true\"\n  DOLLAR: a$$b$c\n";
        let function = function(&with(text));
        let environment = function.environment.expect("given");
        let of = |key: &str| environment[key].as_str();
        assert_eq!((of("PASSWORD"), of("BIG")), ("abc$def${MEMORY}", "1000000"));
        assert_eq!((of("LONG"), of("ZEROS"), of("NO")), ("12345678901234567890123", "007", "no"));
        assert_eq!((of("FLAG"), of("TRICK"), of("QUOTED"), of("DOLLAR")), ("true", "a: b\n- #c", "true", "a$b$c"));
    }

    #[test]
    fn variables_fill_fields_of_any_type() {
        let function = function(&with("memory: ${MEMORY}\ntimeout: \"${NONE:-30}\"\ninit: ${FLAG}"));
        assert_eq!((function.memory, function.timeout, function.init), (Some(512), Some(30), Some(true)));
    }

    #[test]
    fn sizes_have_units_and_volumes_and_destinations_their_forms() {
        let function = function(&with(
            "memory: 8g\ncpu: 0.5\nshm: 256m\nnofile: 4096\npids: ${MEMORY}\negress: 10.0.0.0/8, db.example.com:5432\n\
             host_ports: [5432, 3306]\nmounts:\n- files/a:/data:ro",
        ));
        let (memory, shm, cpu) = (function.memory, function.shm, function.cpu);
        assert_eq!((memory, shm, cpu.map(|cores| cores.0)), (Some(8_192), Some(256), Some(500)));
        assert_eq!((function.nofile, function.pids), (Some(4_096), Some(512)));
        let filled = function.filled();
        assert_eq!(filled.host_ports, Some(vec![3_306, 5_432]));
        let egress = ["10.0.0.0/8", "db.example.com:5432"].map(str::to_owned).to_vec();
        assert_eq!(filled.egress, Some(Entries(egress)));
        assert_eq!(filled.mounts.expect("given")[0].0.to_string(), "files/a:/data:ro");
        let any = super::tests::function(&with("egress: any\ncpu: 0\nshm: 0\nmounts: []")).filled();
        assert_eq!((any.egress, any.cpu, any.shm, any.mounts), (None, None, None, None));
    }

    #[test]
    fn files_of_variables_lie_beside_the_declaration_and_it_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("a.env", "A=1\nB='$x'\n");
        write("b.env", "B=2\nC=3\n");
        write("s.yaml", &with("env_file: [a.env, b.env]\nenvironment: { C: '4' }"));
        let file = super::read(&[folder.path().join("s.yaml")], &[]).expect("valid");
        let function = file.functions.values().next().expect("one function");
        let pairs: Vec<String> = function.environment.iter().flatten().map(|(k, v)| format!("{k}{v}")).collect();
        assert_eq!(pairs, ["A1", "B2", "C4"]);
        write("s.yaml", &with("env_file: none.env"));
        let error = super::read(&[folder.path().join("s.yaml")], &[]).expect_err("refused").to_string();
        assert!(error.contains("none.env"), "{error}");
    }

    #[test]
    fn norwegian_octal_and_tabbed_files_mean_what_they_say_or_are_refused() {
        let function = function(&with("environment: { COUNTRY: no, MODE: 0755, ON: 'on', TIME: 12:30:00 }"));
        let of = |key: &str| function.environment.as_ref().map(|map| map[key].clone()).unwrap_or_default();
        assert_eq!([of("COUNTRY"), of("MODE"), of("ON"), of("TIME")], ["no", "0755", "on", "12:30:00"]);
        for keys in ["memory: 0512", "timeout: 0x10", "init: on", "memory:\t512\n\ttimeout: 3", "port: 8_080"] {
            assert!(read(&[&with(keys)]).is_err(), "{keys}");
        }
        let large = format!("# {}\nproject: p\n", "x".repeat(FILE_BYTES_MAX));
        assert!(read(&[&large]).expect_err("refused").message.contains("more than"), "a large file");
    }

    #[test]
    fn versions_aliases_triggers_and_domains_are_read() {
        let text = with(
            "publish: true\nprovisioned: { number: 1 }\nversions:\n  1: { image: a }\naliases:\n  \
             live: { version: newest, weights: { 1: 0.25 } }\ntriggers:\n  hook:\n    type: webhook\n    \
             desc: { Scheme: github, Secret: '${A}', Deep: [1, true] }",
        ) + "domains:\n  a.example.com:\n    routes:\n      /*: f:live\n      /x/*: { function: f, rewrites: \
           [{ path: /x/*, to: /$ }] }\n";
        let file = read(&[&text]).expect("valid");
        let function = file.functions.values().next().expect("one function");
        let alias = &function.aliases.as_ref().expect("given")["live"];
        assert_eq!((alias.version.as_str(), alias.leads_to("1")), ("newest", true));
        let hook = &function.triggers.as_ref().expect("given")["hook"];
        let desc = serde_json::json!({"Scheme": "github", "Secret": "${A}", "Deep": [1, true]});
        assert_eq!(serde_json::Value::from(hook.desc.clone()), desc);
        let routes = &file.domains["a.example.com"].routes;
        assert_eq!((routes["/*"].function.as_str(), routes["/x/*"].rewrites.len()), ("f:live", 1));
    }

    #[test]
    fn words_are_a_list_or_a_text() {
        let words = |text: &str| function(&with(text)).command.map(|Words(words)| words).expect("given");
        assert_eq!(words("command: sh -c 'echo a'"), ["sh", "-c", "echo a"]);
        assert_eq!(words("command: [sh, -c, \"echo a\"]"), ["sh", "-c", "echo a"]);
        assert_eq!(words("command:\n- sh\n- 8080"), ["sh", "8080"]);
    }

    #[test]
    fn an_error_names_its_place_and_the_nearest_key() {
        for (keys, place, message, hint) in [
            ("memroy: 512", "a.yaml:5:5", "`memroy` is not a known key here", "Did you mean `memory`?"),
            ("timeout: '512'", "a.yaml:5:14", "whole number", "without quotes"),
            ("timeout: 1e3", "a.yaml:5:14", "whole number", "decimal digits"),
            ("memory: 0512", "a.yaml:5:13", "whole number", ""),
            ("memory: 5000000000", "a.yaml:5:13", "5000000000", ""),
            ("port: 70000", "a.yaml:5:11", "70000", ""),
            ("init: yes", "a.yaml:5:11", "true or false", "Write true or false"),
            ("type: wbe", "a.yaml:5:11", "not one of web, event", "Did you mean `web`?"),
            ("environment:\n  A: true", "a.yaml:6:10", "found a boolean", "'true'"),
            ("environment:\n  A: 1.10", "a.yaml:6:10", "a fraction", "'1.10'"),
            ("environment:\n  A:", "a.yaml:6:8", "expected a text, found nothing", ""),
            ("environment:\n  A: [x]", "a.yaml:6:10", "found a list", ""),
            ("environment: [A=b]", "a.yaml:5:18", "expected keys, found a list", ""),
            ("environment:\n  A: !Ref x", "a.yaml:6:15", "!Ref", ""),
            ("session: { source: header }", "a.yaml:5:14", "`name` is missing", ""),
            ("description: ${NONE}", "a.yaml:5:18", "NONE is not set", "${NONE:-DEFAULT}"),
            ("memory: 128\nmemory: 256", "a.yaml:6:5", "duplicate key `memory`, first in line 5", ""),
            ("command: sh -c 'x", "a.yaml:5:14", "not closed", ""),
            ("job: true\nport: 80", "a.yaml:6:11", "no port", ""),
            ("tags: { 'sampan:init': 'on' }", "a.yaml:5:28", "Sampan's own", "`init`"),
            ("a: [", "a.yaml:", "not YAML", ""),
            ("memory: 8x", "a.yaml:5:13", "not a size", ""),
            ("memory: 1.5", "a.yaml:5:13", "a size, such as 512 (MB) or 8g", ""),
            ("cpu: 0.12345", "a.yaml:5:10", "not a number of cores", ""),
            ("mounts: [files]", "a.yaml:5:14", "NAME[/sub]:/path", ""),
            ("mounts: ['a:/x', 'b:/x/y']", "a.yaml:5:13", "in one another", ""),
            ("egress: [10.0.0.0/99]", "a.yaml:5:13", "10.0.0.0/99", "or none"),
            ("egress: []", "a.yaml:5:13", "an empty list", "or none"),
            ("egress: ''", "a.yaml:5:13", "an empty list", "any"),
            ("egress: \"${LIST:-}\"", "a.yaml:5:13", "an empty list", "or none"),
            ("egress: ${LIST:-}", "a.yaml:5:13", "an empty list", "or none"),
            ("egress: [\"${LIST:-}\"]", "a.yaml:5:13", "is neither", "or none"),
            ("versions: { 1: { image: a, egress: [] } }", "a.yaml:5:40", "an empty list", "or none"),
            ("versions: { 1: { image: a, init: true } }", "a.yaml:5:32", "is the function's", "beside `versions`"),
            ("versions: { 01: { image: a } }", "a.yaml:5:17", "not a version number", ""),
            ("versions: { 1: { image: a, memroy: 1 } }", "a.yaml:5:32", "not a known key here", "`memory`"),
            ("provisioned: { number: 1 }", "a.yaml:5:18", "published versions", "publish: true"),
            ("aliases: { a: { version: 1, wieghts: {} } }", "a.yaml:5:33", "not a known key here", "`weights`"),
            ("aliases: { a: { version: 1, weights: { 2: 0.1, 3: 0.1 } } }", "a.yaml:5:42", "exactly one version", ""),
            ("triggers: { t: { crno: x } }", "a.yaml:5:22", "not a known key here", "`cron`"),
            ("host_ports: [http]", "a.yaml:5:18", "a whole number", ""),
            (
                "triggers: { t: { type: webhook, desc: { Secrets: ['***'] } } }",
                "a.yaml:5:54",
                "placeholder of a hidden secret",
                "by a variable",
            ),
            ("triggers: { t: { desc: { cron: x } } }", "a.yaml:5:36", "`cron` is not for `desc`", "`cron` beside"),
            ("triggers: { t: { cron: x, desc: { zone: UTC } } }", "a.yaml:5:45", "`zone` is not", "`zone` beside"),
            (
                "triggers: { t: { type: webhook, desc: { max_age_s: 1 } } }",
                "a.yaml:5:56",
                "`max_age_s`",
                "`max_age` beside",
            ),
            (
                "triggers: { t: { type: cos, desc: { rate_per_minute: 1 } } }",
                "a.yaml:5:58",
                "`rate_per_",
                "`rate` beside",
            ),
            (
                "triggers: { t: { type: cos, desc: { concurrency: 1 } } }",
                "a.yaml:5:54",
                "`concurrency`",
                "beside `desc`",
            ),
            ("secrets: { A: b@x }", "a.yaml:5:19", "NAME@VERSION", ""),
        ] {
            let error = read(&[&with(keys)]).expect_err(keys);
            let shown = error.to_string();
            assert!(shown.starts_with(place) && shown.contains(message), "{keys}: {shown}");
            assert!(error.hint.contains(hint), "{keys}: {}", error.hint);
        }
    }

    #[test]
    fn an_overlay_replaces_by_key() {
        let base = with("memory: 256\ncommand: [a, b]\nenvironment: { A: '1', B: '2' }\ntimeout: ${NONE}");
        let overlay = "functions:\n  f:\n    memory: 512\n    command: [c]\n    timeout:\n    \
                       environment: { B: '3', C: '4' }\n  \
                       g: { image: b }\n";
        let file = read(&[&base, overlay]).expect("valid");
        let function = &file.functions[&FunctionName::new("default", "f")];
        assert_eq!((function.memory, function.timeout), (Some(512), None));
        assert_eq!(function.command, Some(Words(vec!["c".to_owned()])));
        let environment: Vec<_> = function.environment.iter().flatten().map(|(k, v)| format!("{k}{v}")).collect();
        assert_eq!(environment, ["A1", "B3", "C4"]);
        assert_eq!(file.functions.len(), 2);
        let wrong = read(&[&with(""), "functions: { f: { memroy: 1 } }"]).expect_err("refused").to_string();
        assert!(wrong.starts_with("b.yaml:1:19"), "{wrong}");
    }

    #[test]
    fn aliases_repeat_and_are_bounded() {
        let text = "project: p\nfunctions:\n  a: &a { image: x, memory: 256 }\n  b: *a\n";
        let file = read(&[text]).expect("valid");
        assert_eq!(file.functions[&FunctionName::new("default", "b")].memory, Some(256));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let of = format!("*a{}, ", n - 1).repeat(10);
            bomb += &format!("a{n}: &a{n} [{}]\n", of.trim_end_matches(", "));
        }
        assert!(read(&[&bomb]).expect_err("refused").message.contains("more than"), "a bomb");
        let deep = format!("project: {}x{}", "[".repeat(1000), "]".repeat(1000));
        assert!(read(&[&deep]).is_err());
    }

    #[test]
    fn names_of_projects_and_functions_are_checked() {
        for text in
            ["project: Shop", "project: ''", "functions: {}", "project: p\nfunctions: { 'a/b/c': { image: x } }"]
        {
            assert!(read(&[text]).is_err(), "{text}");
        }
        let file = read(&["project: p\nfunctions: { team/f: { image: x } }"]).expect("valid");
        assert_eq!(file.functions.keys().next().map(|name| name.namespace.as_str()), Some("team"));
    }
}
