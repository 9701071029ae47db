//! Parameters of a template, in `!Ref` and `!Sub`.

use std::collections::BTreeMap;

use super::section;
use crate::declared::yaml::node::{Content, Key, Node};
use crate::declared::yaml::write;

/// Parameters by name, with their defaults.
pub type Parameters = BTreeMap<String, Option<String>>;

/// Reads the parameters of a template.
pub fn of(root: &Node) -> Parameters {
    let parameters = root.get("Parameters").map(Node::entries).unwrap_or_default();
    let default = |(key, node): &(Key, Node)| (key.text.clone(), node.get("Default").and_then(section::text));
    parameters.iter().map(default).collect()
}

/// Rewrites references to parameters into forms that no file contains: `!Ref Stage` becomes `!Ref
/// Stage:-dev`, and the text of a `!Sub` that names parameters alone a template of this crate.
pub fn give(node: &mut Node, parameters: &Parameters) {
    shorten(node);
    match &mut node.content {
        Content::Scalar(scalar) => match node.tag.as_deref() {
            Some("!Ref") => {
                if let Some(Some(default)) = parameters.get(&scalar.text) {
                    scalar.text = format!("{}:-{default}", scalar.text);
                }
            }
            Some("!Sub") => {
                if let Some(text) = substituted(&scalar.text, parameters) {
                    scalar.text = write::template(&text);
                }
            }
            _ => {}
        },
        Content::List(items) => items.iter_mut().for_each(|item| give(item, parameters)),
        Content::Map(entries) => entries.iter_mut().for_each(|(_, node)| give(node, parameters)),
    }
}

/// Rewrites `Ref: NAME` and `Fn::Sub: TEXT`, the long forms, as the short ones.
fn shorten(node: &mut Node) {
    let (tag, text) = match &node.content {
        Content::Map(entries) => match entries.as_slice() {
            [(key, value)] if key.text == "Ref" && value.tag.is_none() => ("!Ref", value),
            [(key, value)] if key.text == "Fn::Sub" && value.tag.is_none() => ("!Sub", value),
            _ => return,
        },
        _ => return,
    };
    if matches!(text.content, Content::Scalar(_)) {
        (node.content, node.tag) = (text.content.clone(), Some(tag.to_owned()));
    }
}

/// Text of a `!Sub` with the variables of a `sampan.yaml`; `None` if it names anything other than
/// parameters.
fn substituted(text: &str, parameters: &Parameters) -> Option<String> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, after) = after.split_once('}')?;
        done.push_str(&literal(before));
        match inside.strip_prefix('!') {
            Some(inside) => done.push_str(&literal(&format!("${{{inside}}}"))),
            None => done.push_str(&variable(inside, parameters.get(inside)?.as_deref())),
        }
        rest = after;
    }
    Some(done + &literal(rest))
}

fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

fn variable(name: &str, default: Option<&str>) -> String {
    match default {
        None => format!("${{{}}}", section::required(name)),
        Some(default) if section::ends_variable(default) => literal(default),
        Some(default) => format!("${{{name}:-{default}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_parameters_alone_has_variables() {
        let parameter = |name: &str, default: Option<&str>| (name.to_owned(), default.map(str::to_owned));
        let parameters =
            [parameter("Stage", Some("dev")), parameter("Zone", None), parameter("Odd", Some("a}$b"))].into();
        for (text, wanted) in [
            ("${Stage}-x", Some("${Stage:-dev}-x")),
            ("a ${Zone}, ${Stage}", Some("a ${Zone:?the template's parameter Zone}, ${Stage:-dev}")),
            ("$a$$ {b}", Some("$$a$$$$ {b}")),
            ("${!Stage} $${Stage}", Some("$${Stage} $$${Stage:-dev}")),
            ("${Odd}", Some("a}$$b")),
            ("plain", Some("plain")),
            ("${AWS::Region}-${Stage}", None),
            ("${Table.Arn}", None),
            ("${ Stage }", None),
            ("${Stage", None),
        ] {
            assert_eq!(substituted(text, &parameters).as_deref(), wanted, "{text}");
        }
    }
}
