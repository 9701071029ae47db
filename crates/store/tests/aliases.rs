//! Aliases: their routes, and the versions that they protect from deletion.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{AliasChange, Config, Error, NewAlias, Store};
use support::{Home, active, entry, image, key};
use types::alias::{Additional, HeaderValue, Weight, When};
use types::{Qualifier, Route, RouteBy, Status, VersionName};

const ONE: VersionName = VersionName::Number(1);
const TWO: VersionName = VersionName::Number(2);

async fn two_versions(home: &Home) -> Store {
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    for _ in 0..2 {
        store.publish_version(&key("hello"), None).await.unwrap();
    }
    store
}

fn prod(route: Route) -> NewAlias {
    NewAlias { key: key("hello"), name: "prod".into(), route, description: "of users".into() }
}

fn weighted(share: f64) -> Route {
    let when = When::Weight(Weight::from_fraction(share).unwrap());
    Route { version: ONE, additional: Some(Additional { version: TWO, when }) }
}

fn called(store: &Store, alias: &str, by: RouteBy<'_>) -> VersionName {
    store.catalog().load().find(&key("hello"), &Qualifier::Alias(alias.into()), by).unwrap().key.version
}

#[tokio::test]
async fn an_alias_leads_where_its_route_says_and_survives_a_restart() {
    let home = Home::new();
    let store = two_versions(&home).await;
    let made = store.create_alias(prod(weighted(0.25))).await.unwrap();
    assert_eq!((made.name.as_str(), made.description.as_str(), &made.route), ("prod", "of users", &weighted(0.25)));
    assert_eq!(called(&store, "prod", RouteBy { draw: 249_999, ..RouteBy::MAIN }), TWO);
    assert_eq!(called(&store, "prod", RouteBy { draw: 250_000, ..RouteBy::MAIN }), ONE);

    let value = HeaderValue::Range { min: 1, max: 5 };
    let when = When::Header { name: "user".into(), value };
    let by_header = Route { version: TWO, additional: Some(Additional { version: ONE, when }) };
    let change = AliasChange { route: by_header.clone(), description: None };
    let changed = store.update_alias(&key("hello"), "prod", change).await.unwrap();
    assert_eq!((changed.description.as_str(), &changed.route), ("of users", &by_header));
    drop(store);
    let store = home.open().await;
    let header = |name: &str| (name == "user").then(|| "3".to_owned());
    assert_eq!(called(&store, "prod", RouteBy { draw: 0, header: &header }), ONE);
    assert_eq!(called(&store, "prod", RouteBy::MAIN), TWO);
    assert_eq!(store.function(&key("hello")).await.unwrap().aliases["prod"], changed);
}

#[tokio::test]
async fn default_can_be_led_elsewhere_but_not_deleted() {
    let home = Home::new();
    let store = two_versions(&home).await;
    let change = AliasChange { route: Route::to(TWO), description: Some("stable".into()) };
    store.update_alias(&key("hello"), "$DEFAULT", change).await.unwrap();
    assert_eq!(called(&store, "$DEFAULT", RouteBy::MAIN), TWO);
    let refused = store.delete_alias(&key("hello"), "$DEFAULT").await.unwrap_err();
    assert!(matches!(refused, Error::DefaultAlias { .. }), "{refused}");
    store.create_alias(prod(Route::to(ONE))).await.unwrap();
    store.delete_alias(&key("hello"), "prod").await.unwrap();
    assert!(!entry(&store, "hello").unwrap().aliases.contains_key("prod"));
}

#[tokio::test]
async fn what_is_not_there_or_there_already_is_named() {
    let home = Home::with(Config { aliases_per_function_max: 2, ..Config::default() });
    let store = two_versions(&home).await;
    let nine = Route::to(VersionName::Number(9));
    let refused = store.create_alias(prod(nine.clone())).await.unwrap_err();
    assert_eq!(refused.to_string(), "function default/hello has no version 9");
    store.create_alias(prod(Route::to(ONE))).await.unwrap();
    let again = store.create_alias(prod(Route::to(ONE))).await.unwrap_err();
    assert_eq!(again.to_string(), "function default/hello has an alias prod already");
    let other = NewAlias { name: "other".into(), ..prod(Route::to(ONE)) };
    assert!(matches!(store.create_alias(other).await.unwrap_err(), Error::TooManyAliases { aliases_max: 2, .. }));
    let change = |route: Route| AliasChange { route, description: None };
    let refused = store.update_alias(&key("hello"), "prod", change(nine)).await.unwrap_err();
    assert!(matches!(refused, Error::VersionNotFound { .. }), "{refused}");
    let refused = store.update_alias(&key("hello"), "other", change(Route::to(ONE))).await.unwrap_err();
    assert_eq!(refused.to_string(), "function default/hello has no alias other");
    assert!(matches!(store.delete_alias(&key("hello"), "other").await, Err(Error::AliasNotFound { .. })));
    store.begin_delete(&key("hello")).await.unwrap();
    let refused = store.delete_alias(&key("hello"), "prod").await.unwrap_err();
    assert!(matches!(refused, Error::WrongStatus { status: Status::Deleting, .. }), "{refused}");
}

#[tokio::test]
async fn a_version_that_an_alias_leads_to_is_not_deleted() {
    let home = Home::new();
    let store = two_versions(&home).await;
    store.create_alias(prod(weighted(0.5))).await.unwrap();
    for number in [1, 2] {
        let refused = store.delete_version(&key("hello"), number).await.unwrap_err();
        assert!(refused.to_string().contains("is used by the alias prod"), "{refused}");
    }
    let change = AliasChange { route: Route::to(ONE), description: None };
    store.update_alias(&key("hello"), "prod", change).await.unwrap();
    store.delete_version(&key("hello"), 2).await.unwrap();
}

#[tokio::test]
async fn aliases_of_an_older_database_are_kept() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let first = "0001_functions.sql";
    let migrations = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    std::fs::copy(migrations.join(first), folder.path().join(first)).unwrap();
    std::fs::create_dir_all(home.path().parent().unwrap()).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path()).create_if_missing(true);
    let old = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::migrate::Migrator::new(folder.path()).await.unwrap().run(&old).await.unwrap();
    let spec = serde_json::to_string(&support::spec("localhost/hello")).unwrap();
    let rows = "INSERT INTO namespaces VALUES ('default', '', 1, 1);
        INSERT INTO functions VALUES ('lam-aaaaaaaa', 'default', 'hello', 'HTTP', NULL, 0, 0, '[]', 0, 0, 1, 1);
        INSERT INTO aliases VALUES ('lam-aaaaaaaa', '$DEFAULT', 0, 5, 6);";
    let version = "INSERT INTO versions VALUES ('lam-aaaaaaaa', 0, 'Creating', '[]', 1, $1, '', 1, NULL, NULL, NULL,
        NULL, 1, 1)";
    let (before, alias) = rows.split_at(rows.find("INSERT INTO aliases").unwrap());
    sqlx::raw_sql(before).execute(&old).await.unwrap();
    sqlx::query(version).bind(spec).execute(&old).await.unwrap();
    sqlx::raw_sql(alias).execute(&old).await.unwrap();
    old.close().await;

    let store = home.open().await;
    let function = store.function(&key("hello")).await.unwrap();
    let alias = &function.aliases["$DEFAULT"];
    assert_eq!((&alias.route, alias.added_ms, alias.modified_ms), (&Route::to(VersionName::Latest), 5, 6));
    assert_eq!(alias.description, "");
}
