//! JSON with its members in order, so that duplicate members can be refused.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::quoted;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

/// Why a text is not accepted as a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotObject {
    /// It is not a JSON object.
    #[error("it is no JSON object: {0}")]
    Json(String),
    /// A duplicate member: which of them applies would be ambiguous.
    #[error("{0} is written twice")]
    Twice(String),
}

/// Parses a JSON object without duplicate members, at every depth.
///
/// # Errors
/// The problem, with the place of a member.
pub fn object(text: &str) -> Result<Map<String, Value>, NotObject> {
    match serde_json::from_str(text) {
        Ok(Json::Object(members)) => unique("", members),
        Ok(_) => Err(NotObject::Json("it has no members".to_owned())),
        Err(error) => Err(NotObject::Json(error.to_string())),
    }
}

fn unique(place: &str, members: Vec<(String, Json)>) -> Result<Map<String, Value>, NotObject> {
    let mut object = Map::new();
    for (name, value) in members {
        let place = if place.is_empty() { quoted(&name) } else { format!("{place}.{}", quoted(&name)) };
        let value = unique_value(&place, value)?;
        if object.insert(name, value).is_some() {
            return Err(NotObject::Twice(place));
        }
    }
    Ok(object)
}

fn unique_value(place: &str, value: Json) -> Result<Value, NotObject> {
    match value {
        Json::Scalar(value) => Ok(value),
        Json::Array(items) => items.into_iter().map(|item| unique_value(place, item)).collect(),
        Json::Object(members) => unique(place, members).map(Value::Object),
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_written_twice_is_named_wherever_it_stands() {
        for (text, place) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"{"filter":{"Prefix":"x","Prefix":"y"}}"#, "filter.Prefix"),
            (r#"{"p":[{"b":[{"c":1,"c":1}]}]}"#, "p.b.c"),
        ] {
            assert_eq!(object(text), Err(NotObject::Twice(place.to_owned())), "{text}");
        }
        let whole = r#"{"a":[1,-2,2.5,null,true,"x",{"b":{}}],"c":[{"b":1},{"b":1}]}"#;
        assert_eq!(Value::Object(object(whole).unwrap()).to_string(), whole);
        for text in ["", "[]", "1", "{", r#"{"a":1} x"#] {
            assert!(matches!(object(text), Err(NotObject::Json(_))), "{text}");
        }
    }
}
