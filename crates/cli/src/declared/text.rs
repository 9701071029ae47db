//! Reads files and standard input as UTF-8, up to a limit.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::yaml::error::Error;
use super::yaml::load::{FILE_BYTES_MAX, SPLIT};
use super::yaml::place::Place;
use crate::failure::{Exit, Failure};

/// Name of standard input on the command line.
pub const STDIN: &str = "-";

/// Reads name and text of a file; `-` is standard input.
pub fn read(path: &Path) -> anyhow::Result<(String, String)> {
    let is_stdin = path.as_os_str() == STDIN;
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    let bytes = match is_stdin {
        true => bounded(io::stdin()),
        false => File::open(path).and_then(bounded),
    };
    let bytes = bytes.map_err(|error| {
        let exit = if error.kind() == ErrorKind::NotFound { Exit::NotFound } else { Exit::Usage };
        let hint = if error.kind() == ErrorKind::IsADirectory { "Name a file in it." } else { "" };
        Failure::new(exit, format!("cannot read {name}: {error}"), hint)
    })?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Failure::new(Exit::Usage, format!("{name} has more than {FILE_BYTES_MAX} bytes"), SPLIT).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| Failure::from(not_utf8(&name, &error)))?;
    Ok((name, text))
}

/// Reads at most one byte more than a file may have: a pipe or a device may never end.
fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Error {
    let bytes = error.as_bytes();
    let before = String::from_utf8_lossy(&bytes[..error.utf8_error().valid_up_to()]);
    let in_line = before.rsplit('\n').next().unwrap_or_default();
    let place =
        Place { file: name.into(), line: before.matches('\n').count() + 1, column: in_line.chars().count() + 1 };
    let hint = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "It begins as UTF-16 does: save it as UTF-8.",
        _ => "Save it as UTF-8.",
    };
    Error::new(place, "this is not UTF-8", hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(bytes: &[u8]) -> Failure {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f.yaml");
        std::fs::write(&path, bytes).expect("written");
        Failure::of(&read(&path).expect_err("refused"))
    }

    #[test]
    fn bytes_that_are_not_utf8_have_their_place() {
        let text = [b"project: p\r\n# \xc3\xa9\nname: \xc3\xa9\xe9\n".as_slice(), b"\xff\xfep\0", b"\xe2\x82"];
        let places = ["f.yaml:3:8", "f.yaml:1:1", "f.yaml:1:1"];
        for (bytes, place) in text.into_iter().zip(places) {
            let error = failure(bytes);
            assert!(error.to_string().ends_with(&format!("{place}: this is not UTF-8")), "{error}");
            assert_eq!(error.hint().contains("UTF-16"), bytes.starts_with(b"\xff"), "{}", error.hint());
        }
    }

    #[test]
    fn folders_devices_and_large_files_are_refused() {
        let of = |path: &str| Failure::of(&read(Path::new(path)).expect_err("refused"));
        assert!(of("/dev/zero").to_string().contains("/dev/zero has more than"), "{}", of("/dev/zero"));
        assert!(of("/").to_string().contains("cannot read /") && of("/").hint().contains("a file"), "{}", of("/"));
        assert_eq!(of("/nowhere/f.yaml").exit(), Exit::NotFound);
    }
}
