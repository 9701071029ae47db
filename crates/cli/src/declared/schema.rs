//! The JSON schema of `sampan.yaml`, for editors.

/// The committed schema; a test compares it with the types.
pub const SCHEMA: &str = include_str!("../../../../docs/sampan.schema.json");

#[cfg(test)]
mod as_written;
#[cfg(test)]
mod validator;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::model::File;

    /// With `UPDATE_SCHEMA=1`, writes the file.
    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let settings = schemars::generate::SchemaSettings::draft07().with_transform(as_written::AsWritten);
        let schema = settings.into_generator().into_root_schema_for::<File>();
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sampan.schema.json");
            std::fs::write(path, &text).expect("it can be written");
            return;
        }
        assert!(text == SCHEMA, "docs/sampan.schema.json is not that of the types; write it with UPDATE_SCHEMA=1");
    }
}
