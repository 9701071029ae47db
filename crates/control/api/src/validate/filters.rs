//! `Filters` of `ListFunctions`, split into those that the store evaluates and the rest.

use serde_json::Value;
use store::{FunctionQuery, ListedFunction};
use types::wire::Filter;
use types::{ApiError, ErrorCode, FunctionKind, Status};

use super::code::RUNTIME;
use super::{invalid, quoted};

/// Most filters of one request.
const FILTERS_MAX: usize = 10;
/// Most values of one filter.
const VALUES_MAX: usize = 20;
/// Prefix of filters on tags; the tag's name follows.
const TAG: &str = "tag-";

/// Filtered fields and their JSON pointers in a version's stored API objects.
const CARRIED: [(&str, &str); 6] = [
    ("VpcId", "/VpcConfig/VpcId"),
    ("SubnetId", "/VpcConfig/SubnetId"),
    ("ClsTopicId", "/ClsTopicId"),
    ("ClsLogsetId", "/ClsLogsetId"),
    ("Role", "/Role"),
    ("PublicNetStatus", "/PublicNetConfig/PublicNetStatus"),
];
/// Default of `PublicNetStatus`; other unset fields are empty.
const PUBLIC_NET_DEFAULT: &str = "ENABLE";

/// A condition that the store cannot evaluate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Matches nothing.
    Never,
    /// The tag has one of the values.
    Tag { key: String, values: Vec<String> },
    /// The field of the stored API objects has one of the values.
    Carried { pointer: &'static str, values: Vec<String> },
    /// A mount has one of the values in this field.
    Mount { field: &'static str, values: Vec<String> },
}

impl Condition {
    /// Whether a function matches the condition.
    pub(crate) fn matches(&self, function: &ListedFunction) -> bool {
        let carried = &function.latest.desired.carried;
        match self {
            Self::Never => false,
            Self::Tag { key, values } => {
                function.record.tags.iter().any(|(name, value)| name == key && values.contains(value))
            }
            Self::Carried { pointer, values } => {
                let found = at(carried, pointer).and_then(Value::as_str);
                let unset = if *pointer == "/PublicNetConfig/PublicNetStatus" { PUBLIC_NET_DEFAULT } else { "" };
                values.iter().any(|value| value == found.unwrap_or(unset))
            }
            Self::Mount { field, values } => {
                let mounts = at(carried, "/CfsConfig/CfsInsList").and_then(Value::as_array);
                let named = |mount: &Value| mount.get(field).and_then(Value::as_str).map(str::to_owned);
                let kept = || {
                    mounts.is_some_and(|mounts| mounts.iter().filter_map(named).any(|value| values.contains(&value)))
                };
                let mut own = function.latest.desired.extras.mounts.iter();
                own.any(|mount| values.iter().any(|value| value == mount.volume.as_str())) || kept()
            }
        }
    }
}

/// `Value::pointer` over a version's stored map.
fn at<'a>(carried: &'a serde_json::Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let mut steps = pointer.trim_start_matches('/').split('/');
    let first = carried.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.get(step))
}

/// Adds the filters to the store's query; returns the conditions that the store cannot evaluate.
pub(crate) fn plan(filters: &[Filter], query: &mut FunctionQuery) -> Result<Vec<Condition>, ApiError> {
    if filters.len() > FILTERS_MAX {
        let problem = format!("there are {}; at most {FILTERS_MAX} are allowed", filters.len());
        return Err(wrong("Filters", problem));
    }
    let mut conditions = Vec::new();
    for (index, filter) in filters.iter().enumerate() {
        let field = format!("Filters.{index}");
        if filters[..index].iter().any(|earlier| earlier.name == filter.name) {
            return Err(wrong(&format!("{field}.Name"), format!("{} is given more than once", quoted(&filter.name))));
        }
        conditions.extend(condition(&field, filter, query)?);
    }
    Ok(conditions)
}

fn condition(field: &str, filter: &Filter, query: &mut FunctionQuery) -> Result<Option<Condition>, ApiError> {
    let several = ["Status", "Runtime", "FunctionType", "PublicNetStatus", "AsyncRunEnable", "TraceEnable"];
    let tag = filter.name.strip_prefix(TAG).filter(|key| !key.is_empty());
    let values_max = if several.contains(&filter.name.as_str()) || tag.is_some() { VALUES_MAX } else { 1 };
    if filter.values.is_empty() || filter.values.len() > values_max {
        let problem = format!("there are {} values; use 1 to {values_max}", filter.values.len());
        return Err(wrong(&format!("{field}.Values"), problem));
    }
    let values = filter.values.clone();
    let found = match filter.name.as_str() {
        "Status" => {
            query.statuses = each(field, &values, "a state of a function", parse_status)?;
            None
        }
        "FunctionType" => {
            query.kinds = each(field, &values, "Event or HTTP", parse_kind)?;
            None
        }
        "AsyncRunEnable" => {
            query.async_run = only(each(field, &values, "TRUE or FALSE", parse_switch)?);
            None
        }
        "TraceEnable" => {
            query.trace = only(each(field, &values, "TRUE or FALSE", parse_switch)?);
            None
        }
        "Runtime" => (!values.iter().any(|value| value == RUNTIME)).then_some(Condition::Never),
        // Functions have no fixed IP addresses on this platform.
        "Eip" => Some(Condition::Never),
        "CfsId" => Some(Condition::Mount { field: "CfsId", values }),
        "CfsMountInsId" => Some(Condition::Mount { field: "MountInsId", values }),
        name => match (tag, CARRIED.iter().find(|(known, _)| *known == name)) {
            (Some(key), _) => Some(Condition::Tag { key: key.to_owned(), values }),
            (None, Some((_, pointer))) => Some(Condition::Carried { pointer, values }),
            (None, None) => return Err(unknown(field, name)),
        },
    };
    Ok(found)
}

fn each<T>(field: &str, values: &[String], wanted: &str, parse: fn(&str) -> Option<T>) -> Result<Vec<T>, ApiError> {
    let one = |(index, value): (usize, &String)| {
        let field = format!("{field}.Values.{index}");
        parse(value).ok_or_else(|| wrong(&field, format!("{} is not {wanted}", quoted(value))))
    };
    values.iter().enumerate().map(one).collect()
}

/// Both values together match everything.
fn only(wanted: Vec<bool>) -> Option<bool> {
    let first = wanted[0];
    wanted.iter().all(|value| *value == first).then_some(first)
}

fn parse_status(text: &str) -> Option<Status> {
    serde_json::from_value(Value::String(text.to_owned())).ok()
}

fn parse_kind(text: &str) -> Option<FunctionKind> {
    [FunctionKind::Event, FunctionKind::Http].into_iter().find(|kind| kind.as_str() == text)
}

fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "TRUE" => Some(true),
        "FALSE" => Some(false),
        _ => None,
    }
}

fn unknown(field: &str, name: &str) -> ApiError {
    let problem = format!(
        "{} is not a filter; use Status, Runtime, FunctionType, PublicNetStatus, AsyncRunEnable, TraceEnable, VpcId, \
         SubnetId, ClsTopicId, ClsLogsetId, Role, CfsId, CfsMountInsId, Eip, or tag- and the key of a label",
        quoted(name)
    );
    wrong(&format!("{field}.Name"), problem)
}

fn wrong(field: &str, problem: String) -> ApiError {
    invalid(ErrorCode::INVALID_VALUE_FILTERS, field, problem)
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;
