//! Circles of files inside a crate: files that refer to each other's items, directly or through
//! other files. References between a module and its ancestors do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::Context;

use super::paths::{self, Module, WrittenPath};
use super::{rust_files, shown};

/// Depth to which re-exports of re-exports are followed.
const RE_EXPORTS_MAX: usize = 8;
/// Number of arrows of a circle that are printed.
const ARROWS_SHOWN: usize = 12;

/// A set of files that all reach each other.
pub struct Circle {
    /// Paths relative to the workspace's root.
    pub files: Vec<String>,
    /// `file -> file: path`, one for each pair.
    pub arrows: Vec<String>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "circle of {}", self.files.join(", "))?;
        for arrow in self.arrows.iter().take(ARROWS_SHOWN) {
            write!(f, "\n      {arrow}")?;
        }
        Ok(())
    }
}

/// Returns the circles of a crate's library, or of its binary when it has no library.
pub fn of_crate(root: &Path, folder: &Path) -> anyhow::Result<Vec<Circle>> {
    let source = folder.join("src");
    let entry = ["lib.rs", "main.rs"].into_iter().find(|entry| source.join(entry).is_file());
    let Some(entry) = entry else { return Ok(Vec::new()) };
    let mut tree = Tree::default();
    for file in rust_files(&source)? {
        let relative = shown(&source, &file);
        let Some(path) = module_path(&relative, entry) else { continue };
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        tree.add(path, shown(root, &file), &text);
    }
    tree.forget_tests();
    Ok(tree.circles())
}

/// The module of a file, from its path below `src`; `None` for files of other crates.
fn module_path(relative: &str, entry: &str) -> Option<Vec<String>> {
    if relative == entry {
        return Some(Vec::new());
    }
    let mut path: Vec<String> = relative.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    match path.last().map(String::as_str) {
        Some("mod") => _ = path.pop(),
        Some("main" | "lib") if path.len() == 1 => return None,
        _ => {}
    }
    (path.first().map(String::as_str) != Some("bin")).then_some(path)
}

/// The modules of a crate.
#[derive(Default)]
struct Tree {
    modules: BTreeMap<Vec<String>, Place>,
    of_tests: BTreeSet<Vec<String>>,
}

/// A module, and the file that contains it.
struct Place {
    module: Module,
    file: String,
    /// Path of the file's own module.
    file_module: Vec<String>,
}

impl Tree {
    fn add(&mut self, path: Vec<String>, file: String, text: &str) {
        let read = paths::read(text);
        self.of_tests.extend(read.of_tests.into_iter().map(|name| [path.clone(), vec![name]].concat()));
        for (inner, module) in read.modules {
            let place = Place { module, file: file.clone(), file_module: path.clone() };
            self.modules.insert([path.clone(), inner].concat(), place);
        }
    }

    /// Removes modules that are declared for tests only, and their descendants.
    fn forget_tests(&mut self) {
        self.modules.retain(|path, _| !self.of_tests.iter().any(|test| path.starts_with(test)));
    }

