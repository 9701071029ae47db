//! Checks of a file beyond its types.

use std::collections::BTreeMap;

use super::release::OF_FUNCTIONS;
use super::{File, Function, FunctionName, Kind, NO_DESTINATIONS};
use crate::declared::platform::mark;
use crate::declared::yaml::error::Error;
use crate::declared::yaml::node::{Content, Node};
use crate::declared::yaml::place::Place;

/// Longest project name, in characters.
const PROJECT_LEN_MAX: usize = 40;
/// Prefix of Sampan's own tags, which have keys of their own in a file.
const OWN_TAGS: &str = "sampan:";

impl File {
    /// Checks the file; `root` is its tree, for places in errors.
    pub fn check(&self, root: &Node) -> Result<(), Error> {
        let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=PROJECT_LEN_MAX).contains(&self.project.len()) || !self.project.chars().all(inside) {
            let message = format!("{:?} is not a valid project name", self.project);
            let hint = format!("Use 1 to {PROJECT_LEN_MAX} lower-case letters, digits and '-'.");
            return Err(Error::new(place(root, &["project"]), message, hint));
        }
        refuse_variables(root)?;
        let nodes = root.functions();
        for (name, function) in &self.functions {
            let node = nodes.get(name).copied().unwrap_or(root);
            if function.provisioned.is_some() && function.publish != Some(true) {
                let message = "`provisioned` applies to published versions only";
                return Err(Error::new(place(node, &["provisioned"]), message, "Add `publish: true`."));
            }
            function.check(node)?;
        }
        Ok(())
    }
}

impl Node {
    /// Nodes of the functions in a file's tree.
    pub fn functions(&self) -> BTreeMap<FunctionName, &Self> {
        let entries = self.get("functions").map(Self::entries).unwrap_or_default();
        entries.iter().filter_map(|(key, node)| Some((key.text.parse().ok()?, node))).collect()
    }
}

impl Function {
    fn check(&self, node: &Node) -> Result<(), Error> {
        let refuse = |key: &str, message: &str, hint: &str| Err(Error::new(place(node, &[key]), message, hint));
        if self.is_job() && self.kind == Some(Kind::Web) {
            return refuse("job", "a job has no server, which a web function needs", "Leave out `type`, or `job`.");
        }
        if self.is_job() && self.port.is_some() {
            return refuse("port", "a job has no server, and thus no port", "Leave out `port`, or `job`.");
        }
        if self.async_run == Some(true) && self.kind() == Kind::Web {
            return refuse("async_run", "`async_run` is for event functions", "Add `type: event`, or `job: true`.");
        }
        if self.rerun == Some(true) && self.async_run != Some(true) {
            return refuse("rerun", "`rerun` is for functions with `async_run`", "Add `async_run: true`.");
        }
        let web_alone = [
            ("concurrency", self.concurrency.is_some()),
            ("session", self.session.is_some()),
            ("websocket", self.websocket == Some(true)),
        ];
        if let Some((key, _)) = web_alone.iter().find(|(_, is_set)| *is_set && self.kind() == Kind::Event) {
            return refuse(key, &format!("`{key}` is for web functions"), "Leave it out, or write `type: web`.");
        }
        if self.websocket_idle.is_some() && self.websocket != Some(true) {
            return refuse("websocket_idle", "`websocket_idle` is for WebSockets", "Add `websocket: true`.");
        }
        self.check_egress(node)?;
        let mounts: Vec<types::Mount> = self.mounts.iter().flatten().map(|mount| mount.0.clone()).collect();
        if let Err(problem) = types::mount::check_together(&mounts) {
            return refuse("mounts", &problem, "");
        }
        let of_parts =
            ["versions", "aliases", "triggers"].iter().filter_map(|key| node.get(key)).flat_map(Node::entries);
        for described in of_parts.map(|(_, part)| part).chain([node]).filter_map(|part| part.get("description")) {
            refuse_mark(described)?;
        }
        self.check_releases(node)?;
        self.check_triggers(node)?;
        if let Some(tag) = self.tags.iter().flatten().map(|(key, _)| key).find(|key| key.starts_with(OWN_TAGS)) {
            let message = format!("{tag:?}: tags that begin with {OWN_TAGS} are Sampan's own");
            let hint = "Write `runtime`, `stop_grace`, `init`, `start_check` or `rerun` for what they mean.";
            return Err(Error::new(place(node, &["tags", tag]), message, hint));
        }
        Ok(())
    }

