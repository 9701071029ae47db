//! Parses the text of a pattern to its rules.

use std::net::IpAddr;

use serde_json::Value;

use super::rule::{Comparison, Network, Rule, Text, Wildcard};
use super::{Field, Invalid, Members, PATTERN_BYTES_MAX, PATTERN_DEPTH_MAX};
use crate::json::Json;
use crate::quoted;

pub(super) const RULES: &str = "prefix, suffix, anything-but, numeric, exists, cidr, equals-ignore-case or wildcard";

type Result<T> = std::result::Result<T, Invalid>;

fn wrong<T>(path: &str, why: impl Into<String>) -> Result<T> {
    Err(Invalid { path: path.to_owned(), why: why.into() })
}

pub(super) fn parse(text: &str) -> Result<Members> {
    if text.len() > PATTERN_BYTES_MAX {
        return wrong("$", format!("a pattern has at most {PATTERN_BYTES_MAX} bytes, this one {}", text.len()));
    }
    match serde_json::from_str(text) {
        Ok(Json::Object(object)) if !object.is_empty() => members("$", object, 1),
        Ok(Json::Object(_)) => wrong("$", "the pattern is empty; leave it out to take every event"),
        Ok(_) => wrong("$", "a pattern is a JSON object"),
        Err(error) => wrong("$", format!("not JSON: {error}")),
    }
}

fn members(path: &str, object: Vec<(String, Json)>, depth: usize) -> Result<Members> {
    if depth > PATTERN_DEPTH_MAX {
        return wrong(path, format!("nested deeper than {PATTERN_DEPTH_MAX}"));
    }
    if object.is_empty() {
        return wrong(path, "an empty object fits nothing; write [{\"exists\": true}] for a member that must be there");
    }
    let mut members = Members::default();
    for (name, value) in object {
        let place = format!("{path}.{}", quoted(&name));
        if name == "$or" {
            if !members.alternatives.is_empty() {
                return wrong(&place, "written twice");
            }
            members.alternatives = alternatives(&place, value, depth)?;
            continue;
        }
        if members.fields.iter().any(|(before, _)| *before == name) {
            return wrong(&place, "written twice");
        }
        let field = match value {
            Json::Object(nested) => Field::Nested(self::members(&place, nested, depth + 1)?),
            Json::Array(items) if items.is_empty() => return wrong(&place, "an empty array fits nothing"),
            Json::Array(items) => Field::OneOf(each(&place, items, rule)?),
            Json::Scalar(value) => {
                return wrong(&place, format!("{value} must stand in an array: [{value}]"));
            }
        };
        members.fields.push((name, field));
    }
    Ok(members)
}

fn alternatives(path: &str, value: Json, depth: usize) -> Result<Vec<Members>> {
    match value {
        Json::Array(items) if items.len() >= 2 => each(path, items, |place, item| match item {
            Json::Object(object) => members(place, object, depth + 1),
            _ => wrong(place, "each alternative of $or is an object"),
        }),
        _ => wrong(path, "$or is an array of at least two objects"),
    }
}

fn each<T>(path: &str, items: Vec<Json>, read: impl Fn(&str, Json) -> Result<T>) -> Result<Vec<T>> {
    items.into_iter().enumerate().map(|(index, item)| read(&format!("{path}[{index}]"), item)).collect()
}

fn rule(path: &str, item: Json) -> Result<Rule> {
    match item {
        Json::Scalar(value) => Ok(Rule::Exact(value)),
        Json::Array(_) => wrong(path, "an array in an array; a leaf is one array of values and rules"),
        Json::Object(object) => match <[(String, Json); 1]>::try_from(object) {
            Ok([(name, operand)]) => named(&format!("{path}.{}", quoted(&name)), &name, operand),
            Err(_) => wrong(path, format!("a rule has exactly one member: {RULES}")),
        },
    }
}

fn named(path: &str, name: &str, operand: Json) -> Result<Rule> {
    match name {
        "prefix" => Ok(Rule::Prefix(cased_text(path, operand)?)),
        "suffix" => Ok(Rule::Suffix(cased_text(path, operand)?)),
        "equals-ignore-case" => Ok(Rule::IgnoreCase(text(path, operand)?.to_lowercase())),
        "wildcard" => wildcard(path, &text(path, operand)?),
        "anything-but" => anything_but(path, operand),
        "numeric" => numeric(path, operand),
        "cidr" => cidr(path, &text(path, operand)?),
        "exists" => match operand {
            Json::Scalar(Value::Bool(wanted)) => Ok(Rule::Exists(wanted)),
            _ => wrong(path, "true or false"),
        },
        _ => wrong(path, format!("not a rule; use {RULES}")),
    }
}

fn text(path: &str, operand: Json) -> Result<String> {
    match operand {
        Json::Scalar(Value::String(text)) => Ok(text),
        _ => wrong(path, "must be a string"),
    }
}

