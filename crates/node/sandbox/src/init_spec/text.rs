//! Texts of the spec as C strings, which have no NUL bytes.

use std::ffi::CString;

use sys::init::spec::PathStep;

use crate::error::Error;

pub(super) fn text(what: &'static str, value: &str) -> Result<CString, Error> {
    CString::new(value).map_err(|_| Error::BadSpec {
        what,
        value: value.replace('\0', "\\0"),
        reason: "it has a NUL byte",
    })
}

pub(super) fn names(names: &[&str]) -> Result<Vec<CString>, Error> {
    names.iter().map(|name| text("path", name)).collect()
}

pub(super) fn texts(what: &'static str, values: &[String]) -> Result<Vec<CString>, Error> {
    values.iter().map(|value| text(what, value)).collect()
}

/// The steps from the root to the working directory: `/a/b` is `a`, `a/b`.
pub(super) fn way_to(working_dir: &str) -> Result<Vec<PathStep>, Error> {
    let mut so_far = String::new();
    let mut steps = Vec::new();
    for name in working_dir.split('/').filter(|name| !name.is_empty()) {
        if !so_far.is_empty() {
            so_far.push('/');
        }
        so_far.push_str(name);
        steps.push(PathStep { path: text("working directory", &so_far)?, name: text("working directory", name)? });
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_is_made_from_the_top() {
        for (dir, want) in [("/srv//app/", &["srv", "srv/app"][..]), ("app", &["app"]), ("", &[]), ("/", &[])] {
            let steps = way_to(dir).expect("no NUL");
            assert_eq!(steps.iter().map(|step| step.path.to_str().expect("text")).collect::<Vec<_>>(), want, "{dir}");
            assert!(steps.iter().all(|step| step.path.to_bytes().ends_with(step.name.to_bytes())));
        }
        assert!(way_to("/a\0b").is_err());
    }
}
