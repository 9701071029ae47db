//! `Sampan.SecretFiles`: secrets mounted as files in instances.

use types::secret_file::check_together;
use types::{ApiError, ErrorCode, SecretFile, wire};

use super::invalid;

const FIELD: &str = "Sampan.SecretFiles";

/// The given files, or `base` if omitted; an empty list removes all.
pub(super) fn listed(given: Option<&[wire::SecretFile]>, base: Vec<SecretFile>) -> Result<Vec<SecretFile>, ApiError> {
    let Some(given) = given else { return Ok(base) };
    let refused = |field: &str, problem| invalid(ErrorCode::INVALID_VALUE, field, problem);
    let file = |(index, file): (usize, &wire::SecretFile)| {
        SecretFile::new(&file.path, &file.secret).map_err(|why| refused(&format!("{FIELD}.{index}"), why))
    };
    let files: Vec<SecretFile> = given.iter().enumerate().map(file).collect::<Result<_, _>>()?;
    check_together(&files).map_err(|why| refused(FIELD, why))?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_replace_those_that_were_and_a_wrong_one_is_named() {
        let given = |path: &str| wire::SecretFile { path: path.to_owned(), secret: "db".to_owned() };
        let base = vec![SecretFile::parse("old").expect("valid")];
        assert_eq!(listed(None, base.clone()), Ok(base.clone()));
        assert_eq!(listed(Some(&[]), base.clone()), Ok(Vec::new()));
        let files = listed(Some(&[given("/run/secrets/a")]), base.clone()).expect("valid");
        assert_eq!((files.len(), files[0].path.as_str()), (1, "a"));
        let shown = wire::SecretFile::from(&files[0]);
        assert_eq!(listed(Some(&[shown]), Vec::new()), Ok(files), "what is answered can be asked for");
        let error = listed(Some(&[given("a"), given("/etc/x")]), base.clone()).expect_err("refused");
        assert!(error.message.starts_with("Sampan.SecretFiles.1: "), "{}", error.message);
        assert!(listed(Some(&[given("a"), given("a/b")]), base).is_err());
    }
}
