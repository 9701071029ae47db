//! References of a Rust file to other modules: its imports, its paths, and the items that it
//! defines.
//!
//! Items under `cfg(test)` are ignored.

use std::collections::{BTreeMap, BTreeSet};

use super::lexer::Token::{self, Mark, Word};
use super::lexer::tokens;

/// Words that begin an item that does not end at a comma.
const ITEM_WORDS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];
/// Words followed by the name of the item that they define.
const DEFINING_WORDS: &[&str] = &["const", "enum", "fn", "static", "struct", "trait", "type", "union"];

/// A path as written, such as `crate::policy::Quota`.
pub type WrittenPath = Vec<String>;

/// One module: a whole file, or an inline module.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Imported names and their paths.
    pub imports: BTreeMap<String, WrittenPath>,
    /// Paths of glob imports.
    pub globs: Vec<WrittenPath>,
    /// Paths that begin with `crate`, `self` or `super`.
    pub named: BTreeSet<WrittenPath>,
    /// Names of its items.
    pub defines: BTreeSet<String>,
}

/// A file: its modules by their paths inside it, and the names of test modules in separate files.
#[derive(Debug, Default)]
pub struct File {
    /// Modules by path; the file's own module has the empty path.
    pub modules: BTreeMap<Vec<String>, Module>,
    /// Modules that are declared under `cfg(test)`.
    pub of_tests: BTreeSet<String>,
}

