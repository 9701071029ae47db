//! Custom domains: valid targets, and persistence.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{Config, DomainError, Error, Store};
use support::{Home, active, image, key};
use types::domain::{DomainEndpoint, DomainProtocol, PathRewrite};
use types::{CustomDomain, Qualifier, VersionName};

fn endpoint(path: &str, function: &str, qualifier: Qualifier) -> DomainEndpoint {
    let key = key(function);
    let rewrites = vec![PathRewrite { path: "/a/*".into(), wildcard: true, rewrite: "/$".into() }];
    DomainEndpoint { path: path.into(), namespace: key.namespace, function: key.name, qualifier, rewrites }
}

fn domain(name: &str) -> CustomDomain {
    CustomDomain {
        domain: name.into(),
        protocol: DomainProtocol::Both,
        endpoints: vec![endpoint("/*", "hello", Qualifier::LATEST)],
        certificate: Some("main".into()),
        carried: serde_json::Map::from_iter([("WafConfig".to_owned(), serde_json::json!({"WafOpen": "CLOSE"}))]),
        tags: vec![("team".into(), "blue".into())],
        added_ms: 0,
        modified_ms: 0,
    }
}

fn found(store: &Store, name: &str) -> Option<CustomDomain> {
    store.catalog().load().domains.get(name).map(|domain| CustomDomain::clone(domain))
}

#[tokio::test]
async fn a_domain_is_in_force_at_once_and_after_a_restart_until_it_is_deleted() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let mut changes = store.changes();
    store.create_domain(domain("a.example.com")).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let made = found(&store, "a.example.com").unwrap();
    assert!(made.added_ms > 0);
    assert_eq!(made, CustomDomain { added_ms: made.added_ms, modified_ms: made.added_ms, ..domain("a.example.com") });
    drop(store);
    let store = home.open().await;
    assert_eq!(found(&store, "a.example.com").unwrap(), made);

    let edit = |old: &CustomDomain| {
        Ok::<_, ()>(CustomDomain { protocol: DomainProtocol::Http, domain: "b".into(), added_ms: 9, ..old.clone() })
    };
    store.change_domain("a.example.com", edit).await.unwrap().unwrap();
    let changed = found(&store, "a.example.com").unwrap();
    assert_eq!((changed.protocol, changed.added_ms), (DomainProtocol::Http, made.added_ms));
    assert_eq!(store.change_domain("a.example.com", |_| Err("refused")).await.unwrap(), Err("refused"));
    assert_eq!(found(&store, "a.example.com").unwrap(), changed);

    store.delete_domain("a.example.com").await.unwrap();
    assert_eq!(found(&store, "a.example.com"), None);
    drop(store);
    assert_eq!(found(&home.open().await, "a.example.com"), None);
}

#[tokio::test]
async fn endpoints_lead_to_what_is_there() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let with = |endpoints| CustomDomain { endpoints, ..domain("a.example.com") };
    let none = with(vec![endpoint("/*", "none", Qualifier::LATEST)]);
    let refused = store.create_domain(none).await.unwrap_err();
    assert_eq!(refused.to_string(), "function default/none does not exist");
    for missing in [Qualifier::Version(VersionName::Number(1)), Qualifier::Alias("prod".into())] {
        let refused = store.create_domain(with(vec![endpoint("/", "hello", missing.clone())])).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("function default/hello has no version or alias {missing}"));
    }
    store.publish_version(&key("hello"), None).await.unwrap();
    let there = [Qualifier::Version(VersionName::Number(1)), Qualifier::Alias("$DEFAULT".into())];
    store.create_domain(with(there.map(|to| endpoint("/", "hello", to)).to_vec())).await.unwrap();
}

#[tokio::test]
async fn domains_are_unique_and_bounded() {
    let home = Home::with(Config { domains_max: 1, domain_bytes_max: 1000, ..Config::default() });
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    store.create_domain(domain("a.example.com")).await.unwrap();
    let refused = store.create_domain(domain("a.example.com")).await.unwrap_err();
    assert!(matches!(refused, Error::Domain(DomainError::Exists { .. })), "{refused}");
    let refused = store.create_domain(domain("b.example.com")).await.unwrap_err();
    assert!(matches!(refused, Error::Domain(DomainError::TooMany { domains_max: 1 })), "{refused}");
    let large =
        |old: &CustomDomain| Ok::<_, ()>(CustomDomain { tags: vec![("x".repeat(1000), String::new())], ..old.clone() });
    let refused = store.change_domain("a.example.com", large).await.unwrap_err();
    assert!(matches!(refused, Error::Domain(DomainError::TooLarge { bytes_max: 1000, .. })), "{refused}");
    let refused = store.delete_domain("b.example.com").await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no custom domain b.example.com");
    let refused = store.change_domain("b.example.com", |old| Ok::<_, ()>(old.clone())).await.unwrap_err();
    assert!(matches!(refused, Error::Domain(DomainError::NotFound { .. })), "{refused}");
}
