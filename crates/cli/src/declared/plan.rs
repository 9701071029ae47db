//! Computes changes from observed and declared state. Pure.

use std::fmt;

use serde::{Serialize, Serializer};

use super::differences::{Difference, between};
use super::model::{Function, FunctionName, TriggerKey};
use super::platform::function::Observed;
use super::platform::image;

/// Fields that are fixed at creation of a function.
const FIXED: [&str; 9] =
    ["type", "websocket", "async_run", "rerun", "runtime", "stop_grace", "init", "start_check", "tags"];
/// Fields of a function's image.
const IMAGE: [&str; 6] = ["image", "registry_id", "command", "args", "port", "job"];
/// An item of a declaration or an installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    Project(String),
    Namespace(String),
    Function(FunctionName),
    /// A published version; `None` for a new one, whose number the platform assigns.
    Version(FunctionName, Option<u32>),
    Provisioned(FunctionName, u32),
    Alias(FunctionName, String),
    /// A declared trigger, by its key in the file.
    Trigger(FunctionName, String),
    /// A trigger that the file does not declare.
    StrayTrigger(FunctionName, TriggerKey),
    Domain(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(name) => write!(f, "project {name}"),
            Self::Namespace(name) => write!(f, "namespace {name}"),
            Self::Function(name) => write!(f, "function {name}"),
            Self::Version(name, Some(number)) => write!(f, "version {name}:{number}"),
            Self::Version(name, None) => write!(f, "new version of {name}"),
            Self::Provisioned(name, number) => write!(f, "provisioned instances of {name}:{number}"),
            Self::Alias(name, alias) => write!(f, "alias {name}:{alias}"),
            Self::Trigger(name, trigger) => write!(f, "trigger {trigger} of {name}"),
            Self::StrayTrigger(name, key) => {
                write!(f, "{} trigger {} of {name}:{}", key.kind, key.name, key.qualifier)
            }
            Self::Domain(name) => write!(f, "domain {name}"),
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Action on an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    Create,
    Update,
    /// The item is as declared.
    Keep,
    /// The project created the item and no longer declares it.
    Delete,
}

/// Action on an item, with its differences from the declaration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub item: Item,
    pub act: Act,
    /// Fields, from the observed to the declared value.
    pub differences: Vec<Difference>,
}

/// Parts of a function that an update changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    pub image: bool,
    pub configuration: bool,
    pub events: bool,
    pub reserved: bool,
}

/// Computes the change of a function; the declaration must have its defaults explicit.
pub fn function(name: &FunctionName, declared: &Function, observed: Option<&Observed>) -> Change {
    let (item, declared) = (Item::Function(name.clone()), &declared.clone().alone());
    let Some(observed) = observed else {
        let differences = between(&serde_json::json!({}), &declared.clone().trimmed());
        return Change { item, act: Act::Create, differences };
    };
    let differences = between(&comparable(&observed.function, declared), declared);
    let act = if differences.is_empty() { Act::Keep } else { Act::Update };
    Change { item, act, differences }
}

/// Removes from the observed state what the declaration leaves open: the digest of an image
/// declared by tag, and undeclared tags.
pub fn comparable(observed: &Function, declared: &Function) -> Function {
    let mut function = observed.clone();
    if !declared.image.contains('@') {
        function.image = image::without_digest(&function.image).to_owned();
    }
    let named = |key: &String| declared.tags.as_ref().is_some_and(|tags| tags.contains_key(key));
    function.tags = function.tags.map(|tags| tags.into_iter().filter(|(key, _)| named(key)).collect());
    function
}

/// Parts of a function that differ.
pub fn parts(differences: &[Difference]) -> Parts {
    let mut parts = Parts::default();
    for field in differences.iter().map(top) {
        match field {
            "events" => parts.events = true,
            "reserved" => parts.reserved = true,
            field if IMAGE.contains(&field) => parts.image = true,
            _ => parts.configuration = true,
        }
    }
    parts
}

/// The first difference in a field that cannot be changed.
pub fn unchangeable(differences: &[Difference]) -> Option<&Difference> {
    differences.iter().find(|difference| FIXED.contains(&top(difference)))
}

/// Top-level key of a difference.
fn top(difference: &Difference) -> &str {
    difference.field.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(image: &str) -> Function {
        Function { image: image.to_owned(), ..Function::default() }
    }

    fn there(function: Function) -> Observed {
        let function = function.filled();
        let (status, reason, revision) = ("Active".to_owned(), String::new(), String::new());
        Observed { function, temporary: false, project: None, status, reason, revision }
    }

    fn change(wanted: Function, found: Function) -> Change {
        function(&FunctionName::new("default", "f"), &wanted.filled(), Some(&there(found)))
    }

    #[test]
    fn defaults_and_digests_are_no_differences() {
        let pinned = declared("a:v1@sha256:07");
        assert_eq!(change(declared("a:v1"), pinned.clone()).act, Act::Keep);
        assert_eq!(change(Function { memory: Some(128), ..declared("a:v1") }, pinned.clone()).act, Act::Keep);
        assert_eq!(change(declared("a:v1@sha256:08"), pinned.clone()).act, Act::Update);
        let tagged = Function { tags: Some([("owner".to_owned(), "me".to_owned())].into()), ..pinned };
        assert_eq!(change(declared("a:v1"), tagged).act, Act::Keep);
    }

    #[test]
    fn differences_belong_to_their_parts() {
        let found = declared("a:v1");
        let changed = |wanted: Function| parts(&change(wanted, found.clone()).differences);
        assert_eq!(changed(declared("a:v2")), Parts { image: true, ..Parts::default() });
        let memory = Function { memory: Some(256), reserved: Some(512), ..declared("a:v1") };
        assert_eq!(changed(memory), Parts { configuration: true, reserved: true, ..Parts::default() });
        let fixed = change(Function { stop_grace: Some(5), ..declared("a:v1") }, found.clone());
        assert_eq!(unchangeable(&fixed.differences).map(|d| d.field.as_str()), Some("stop_grace"));
        assert_eq!(unchangeable(&change(declared("a:v2"), found).differences), None);
    }
}
