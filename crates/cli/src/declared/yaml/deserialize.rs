//! Deserializes nodes with serde: a scalar's type follows from its field, and errors carry the
//! place of their node.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor};
use serde::{Deserialize, de};

use super::error::Error;
use super::nearest;
use super::node::{Content, Key, Node, Scalar, Style};

/// Deserializes a value from a node.
pub fn from_node<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Error> {
    T::deserialize(Reader(node))
}

/// Deserializer of one node.
#[derive(Clone, Copy)]
struct Reader<'de>(&'de Node);

/// Type of a plain scalar by YAML 1.2, section 10.3.2.
enum Plain {
    Null,
    Bool(bool),
    Integer,
    Float,
    Text,
}

fn plain(text: &str) -> Plain {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let based = |prefix: &str, radix| {
        text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        _ if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => Plain::Integer,
        _ if based("0x", 16) || based("0o", 8) => Plain::Integer,
        _ if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") => Plain::Float,
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.parse::<f64>().is_ok() => {
            Plain::Float
        }
        _ => Plain::Text,
    }
}

impl<'de> Reader<'de> {
    fn wrong(self, message: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::new(self.0.place.clone(), message, hint)
    }

    fn scalar(self, expected: &str) -> Result<&'de Scalar, Error> {
        match &self.0.content {
            Content::Scalar(scalar) => Ok(scalar),
            Content::List(_) => Err(self.wrong(format!("expected {expected}, found a list"), "")),
            Content::Map(_) => Err(self.wrong(format!("expected {expected}, found keys"), "")),
        }
    }

    /// Reads a text: quoted, or plain but not null, a truth value or a fraction, whose spelling
    /// could not be preserved.
    fn text(self) -> Result<&'de str, Error> {
        let scalar = self.scalar("a text")?;
        if scalar.style != Style::Plain || scalar.substituted {
            return Ok(&scalar.text);
        }
        let what = match plain(&scalar.text) {
            Plain::Text | Plain::Integer => return Ok(&scalar.text),
            Plain::Null => "nothing",
            Plain::Bool(_) => "a boolean",
            Plain::Float => "a fraction",
        };
        let hint = format!("Write it in quotes: '{}'.", scalar.text.replace('\'', "''"));
        Err(self.wrong(format!("expected a text, found {what}"), hint))
    }

    /// Reads a whole number, in decimal digits only.
    fn integer<T: std::str::FromStr>(self) -> Result<T, Error> {
        let scalar = self.scalar("a whole number")?;
        let (text, bare) = (scalar.text.as_str(), scalar.style == Style::Plain || scalar.substituted);
        let digits = text.strip_prefix('-').unwrap_or(text);
        let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !bare || !decimal || (digits.len() > 1 && digits.starts_with('0')) {
            let hint = "Write decimal digits without quotes, such as 512.";
            return Err(self.wrong(format!("expected a whole number, found {text:?}"), hint));
        }
        text.parse().map_err(|_| self.wrong(format!("{text} is out of range"), ""))
    }

    fn float(self) -> Result<f64, Error> {
        let scalar = self.scalar("a number")?;
        let bare = scalar.style == Style::Plain || scalar.substituted;
        let number = matches!(plain(&scalar.text), Plain::Integer | Plain::Float).then(|| scalar.text.parse().ok());
        number.flatten().filter(|_| bare).ok_or_else(|| {
            self.wrong(format!("expected a number, found {:?}", scalar.text), "Write a number, such as 0.1.")
        })
    }

    fn truth(self) -> Result<bool, Error> {
        let scalar = self.scalar("true or false")?;
        match plain(&scalar.text) {
            Plain::Bool(value) if scalar.style == Style::Plain || scalar.substituted => Ok(value),
            _ => {
                let message = format!("expected true or false, found {:?}", scalar.text);
                Err(self.wrong(message, "Write true or false, without quotes."))
            }
        }
    }

    fn any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let scalar = match &self.0.content {
            Content::List(items) => return visitor.visit_seq(Items(items.iter())),
            Content::Map(entries) => return visitor.visit_map(Entries { rest: entries.iter(), value: None }),
            Content::Scalar(scalar) => scalar,
        };
        if scalar.style != Style::Plain {
            return visitor.visit_borrowed_str(&scalar.text);
        }
        match plain(&scalar.text) {
            Plain::Null => visitor.visit_unit(),
            Plain::Bool(value) => visitor.visit_bool(value),
            Plain::Integer if scalar.text.starts_with('-') => visitor.visit_i64(self.integer()?),
            Plain::Integer => visitor.visit_u64(self.integer()?),
            Plain::Float => visitor.visit_f64(self.float()?),
            Plain::Text => visitor.visit_borrowed_str(&scalar.text),
        }
    }

    fn map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.content {
            Content::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
            Content::List(_) => Err(self.wrong("expected keys, found a list", "")),
            Content::Scalar(_) if self.0.is_null() => Err(self.wrong("expected keys, found nothing", "")),
            Content::Scalar(scalar) => {
                let glued = scalar.style == Style::Plain && scalar.text.contains(':');
                let hint = if glued { "Put a blank after the colon." } else { "" };
                Err(self.wrong(format!("expected keys, found {:?}", scalar.text), hint))
            }
        }
    }

    fn checked(self) -> Result<(), Error> {
        match &self.0.tag {
            Some(tag) => Err(self.wrong(format!("the tag {tag} is not supported"), "Leave it out.")),
            None => Ok(()),
        }
    }
}