    /// Rejects invalid destinations, and a value that is empty by its variables alone.
    fn check_egress(&self, node: &Node) -> Result<(), Error> {
        let emptied = |node: &Node| match &node.content {
            Content::Scalar(scalar) => scalar.substituted && scalar.is_null(),
            _ => false,
        };
        let problem = match self.egress.as_ref().map(super::Entries::egress) {
            Some(Err(problem)) => problem,
            None if node.get("egress").is_some_and(emptied) => NO_DESTINATIONS.to_owned(),
            _ => return Ok(()),
        };
        let hint = "Write addresses, ranges or names such as db.example.com:5432, any for all of them, or none.";
        Err(Error::new(place(node, &["egress"]), problem, hint))
    }

    /// Checks versions and aliases.
    fn check_releases(&self, node: &Node) -> Result<(), Error> {
        for (number, version) in self.versions.iter().flatten() {
            let of = node.get("versions").and_then(|versions| versions.get(&number.to_string())).unwrap_or(node);
            if let Some((key, _)) = of.entries().iter().find(|(key, _)| OF_FUNCTIONS.contains(&key.text.as_str())) {
                let message = format!("`{}` is the function's, not a version's", key.text);
                return Err(Error::new(key.place.clone(), message, "Write it beside `versions`."));
            }
            Self { kind: self.kind, websocket: self.websocket, ..version.0.clone() }.check(of)?;
        }
        let wrong = |keys: &[&str], message: &str| Err(Error::new(place(node, keys), message, ""));
        for (name, alias) in self.aliases.iter().flatten() {
            if alias.weights.as_ref().is_some_and(|weights| weights.len() != 1) {
                return wrong(&["aliases", name, "weights"], "`weights` must name exactly one version");
            }
            if alias.weights.is_some() && alias.rule.is_some() {
                return wrong(&["aliases", name, "match"], "an alias has `weights` or `match`, not both");
            }
            if alias.rule.as_ref().is_some_and(|rule| rule.exact.is_some() == rule.range.is_some()) {
                return wrong(&["aliases", name, "match"], "give `exact` or `range`");
            }
        }
        Ok(())
    }

    /// Whether the function is a job.
    pub fn is_job(&self) -> bool {
        self.job == Some(true)
    }

    /// The type, declared or by default.
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or(if self.is_job() { Kind::Event } else { Kind::Web })
    }
}

/// Rejects a description that ends like an ownership mark, which only deploys may write.
fn refuse_mark(description: &Node) -> Result<(), Error> {
    let Content::Scalar(scalar) = &description.content else { return Ok(()) };
    let Some(project) = mark::claimed(&scalar.text) else { return Ok(()) };
    let message = format!("the description ends with the ownership mark of project {project}");
    Err(Error::new(description.place.clone(), message, "Remove the mark; a deploy writes it."))
}

/// Rejects a function that is declared twice, as `f` and as `default/f`.
pub fn refuse_two_names(root: &Node) -> Result<(), Error> {
    let mut seen = BTreeMap::new();
    for (key, _) in root.get("functions").map(Node::entries).unwrap_or_default() {
        let Ok(name) = key.text.parse::<FunctionName>() else { continue };
        if let Some(first) = seen.insert(name, &key.place) {
            let message = format!("function `{}` is declared twice, first in {first}", key.text);
            return Err(Error::new(key.place.clone(), message, "Leave one of them out."));
        }
    }
    Ok(())
}

/// Rejects variables in keys: they are replaced in values only.
fn refuse_variables(node: &Node) -> Result<(), Error> {
    match &node.content {
        Content::Scalar(_) => Ok(()),
        Content::List(items) => items.iter().try_for_each(refuse_variables),
        Content::Map(entries) => entries.iter().try_for_each(|(key, value)| {
            if key.text.contains("${") {
                let message = format!("key `{}` contains a variable; variables are replaced in values only", key.text);
                return Err(Error::new(key.place.clone(), message, "Write the name itself."));
            }
            refuse_variables(value)
        }),
    }
}

/// Place of the value at a path of keys, or of its deepest existing ancestor.
pub(super) fn place(node: &Node, keys: &[&str]) -> Place {
    let deepest = keys.iter().try_fold(node, |node, key| node.get(key).ok_or(node));
    deepest.unwrap_or_else(|node| node).place.clone()
}
