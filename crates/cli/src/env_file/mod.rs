//! Files of environment variables (`--env-file`), by the rules of Docker Compose's `.env` files
//! with an exception that prevents silent changes of a value: in values, an unset variable without
//! a default is an error.
//!
//! `KEY=value`, also with `export` before it, blanks around it, and `:` in place of `=`. A value
//! without quotes ends at the line's end or before ` #`. In single quotes it is literal, except for
//! `\'`. In double quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes. Quoted values may span
//! lines. Outside of single quotes, `$NAME`, `${NAME}` and `${NAME:-default}` (also `-`, `:+`, `+`,
//! `:?`, `?`) are looked up in the command's environment, then in preceding lines; `$$` is a
//! dollar. A name alone takes its value from the command's environment; without one
//! there, its line has no effect.

mod expand;
mod parse;

use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A syntax error with its line number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    line: usize,
    problem: String,
}

/// Merges the variables of `--env-file` and `--env` as `KEY=value`. Of several in files with the
/// same name the last one wins; `--env` overrides files. Without files, returns `env` unchanged.
pub fn merged(files: &[PathBuf], env: Vec<String>) -> anyhow::Result<Vec<String>> {
    if files.is_empty() {
        return Ok(env);
    }
    let variables = variables(files)?;
    let given = |key: &str| env.iter().any(|pair| pair.split_once('=').is_some_and(|(name, _)| name == key));
    let of_files = variables.iter().filter(|(key, _)| !given(key)).map(|(key, value)| format!("{key}={value}"));
    let merged: Vec<String> = of_files.chain(env.iter().cloned()).collect();
    // Empty files remove all variables, which an empty entry stands for.
    Ok(if merged.is_empty() { vec![String::new()] } else { merged })
}

/// Reads the variables of files, each name once.
pub fn variables(files: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for file in files {
        read(file, &mut variables)?;
    }
    Ok(variables)
}

fn read(file: &Path, variables: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let name = file.display();
    let fail = |message: String| Failure::new(Exit::Usage, message, "");
    let io = |error: std::io::Error| fail(format!("cannot read {name}: {error}"));
    if std::fs::metadata(file).map_err(io)?.len() > FILE_BYTES_MAX {
        return Err(fail(format!("{name} has more than {FILE_BYTES_MAX} bytes")).into());
    }
    let bytes = std::fs::read(file).map_err(io)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        fail(format!("{name}, line {line}: it is not UTF-8"))
    })?;
    let environment = |name: &str| std::env::var(name).ok();
    parse::parse(&text, &environment, variables)
        .map_err(|Problem { line, problem }| fail(format!("{name}, line {line}: {problem}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_win_and_the_command_line_wins_over_all() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let files = [file("a", "A=1\nB=1\nC=1\n"), file("b", "B=2\nD=${C}\n")];
        let env = |pairs: &[&str]| pairs.iter().map(|pair| (*pair).to_owned()).collect::<Vec<_>>();
        let all = merged(&files, env(&["C=3", "E=4"])).expect("merged");
        assert_eq!(all, ["A=1", "B=2", "D=1", "C=3", "E=4"]);
        assert_eq!(merged(&[], env(&["A=1"])).expect("as given"), ["A=1"]);
        assert_eq!(merged(&[file("none", "# nothing\n")], Vec::new()).expect("none"), [""]);
    }

    #[test]
    fn an_error_names_the_file_and_the_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("bad.env");
        for (bytes, words) in
            [(&b"A=1\n\nB=\"x\ny\n"[..], "bad.env, line 3: "), (b"A=1\nB=\xff\n", "bad.env, line 2: it is not UTF-8")]
        {
            std::fs::write(&path, bytes).expect("written");
            let error = merged(std::slice::from_ref(&path), Vec::new()).expect_err("bad").to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = merged(&[dir.path().join("missing")], Vec::new()).expect_err("missing").to_string();
        assert!(error.contains("missing"), "{error}");
    }
}