/// Defines methods that check the tag and add the node's place to errors without one.
macro_rules! typed {
    ($($method:ident => $visit:ident($read:ident)),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.checked()?;
            visitor.$visit::<Error>(self.$read()?).map_err(|error| error.at(&self.0.place))
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Error;

    typed! {
        deserialize_bool => visit_bool(truth),
        deserialize_i8 => visit_i64(integer),
        deserialize_i16 => visit_i64(integer),
        deserialize_i32 => visit_i64(integer),
        deserialize_i64 => visit_i64(integer),
        deserialize_u8 => visit_u64(integer),
        deserialize_u16 => visit_u64(integer),
        deserialize_u32 => visit_u64(integer),
        deserialize_u64 => visit_u64(integer),
        deserialize_f32 => visit_f64(float),
        deserialize_f64 => visit_f64(float),
        deserialize_str => visit_borrowed_str(text),
        deserialize_string => visit_borrowed_str(text),
        deserialize_char => visit_borrowed_str(text),
        deserialize_identifier => visit_borrowed_str(text),
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.checked()?;
        self.any(visitor).map_err(|error| error.at(&self.0.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.checked()?;
        match &self.0.content {
            Content::List(items) => visitor.visit_seq(Items(items.iter())).map_err(|error| error.at(&self.0.place)),
            _ => Err(self.wrong("expected a list", "Write its entries in [ ], or each in a line after `- `.")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.checked()?;
        self.map(visitor).map_err(|error| error.at(&self.0.place))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.checked()?;
        if let Some((key, _)) = self.0.entries().iter().find(|(key, _)| !fields.contains(&key.text.as_str())) {
            let hint = nearest::hint(&key.text, fields.iter().copied());
            return Err(Error::new(key.place.clone(), format!("`{}` is not a known key here", key.text), hint));
        }
        self.map(visitor).map_err(|error| error.at(&self.0.place))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.checked()?;
        let word = self.text()?;
        visitor.visit_enum(Word(word)).map_err(|error| error.at(&self.0.place))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let read = |node: &'de Node| seed.deserialize(Reader(node)).map_err(|error| error.at(&node.place));
        self.0.next().map(read).transpose()
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        self.value = Some(node);
        let read = seed.deserialize(StrDeserializer::<Error>::new(&key.text));
        read.map(Some).map_err(|error| error.at(&key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let node = self.value.take().ok_or_else(|| de::Error::custom("a value was read before its key"))?;
        seed.deserialize(Reader(node)).map_err(|error| error.at(&node.place))
    }
}

/// A word that selects a unit variant.
struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((seed.deserialize(StrDeserializer::<Error>::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(de::Error::invalid_type(Unexpected::Str(self.0), &"a word alone"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(de::Error::invalid_type(Unexpected::Str(self.0), &"a word alone"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(de::Error::invalid_type(Unexpected::Str(self.0), &"a word alone"))
    }
}
