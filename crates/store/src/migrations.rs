//! The schema's migrations, from the files in `migrations/`.
//!
//! Listed here instead of by `sqlx::migrate!`: that macro would compile SQLite, tokio and the
//! cryptography of sqlx a second time, for the host.

use std::sync::LazyLock;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// File names and contents, in order.
const FILES: &[(&str, &str)] = &[
    ("0001_functions.sql", include_str!("../migrations/0001_functions.sql")),
    ("0002_versions_and_aliases.sql", include_str!("../migrations/0002_versions_and_aliases.sql")),
    ("0003_quotas.sql", include_str!("../migrations/0003_quotas.sql")),
    ("0004_provisioned.sql", include_str!("../migrations/0004_provisioned.sql")),
    ("0005_domains.sql", include_str!("../migrations/0005_domains.sql")),
    ("0006_event_invoke.sql", include_str!("../migrations/0006_event_invoke.sql")),
    ("0007_triggers.sql", include_str!("../migrations/0007_triggers.sql")),
    ("0009_secrets.sql", include_str!("../migrations/0009_secrets.sql")),
];

/// All migrations; a database records each by its number and the SHA-384 of its content.
pub(crate) static MIGRATIONS: LazyLock<Migrator> =
    LazyLock::new(|| Migrator::with_migrations(FILES.iter().map(|(name, sql)| migration(name, sql)).collect()));

fn migration(name: &'static str, sql: &'static str) -> Migration {
    let (number, rest) = name.split_once('_').expect("a name is NUMBER_DESCRIPTION.sql");
    let description = rest.strip_suffix(".sql").expect("a name is NUMBER_DESCRIPTION.sql").replace('_', " ");
    let number = number.parse().expect("a name begins with a number");
    Migration::new(number, description.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_listed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let names =
            std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("listed").file_name());
        let there: BTreeSet<String> = names.map(|name| name.into_string().expect("UTF-8")).collect();
        let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there, listed);
        assert!(FILES.is_sorted(), "migrations run in this order");
    }

    /// The bookkeeping of databases of earlier versions, by `sqlx::migrate!`.
    #[test]
    fn a_database_of_an_earlier_version_knows_its_migrations() {
        let first = MIGRATIONS.iter().next().expect("there is one");
        let checksum: String = first.checksum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (first.version, &*first.description, checksum.as_str()),
            (
                1,
                "functions",
                "ae3d4d3b2aa241613f2dd0e03e376529cd59762804a0213765a6dda2cad2dc5ed71dd6c0896c303ad10763df3b7e2f99"
            )
        );
        assert_eq!(MIGRATIONS.iter().map(|migration| migration.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 9]);
        assert!(MIGRATIONS.iter().all(|migration| !migration.sql.as_str().starts_with("-- no-transaction")));
    }
}