    fn circles(&self) -> Vec<Circle> {
        let arrows = self.arrows();
        let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in arrows.keys() {
            next.entry(from).or_default().insert(to);
        }
        let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|file| (*file, reach(file, &next))).collect();
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for (file, reaches) in &reached {
            let back = |other: &&str| reached.get(other).is_some_and(|others| others.contains(file));
            let files: Vec<String> = reaches.iter().filter(|other| back(other)).map(|f| (*f).to_owned()).collect();
            if files.is_empty() || !seen.insert(files.clone()) {
                continue;
            }
            let inside = |(from, to): &(String, String)| files.contains(from) && files.contains(to);
            let shown = arrows.iter().filter(|(pair, _)| inside(pair));
            let arrows = shown.map(|((from, to), path)| format!("{from} -> {to}: {path}")).collect();
            circles.push(Circle { files, arrows });
        }
        circles
    }

    /// Pairs of a referring and a referred file, with one of the paths between them.
    fn arrows(&self) -> BTreeMap<(String, String), String> {
        let mut arrows = BTreeMap::new();
        for (path, place) in &self.modules {
            let module = &place.module;
            for written in module.imports.values().chain(&module.globs).chain(&module.named) {
                let Some(target) = self.resolve(path, written, RE_EXPORTS_MAX).map(|found| &self.modules[&found])
                else {
                    continue;
                };
                let (from, to) = (&place.file_module, &target.file_module);
                if !from.starts_with(to) && !to.starts_with(from) {
                    arrows.entry((place.file.clone(), target.file.clone())).or_insert_with(|| written.join("::"));
                }
            }
        }
        arrows
    }

    /// The module that defines a path's item, for a path written in module `from`; `None` for items
    /// of other crates.
    fn resolve(&self, from: &[String], written: &WrittenPath, re_exports: usize) -> Option<Vec<String>> {
        let (first, rest) = written.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.to_vec(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            name => {
                let child = [from, &[name.to_owned()]].concat();
                match self.modules[from].module.imports.get(name) {
                    _ if self.modules.contains_key(&child) => child,
                    // Not an import of its own name, such as that of another crate.
                    Some(import) if re_exports > 0 && import.first() != Some(first) => {
                        self.resolve(from, import, re_exports - 1)?
                    }
                    _ => return None,
                }
            }
        };
        for (index, name) in rest.iter().enumerate() {
            if name == "super" {
                at.pop()?;
                continue;
            }
            let child = [at.as_slice(), std::slice::from_ref(name)].concat();
            if self.modules.contains_key(&child) {
                at = child;
                continue;
            }
            let module = &self.modules.get(&at)?.module;
            if module.defines.contains(name) || re_exports == 0 {
                return Some(at);
            }
            if let Some(import) = module.imports.get(name) {
                let through = [import.as_slice(), &rest[index + 1..]].concat();
                return self.resolve(&at, &through, re_exports - 1);
            }
            let globs = module.globs.iter().filter_map(|glob| self.resolve(&at, glob, re_exports - 1));
            let mut defining = globs.filter(|module| self.modules[module].module.defines.contains(name));
            return Some(defining.next_back().unwrap_or(at));
        }
        self.modules.contains_key(&at).then_some(at)
    }
}

/// All files that a file reaches.
fn reach<'a>(file: &str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = next.get(file).into_iter().flatten().copied().collect();
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(next.get(file).into_iter().flatten().copied());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut tree = Tree::default();
        for (file, text) in files {
            tree.add(module_path(file, "lib.rs").expect("a module"), (*file).to_owned(), text);
        }
        tree.forget_tests();
        tree.circles().into_iter().map(|circle| circle.files).collect()
    }

    #[test]
    fn files_that_import_each_other_are_a_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "pub struct B; fn f(x: super::c::C) {}"),
            ("c.rs", "pub struct C(crate::a::A);"),
        ]);
        assert_eq!(found, [["a.rs", "b.rs", "c.rs"]]);
    }

    #[test]
    fn a_re_export_stands_for_the_file_that_defines() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "use crate::b; pub struct A; fn f() { b::g() }"),
            ("b.rs", "use crate::A; pub fn g() {}"),
        ]);
        assert_eq!(found, [["a.rs", "b.rs"]]);
        let through_glob = circles(&[
            ("lib.rs", "mod a; mod b; pub use a::*;"),
            ("a.rs", "use crate::b::g; pub struct A;"),
            ("b.rs", "use crate::A; pub fn g() {}"),
        ]);
        assert_eq!(through_glob, [["a.rs", "b.rs"]]);
    }

    #[test]
    fn parents_tests_and_other_crates_make_no_circle() {
        let found = circles(&[
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod probe; pub struct Root; use types::b;"),
            ("a/mod.rs", "mod child; pub use child::C; pub struct A; use crate::Root; use crate::b::B;"),
            ("a/child.rs", "use super::A; pub struct C;"),
            ("b.rs", "use types::a::A; pub struct B; #[cfg(test)] mod tests { use crate::a::A; use crate::probe::P; }"),
            ("probe.rs", "use crate::b::B; pub struct P;"),
        ]);
        assert_eq!(found, [[""; 0]; 0]);
    }
}