/// Reads a file's text.
pub fn read(text: &str) -> File {
    let all = tokens(text);
    let (tokens, of_tests) = without_tests(&all);
    let mut reader = Reader { tokens: &tokens, at: 0, file: File { of_tests, ..File::default() } };
    reader.module(&mut Vec::new());
    reader.file
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    file: File,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<Token<'_>> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// Reads until the brace that closes the module, or to the end of the file.
    fn module(&mut self, path: &mut Vec<String>) {
        self.file.modules.entry(path.clone()).or_default();
        let mut depth = 0;
        while let Some(token) = self.peek(0) {
            match (token, self.peek(1), self.peek(2)) {
                (Word("mod"), Some(Word(name)), Some(Mark('{'))) => {
                    path.push(name.to_owned());
                    self.at += 3;
                    self.module(path);
                    path.pop();
                    continue;
                }
                (Word("use"), ..) => {
                    self.at += 1;
                    self.import(path, Vec::new());
                    continue;
                }
                (Word("crate" | "self" | "super"), Some(Mark(':')), Some(Mark(':'))) => {
                    let named = self.path();
                    self.here(path).named.insert(named);
                    continue;
                }
                (Word(word), Some(Word(name)), _) if DEFINING_WORDS.contains(&word) => {
                    let name = name.to_owned();
                    self.here(path).defines.insert(name);
                }
                (Mark('{'), ..) => depth += 1,
                (Mark('}'), ..) if depth == 0 => {
                    self.at += 1;
                    return;
                }
                (Mark('}'), ..) => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn here(&mut self, path: &[String]) -> &mut Module {
        self.file.modules.entry(path.to_vec()).or_default()
    }

    /// Reads `a::b::c`; stops before anything else.
    fn path(&mut self) -> WrittenPath {
        let mut path = Vec::new();
        while let Some(Word(word)) = self.peek(0) {
            path.push(word.to_owned());
            self.at += 1;
            match (self.peek(0), self.peek(1), self.peek(2)) {
                (Some(Mark(':')), Some(Mark(':')), Some(Word(_))) => self.at += 2,
                _ => break,
            }
        }
        path
    }

    /// Reads one tree of a `use`, up to the mark after it.
    fn import(&mut self, module: &[String], prefix: WrittenPath) {
        let mut full = prefix;
        loop {
            full.extend(self.path());
            match (self.peek(0), self.peek(1), self.peek(2)) {
                (Some(Mark(':')), Some(Mark(':')), Some(Mark('{'))) => {
                    self.at += 3;
                    return self.branches(module, &full);
                }
                (Some(Mark('{')), ..) => {
                    self.at += 1;
                    return self.branches(module, &full);
                }
                (Some(Mark(':')), Some(Mark(':')), Some(Mark('*'))) => {
                    self.at += 3;
                    self.here(module).globs.push(full);
                    return;
                }
                // A path that begins with `::`.
                (Some(Mark(':')), Some(Mark(':')), _) => self.at += 2,
                _ => break,
            }
        }
        // `a as b` was read up to `a`: the next words are `as` and the name.
        let mut name = full.last().cloned().unwrap_or_default();
        if name == "self" {
            full.pop();
            name = full.last().cloned().unwrap_or_default();
        }
        if let (Some(Word("as")), Some(Word(alias))) = (self.peek(0), self.peek(1)) {
            name = alias.to_owned();
            self.at += 2;
        }
        if !full.is_empty() {
            self.here(module).imports.insert(name, full);
        }
    }

    fn branches(&mut self, module: &[String], prefix: &WrittenPath) {
        while let Some(token) = self.peek(0) {
            match token {
                Mark('}') => {
                    self.at += 1;
                    return;
                }
                Mark(',') => self.at += 1,
                _ => {
                    let before = self.at;
                    self.import(module, prefix.clone());
                    // Skips tokens that form no tree.
                    self.at = self.at.max(before + 1);
                }
            }
        }
    }
}

/// Returns the tokens outside test code, and the declared test modules.
fn without_tests<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, BTreeSet<String>) {
    let (mut kept, mut of_tests, mut at) = (Vec::new(), BTreeSet::new(), 0);
    while at < tokens.len() {
        if tokens[at..].starts_with(&[Mark('#'), Mark('[')]) {
            let end = closed(tokens, at + 1);
            if is_of_tests(&tokens[at..end]) {
                let (next, module) = after_item(tokens, end);
                of_tests.extend(module);
                at = next;
                continue;
            }
        }
        kept.push(tokens[at]);
        at += 1;
    }
    (kept, of_tests)
}

fn is_of_tests(attribute: &[Token<'_>]) -> bool {
    let has = |word| attribute.contains(&Word(word));
    has("cfg") && has("test") && !has("not") || attribute == [Mark('#'), Mark('['), Word("test"), Mark(']')]
}

/// The position after the bracket or brace that closes the one at `at`.
fn closed(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Mark('[' | '{' | '(') => depth += 1,
            Mark(']' | '}' | ')') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The position after the item, field or statement at `at`, and its name when it is a module in a
/// separate file.
fn after_item(tokens: &[Token<'_>], mut at: usize) -> (usize, Option<String>) {
    while tokens[at..].starts_with(&[Mark('#'), Mark('[')]) {
        at = closed(tokens, at + 1);
    }
    let is_item = matches!(tokens.get(at), Some(Word(word)) if ITEM_WORDS.contains(word));
    let is_use = first_word(&tokens[at..]) == Some("use");
    let mut module = None;
    while let Some(token) = tokens.get(at) {
        match token {
            Word("mod") => {
                if let (Some(Word(name)), Some(Mark(';'))) = (tokens.get(at + 1), tokens.get(at + 2)) {
                    module = Some((*name).to_owned());
                }
                at += 1;
            }
            Mark(';') => return (at + 1, module),
            Mark(',') if !is_item => return (at + 1, module),
            Mark('}' | ')' | ']') => return (at, module),
            Mark('{') if !is_use => return (closed(tokens, at), module),
            Mark('{' | '(' | '[') => at = closed(tokens, at),
            _ => at += 1,
        }
    }
    (at, module)
}

/// The first word of an item after its visibility.
fn first_word<'a>(tokens: &[Token<'a>]) -> Option<&'a str> {
    match tokens {
        [Word("pub"), Mark('('), ..] => first_word(&tokens[closed(tokens, 1)..]),
        [Word("pub"), rest @ ..] => first_word(rest),
        [Word(word), ..] => Some(word),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> WrittenPath {
        text.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn imports_are_read_as_trees() {
        let file = read(
            "use crate::{a::{self, B, c as d}, e::*};\npub(crate) use super::f;\nuse ::std::fmt;\n\
             // use crate::comment;\nconst T: &str = \"use crate::text;\";\nfn g<'a>() { let x =
             // r#\"use crate::raw;\"#; }",
        );
        let root = &file.modules[&Vec::new()];
        let imports: Vec<_> = root.imports.iter().map(|(name, path)| (name.as_str(), path.join("::"))).collect();
        let wanted =
            [("B", "crate::a::B"), ("a", "crate::a"), ("d", "crate::a::c"), ("f", "super::f"), ("fmt", "std::fmt")];
        assert_eq!(imports, wanted.map(|(name, path)| (name, path.to_owned())));
        assert_eq!(root.globs, [path("crate::e")]);
        assert!(root.defines.contains("T") && root.defines.contains("g"), "{:?}", root.defines);
    }

    #[test]
    fn paths_are_read_where_they_stand() {
        let file = read("fn f(x: &crate::a::B<'_>) -> super::C { self::g::<u8>(b'\\'', '\"'); 'l: loop {} }");
        let named: Vec<_> = file.modules[&Vec::new()].named.iter().cloned().collect();
        assert_eq!(named, [path("crate::a::B"), path("self::g"), path("super::C")]);
    }

    #[test]
    fn what_is_for_tests_is_left_out() {
        let file = read(
            "#[cfg(test)]\nmod probe;\n#[cfg(any(test, feature = \"f\"))]\npub use crate::a::A;\n\
             #[cfg(test)]\nfn f<A, B>() { crate::b::C; }\nstruct S { #[cfg(test)] x: crate::d::D, y: crate::e::E }\n\
             #[cfg(not(test))]\nuse crate::g::G;\n#[cfg(test)]\nmod tests { use crate::h::H; }\nuse crate::i::I;",
        );
        let root = &file.modules[&Vec::new()];
        assert_eq!(root.imports.keys().collect::<Vec<_>>(), ["G", "I"]);
        assert_eq!(root.named, BTreeSet::from([path("crate::e::E")]));
        assert_eq!(file.of_tests, BTreeSet::from(["probe".to_owned()]));
        assert_eq!(file.modules.len(), 1);
    }

    #[test]
    fn modules_inside_a_file_are_their_own() {
        let file = read("mod inner { use super::A; mod deep {} }\nuse crate::b::B;");
        let names: Vec<_> = file.modules.keys().map(|path| path.join("::")).collect();
        assert_eq!(names, ["", "inner", "inner::deep"]);
        assert_eq!(file.modules[&vec!["inner".to_owned()]].imports["A"], path("super::A"));
    }
}