/// A text, or `{"equals-ignore-case": text}`.
fn cased_text(path: &str, operand: Json) -> Result<Text> {
    match operand {
        Json::Object(object) => match <[(String, Json); 1]>::try_from(object) {
            Ok([(name, operand)]) if name == "equals-ignore-case" => {
                let text = text(&format!("{path}.{name}"), operand)?.to_lowercase();
                Ok(Text { text, ignore_case: true })
            }
            _ => wrong(path, "must be a string, or an object with equals-ignore-case alone"),
        },
        other => Ok(Text { text: text(path, other)?, ignore_case: false }),
    }
}

fn wildcard(path: &str, text: &str) -> Result<Rule> {
    let mut parts = vec![String::new()];
    let (mut chars, mut after_star) = (text.chars(), false);
    while let Some(c) = chars.next() {
        let literal = match c {
            '*' if after_star => return wrong(path, "two * in a row"),
            '*' => None,
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '\\')) => Some(escaped),
                _ => return wrong(path, "a \\ stands before * or \\ alone"),
            },
            c => Some(c),
        };
        after_star = literal.is_none();
        match literal {
            None => parts.push(String::new()),
            Some(c) => parts.last_mut().expect("there is always one").push(c),
        }
    }
    Ok(Rule::Wildcard(Wildcard(parts)))
}

fn anything_but(path: &str, operand: Json) -> Result<Rule> {
    let scalar = |place: &str, item: Json| match item {
        Json::Scalar(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null)) => {
            Ok(Rule::Exact(value))
        }
        _ => wrong(place, "must be a string, a number, true, false or null"),
    };
    let rules = match operand {
        Json::Scalar(value) => vec![Rule::Exact(value)],
        Json::Array(items) if items.is_empty() => return wrong(path, "an empty array excludes nothing"),
        Json::Array(items) => each(path, items, scalar)?,
        Json::Object(object) => match <[(String, Json); 1]>::try_from(object) {
            Ok([(name, operand)]) => excluded(&format!("{path}.{}", quoted(&name)), &name, operand)?,
            Err(_) => return wrong(path, "an object with prefix, suffix, equals-ignore-case or wildcard alone"),
        },
    };
    Ok(Rule::AnythingBut(rules))
}

/// `anything-but` of texts that a rule describes: one, or several in an array.
fn excluded(path: &str, name: &str, operand: Json) -> Result<Vec<Rule>> {
    if !matches!(name, "prefix" | "suffix" | "equals-ignore-case" | "wildcard") {
        return wrong(path, "anything-but takes prefix, suffix, equals-ignore-case or wildcard");
    }
    match operand {
        Json::Array(items) if items.is_empty() => wrong(path, "an empty array excludes nothing"),
        Json::Array(items) => each(path, items, |place, item| named(place, name, item)),
        one => Ok(vec![named(path, name, one)?]),
    }
}

fn numeric(path: &str, operand: Json) -> Result<Rule> {
    const SHAPE: &str = "an array of comparisons: [\">=\", 1] or [\">\", 0, \"<=\", 5], with <, <=, =, >= or >";
    let Json::Array(items) = operand else { return wrong(path, SHAPE) };
    if !matches!(items.len(), 2 | 4) {
        return wrong(path, SHAPE);
    }
    let comparisons = items.chunks(2).enumerate().map(|(index, pair)| {
        let comparison = match &pair[0] {
            Json::Scalar(Value::String(text)) => comparison(text),
            _ => None,
        };
        let number = match &pair[1] {
            Json::Scalar(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        match (comparison, number) {
            (None, _) => wrong(&format!("{path}[{}]", 2 * index), "must be <, <=, =, >= or >"),
            (_, None) => wrong(&format!("{path}[{}]", 2 * index + 1), "must be a number"),
            (Some(comparison), Some(number)) => Ok((comparison, number)),
        }
    });
    let comparisons = comparisons.collect::<Result<Vec<_>>>()?;
    if let [(one, a), (other, b)] = comparisons[..] {
        use Comparison::{Greater, GreaterOrEqual, Less, LessOrEqual};
        let range = match (one, other) {
            (Greater | GreaterOrEqual, Less | LessOrEqual) => Some((a, b)),
            (Less | LessOrEqual, Greater | GreaterOrEqual) => Some((b, a)),
            _ => None,
        };
        let both_included = matches!((one, other), (GreaterOrEqual, LessOrEqual) | (LessOrEqual, GreaterOrEqual));
        match range {
            None => return wrong(path, "two comparisons must make a range, such as [\">\", 0, \"<=\", 5]"),
            Some((low, high)) if low > high || (low == high && !both_included) => {
                return wrong(path, "no number is in this range");
            }
            Some(_) => {}
        }
    }
    Ok(Rule::Numeric(comparisons))
}

fn comparison(text: &str) -> Option<Comparison> {
    Some(match text {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        "=" => Comparison::Equal,
        ">=" => Comparison::GreaterOrEqual,
        ">" => Comparison::Greater,
        _ => return None,
    })
}

fn cidr(path: &str, text: &str) -> Result<Rule> {
    let network = || {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Network { address, bits })
    };
    match network() {
        Some(network) => Ok(Rule::Cidr(network)),
        None => wrong(path, "must be a network such as 10.0.0.0/8 or 2001:db8::/32"),
    }
}
