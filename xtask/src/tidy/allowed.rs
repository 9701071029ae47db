//! Known findings that are still to be fixed, by crate, in `xtask/tidy-allowed.toml`. The list only
//! shrinks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::circles::Circle;
use super::language::LongLine;

/// Path of the list.
const FILE: &str = "xtask/tidy-allowed.toml";

/// Header of the file.
const HEAD: &str =
    "# What `cargo xtask tidy` still finds of banned file names, long lines and circles of files, by crate.
# It only shrinks: an entry of which nothing is left fails, and `cargo xtask tidy --trim` takes it out.
# names: files with private words for names. long_lines: how many lines at most. circles: how many files in circles.

";

/// Current findings, by crate.
#[derive(Default)]
pub struct Left {
    /// Files whose names are banned, relative to the crate.
    pub names: BTreeMap<String, BTreeSet<String>>,
    /// Lines that are too long.
    pub long_lines: BTreeMap<String, Vec<LongLine>>,
    /// Circles of files.
    pub circles: BTreeMap<String, Vec<Circle>>,
}

/// The permitted findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Allowed {
    names: BTreeMap<String, BTreeSet<String>>,
    long_lines: BTreeMap<String, usize>,
    circles: BTreeMap<String, usize>,
}

impl Allowed {
    /// Reads the list; a missing file permits nothing.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(root.join(FILE)) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{FILE} is no list of findings")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {FILE}")),
        }
    }

    /// Writes the list.
    pub fn write(&self, root: &Path) -> anyhow::Result<()> {
        let text = format!("{HEAD}{}", toml::to_string(self)?);
        std::fs::write(root.join(FILE), text).with_context(|| format!("cannot write {FILE}"))
    }

    /// The list without fixed findings; nothing is added.
    pub fn trimmed(&self, left: &Left) -> Self {
        let names = |(krate, files): (&String, &BTreeSet<String>)| {
            let there: BTreeSet<String> = files.intersection(left.names.get(krate)?).cloned().collect();
            (!there.is_empty()).then(|| (krate.clone(), there))
        };
        let fewer = |(krate, allowed): (&String, &usize), found: usize| {
            (found > 0).then(|| (krate.clone(), found.min(*allowed)))
        };
        let lines = self.long_lines.iter();
        let circles = self.circles.iter();
        Self {
            names: self.names.iter().filter_map(names).collect(),
            long_lines: lines.filter_map(|entry| fewer(entry, left.lines_of(entry.0).len())).collect(),
            circles: circles.filter_map(|entry| fewer(entry, left.files_in_circles(entry.0))).collect(),
        }
    }

    /// Findings that are not permitted, and permitted entries without findings.
    pub fn check(&self, left: &Left) -> Vec<String> {
        let mut findings = self.check_names(left);
        for (krate, lines) in &left.long_lines {
            let allowed = self.long_lines.get(krate).copied().unwrap_or_default();
            if lines.len() > allowed {
                findings.push(format!("{krate}: {} lines are too long, and {allowed} may be", lines.len()));
                findings.extend(lines.iter().take(10).map(ToString::to_string));
            }
        }
        for (krate, circles) in &left.circles {
            let allowed = self.circles.get(krate).copied().unwrap_or_default();
            let files = left.files_in_circles(krate);
            if files > allowed {
                findings.push(format!("{krate}: {files} files import each other in circles, and {allowed} may"));
                findings.extend(circles.iter().map(ToString::to_string));
            }
        }
        let empty_lines = self.long_lines.keys().filter(|krate| left.lines_of(krate).is_empty());
        let empty_circles = self.circles.keys().filter(|krate| left.files_in_circles(krate) == 0);
        findings.extend(empty_lines.map(|krate| mended("long_lines", krate)));
        findings.extend(empty_circles.map(|krate| mended("circles", krate)));
        findings
    }

    fn check_names(&self, left: &Left) -> Vec<String> {
        let none = BTreeSet::new();
        let mut findings = Vec::new();
        for krate in self.names.keys().chain(left.names.keys()).collect::<BTreeSet<_>>() {
            let allowed = self.names.get(krate).unwrap_or(&none);
            let found = left.names.get(krate).unwrap_or(&none);
            findings.extend(
                found
                    .difference(allowed)
                    .map(|file| format!("{krate}: the name of {file} is a private word; name it as the field does")),
            );
            findings.extend(allowed.difference(found).map(|file| mended("names", &format!("{krate}: {file}"))));
            if allowed.is_empty() && self.names.contains_key(krate) {
                findings.push(mended("names", krate));
            }
        }
        findings
    }
}

impl Left {
    fn lines_of(&self, krate: &str) -> &[LongLine] {
        self.long_lines.get(krate).map_or(&[], Vec::as_slice)
    }

    fn files_in_circles(&self, krate: &str) -> usize {
        self.circles.get(krate).into_iter().flatten().map(|circle| circle.files.len()).sum()
    }
}

fn mended(list: &str, entry: &str) -> String {
    format!("{FILE}: nothing is left of {entry} in [{list}]; take it out with `cargo xtask tidy --trim`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left() -> Left {
        let line = |number| LongLine { file: "a.rs".to_owned(), number, columns: 130 };
        let circle = Circle { files: vec!["a.rs".to_owned(), "b.rs".to_owned()], arrows: Vec::new() };
        Left {
            names: BTreeMap::from([("pool".to_owned(), BTreeSet::from(["src/seat.rs".to_owned()]))]),
            long_lines: BTreeMap::from([("pool".to_owned(), vec![line(1), line(2)])]),
            circles: BTreeMap::from([("pool".to_owned(), vec![circle])]),
        }
    }

    fn allowed(text: &str) -> Allowed {
        toml::from_str(text).expect("a list")
    }

    #[test]
    fn what_is_found_must_be_allowed() {
        assert!(Allowed::default().check(&left()).len() >= 3);
        let exact = allowed("names.pool = ['src/seat.rs']\nlong_lines.pool = 2\ncircles.pool = 2");
        assert_eq!(exact.check(&left()), [""; 0]);
        let fewer = allowed("names.pool = ['src/seat.rs']\nlong_lines.pool = 1\ncircles.pool = 2");
        assert!(fewer.check(&left())[0].contains("2 lines are too long"), "{:?}", fewer.check(&left()));
    }

    #[test]
    fn an_entry_of_which_nothing_is_left_fails_until_it_is_trimmed() {
        let text = "names = { pool = ['src/seat.rs', 'src/ride.rs'], api = [] }\nlong_lines = { pool = 3, api = 4 }
                    circles = { pool = 5, api = 2 }";
        let list = allowed(text);
        let findings = list.check(&left());
        assert_eq!(findings.len(), 4, "{findings:?}");
        let trimmed = list.trimmed(&left());
        assert_eq!(trimmed, allowed("names.pool = ['src/seat.rs']\nlong_lines.pool = 2\ncircles.pool = 2"));
        assert_eq!(trimmed.check(&left()), [""; 0]);
    }
}
