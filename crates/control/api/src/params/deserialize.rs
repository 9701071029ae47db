//! Deserializes a [`Tree`]: texts become the requested numbers, booleans and strings; fields with
//! numeric names become a list where one is requested. Pure.

use std::fmt;
use std::str::FromStr;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::tree::Tree;

/// Why a tree does not deserialize.
#[derive(Debug)]
pub(super) struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A node of the tree.
#[derive(Clone, Copy)]
pub(super) struct Node<'t>(&'t Tree);

impl<'t> Node<'t> {
    /// The whole tree.
    pub(super) fn root(tree: &'t Tree) -> Self {
        Self(tree)
    }

    fn text(self, wanted: &str) -> Result<&'t str, Error> {
        match self.0 {
            Tree::Text(text) => Ok(text),
            Tree::Fields(_) => Err(Error(format!("it has fields, but {wanted} is expected"))),
        }
    }

    fn number<N: FromStr>(self, wanted: &str) -> Result<N, Error> {
        let text = self.text(wanted)?;
        text.parse().map_err(|_| Error(format!("{:?} is not {wanted}", shortened(text))))
    }

    /// The items, ordered by number.
    fn items(self) -> Result<Vec<Node<'t>>, Error> {
        let Tree::Fields(fields) = self.0 else {
            return Err(Error("a list is expected; write its items as Name.0, Name.1, …".to_owned()));
        };
        let numbered = |(name, tree): (&String, &'t Tree)| {
            let number: Option<u32> = name.parse().ok().filter(|n: &u32| n.to_string() == *name);
            let number = number.ok_or_else(|| Error(format!("{:?} is not the number of an item", shortened(name))))?;
            Ok((number, Node(tree)))
        };
        let mut items: Vec<_> = fields.iter().map(numbered).collect::<Result<_, Error>>()?;
        items.sort_by_key(|(number, _)| *number);
        Ok(items.into_iter().map(|(_, node)| node).collect())
    }
}

/// A client's text, truncated for an error.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

impl<'de> de::Deserializer<'de> for Node<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Tree::Text(text) => visitor.visit_str(text),
            Tree::Fields(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_i64(self.number("an integer")?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u64(self.number("an integer of 0 or more")?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.text("true or false")?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => visitor.visit_bool(true),
            "false" | "0" => visitor.visit_bool(false),
            _ => Err(Error(format!("{:?} is not true or false", shortened(text)))),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text("a text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.items()?.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Tree::Fields(fields) => {
                let fields = fields.iter().map(|(name, tree)| (name.as_str(), Node(tree)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
            Tree::Text(_) => Err(Error("it is a value, but fields are expected; write them as Name.Field".to_owned())),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct
        enum identifier
    }
}

impl IntoDeserializer<'_, Error> for Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
