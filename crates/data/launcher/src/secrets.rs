//! Secrets in the environment of an instance: references are resolved when it starts.

use sandbox::SecretFile;
use types::secret_ref::{self, Part};
use types::{CatalogVersion, InstanceId, SecretBytes, SecretRef};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Longest variable with its name, `=` and final NUL that Linux accepts (execve(2),
/// `MAX_ARG_STRLEN`).
const VARIABLE_BYTES_MAX: usize = 131_072;

/// The error where secrets are not configured.
const NO_SECRETS: &str = "there are no secrets here";

/// The reader of a secret.
#[derive(Debug, Clone, Copy)]
pub struct SecretReader<'a> {
    /// The version of the instance.
    pub version: &'a CatalogVersion,
    /// The instance.
    pub instance: &'a InstanceId,
}

/// Source of secrets' values.
pub trait SecretValues: Send + Sync + 'static {
    /// The current value of a reference for functions of the reader's namespace.
    ///
    /// # Errors
    /// Why there is none; contains no value.
    fn value(&self, reader: SecretReader<'_>, secret: &SecretRef) -> Result<SecretBytes, String>;
}

/// Resolves the references in the user's variables.
pub(crate) fn resolve(
    variables: &mut [(String, String)],
    reader: SecretReader<'_>,
    values: Option<&dyn SecretValues>,
) -> Result<(), Failure> {
    let own = &reader.version.spec.environment;
    for (name, value) in variables {
        // Variables of the image are unchanged: their references are not resolved.
        if own.iter().any(|(own, _)| own == name) {
            let resolved = resolved(value, reader, values).map_err(|why| unusable(name, &why))?;
            if let Some(resolved) = resolved {
                if name.len() + resolved.len() + 2 > VARIABLE_BYTES_MAX {
                    return Err(unusable(name, "with its secrets it is longer than Linux takes; use a file instead"));
                }
                value.clone_from(&resolved);
            }
        }
    }
    Ok(())
}

/// The files with secrets of an instance.
pub(crate) fn files(reader: SecretReader<'_>, values: Option<&dyn SecretValues>) -> Result<Vec<SecretFile>, Failure> {
    let file = |file: &types::SecretFile| {
        let content = match values {
            Some(values) => values.value(reader, &file.secret),
            None => Err(NO_SECRETS.to_owned()),
        };
        let content = content.map_err(|why| failed(&format!("file {}: {why}", file.full_path())))?;
        Ok(SecretFile { path: file.path.clone(), content })
    };
    reader.version.spec.extras.secret_files.iter().map(file).collect()
}

/// The value with its secrets resolved; `None` where it has no references.
fn resolved(
    value: &str,
    reader: SecretReader<'_>,
    values: Option<&dyn SecretValues>,
) -> Result<Option<Zeroizing<String>>, String> {
    let parts = secret_ref::parts(value)?;
    if parts.iter().all(|part| matches!(part, Part::Text(_))) {
        return Ok(None);
    }
    let values = values.ok_or(NO_SECRETS)?;
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        texts.push(match part {
            Part::Text(text) => Zeroizing::new(text.to_owned()),
            Part::Secret(secret) => {
                let value = values.value(reader, &secret)?;
                let text = value.text().ok_or_else(|| format!("secret {secret} is no text; use a file instead"))?;
                Zeroizing::new(text.to_owned())
            }
        });
    }
    // Allocated once at full length: a growing string leaves copies behind.
    let mut resolved = Zeroizing::new(String::with_capacity(texts.iter().map(|text| text.len()).sum()));
    texts.iter().for_each(|text| resolved.push_str(text));
    Ok(Some(resolved))
}

fn unusable(variable: &str, why: &str) -> Failure {
    failed(&format!("variable {variable}: {why}"))
}

fn failed(why: &str) -> Failure {
    Failure::init("a secret of the function cannot be used").with_detail(format!(": {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::version;

    /// Has one secret, in every version.
    struct One;

    impl SecretValues for One {
        fn value(&self, _: SecretReader<'_>, secret: &SecretRef) -> Result<SecretBytes, String> {
            match secret.name.as_str() {
                "db" => Ok(SecretBytes::new(b"p{{secret:x}}$w".to_vec())),
                "long" => Ok(SecretBytes::new(vec![b'x'; VARIABLE_BYTES_MAX - 3])),
                "bytes" => Ok(SecretBytes::new(vec![0, 1])),
                _ => Err("there is no such secret".to_owned()),
            }
        }
    }

    fn resolve_one(name: &str, value: &str, values: Option<&dyn SecretValues>) -> Result<String, String> {
        let mut version = version();
        version.spec.environment = vec![("A".to_owned(), value.to_owned())];
        let instance = InstanceId::random();
        let mut variables = vec![(name.to_owned(), value.to_owned())];
        let reader = SecretReader { version: &version, instance: &instance };
        let done = resolve(&mut variables, reader, values);
        done.map(|()| variables.remove(0).1).map_err(|failure| failure.message + &failure.detail)
    }

    #[test]
    fn a_value_is_put_in_once_and_as_it_is() {
        assert_eq!(resolve_one("A", "{{secret:db}}", Some(&One)).unwrap(), "p{{secret:x}}$w");
        assert_eq!(resolve_one("A", "u:{{secret:db@3}}@h", Some(&One)).unwrap(), "u:p{{secret:x}}$w@h");
        assert_eq!(resolve_one("A", "plain", None).unwrap(), "plain");
        assert_eq!(resolve_one("OF_IMAGE", "{{secret:db}}", Some(&One)).unwrap(), "{{secret:db}}");
    }

    #[test]
    fn what_cannot_be_says_which_variable_and_shows_no_value() {
        for (value, why) in [
            ("{{secret:none}}", "variable A: there is no such secret"),
            ("{{secret:db", "without }}"),
            ("{{secret:bytes}}", "is no text"),
            ("{{secret:db}}{{secret:long}}", "longer than Linux takes"),
        ] {
            let error = resolve_one("A", value, Some(&One)).unwrap_err();
            assert!(error.contains(why) && !error.contains("$w"), "{error}");
        }
        assert_eq!(resolve_one("A", "{{secret:long}}", Some(&One)).unwrap().len(), VARIABLE_BYTES_MAX - 3);
        assert!(resolve_one("A", "{{secret:db}}", None).unwrap_err().contains("no secrets here"));
    }

    #[test]
    fn a_file_has_any_bytes_and_a_missing_one_is_named() {
        let mut version = version();
        let instance = InstanceId::random();
        let files_of = |version: &CatalogVersion| {
            files(SecretReader { version, instance: &instance }, Some(&One)).map_err(|failure| failure.detail)
        };
        assert!(files_of(&version).unwrap().is_empty());
        version.spec.extras.secret_files = vec![types::SecretFile::parse("tls/key=bytes").unwrap()];
        let made = files_of(&version).unwrap();
        assert_eq!((made[0].path.as_str(), made[0].content.reveal()), ("tls/key", &[0, 1][..]));
        version.spec.extras.secret_files.push(types::SecretFile::parse("none").unwrap());
        assert!(files_of(&version).unwrap_err().contains("file /run/secrets/none: there is no such secret"));
    }
}
