//! Namespaces, lists of functions, counts and limits.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{Config, Error, FunctionQuery, OrderBy};
use support::{Home, active, image, key, new_function};
use types::{FunctionKey, FunctionKind, Namespace, Status};

fn all() -> FunctionQuery {
    FunctionQuery::all(Namespace::default_namespace())
}

async fn names(store: &store::Store, query: &FunctionQuery) -> Vec<String> {
    let page = store.functions(query).await.unwrap();
    page.functions.iter().map(|function| function.record.key.name.to_string()).collect()
}

#[tokio::test]
async fn namespaces_are_made_described_listed_and_deleted() {
    let home = Home::new();
    let store = home.open().await;
    let blue: Namespace = "blue".parse().unwrap();
    let made = store.create_namespace(&blue, "first").await.unwrap();
    assert_eq!((made.name.as_str(), made.description.as_str()), ("blue", "first"));
    assert!(matches!(store.create_namespace(&blue, "").await, Err(Error::NamespaceExists { .. })));
    store.update_namespace(&blue, "second").await.unwrap();
    let listed = store.namespaces().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|n| (n.name.as_str(), n.description.as_str())).collect();
    assert_eq!(listed, [("blue", "second"), ("default", "")]);
    assert_eq!(store.catalog().load().namespaces.len(), 2);

    let function = FunctionKey { namespace: blue.clone(), name: "hello".parse().unwrap() };
    store.create_function(store::NewFunction { key: function.clone(), ..new_function("hello") }).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), [(blue.clone(), 1), (Namespace::default_namespace(), 0)]);
    let id = store.begin_delete(&function).await.unwrap();
    let refused = store.delete_namespace(&blue).await.unwrap_err();
    assert_eq!(refused.to_string(), "namespace blue is not empty; first delete the functions in it (1)");
    store.finish_delete(&id).await.unwrap();
    store.delete_namespace(&blue).await.unwrap();
    assert_eq!(store.catalog().load().namespaces, [Namespace::default_namespace()]);
    for gone in [store.delete_namespace(&blue).await, store.update_namespace(&blue, "").await] {
        assert!(matches!(gone, Err(Error::NamespaceNotFound { .. })));
    }
}

#[tokio::test]
async fn the_default_namespace_stays() {
    let home = Home::new();
    let store = home.open().await;
    let refused = store.delete_namespace(&Namespace::default_namespace()).await.unwrap_err();
    assert_eq!(refused.to_string(), "namespace default is always there and cannot be deleted");
}

#[tokio::test]
async fn a_missing_namespace_is_told_from_a_missing_function() {
    let home = Home::new();
    let store = home.open().await;
    let nowhere = FunctionKey { namespace: "nowhere".parse().unwrap(), name: "hello".parse().unwrap() };
    assert!(matches!(store.function(&nowhere).await, Err(Error::NamespaceNotFound { .. })));
    assert!(matches!(store.begin_delete(&nowhere).await, Err(Error::NamespaceNotFound { .. })));
    assert!(matches!(store.begin_delete(&key("hello")).await, Err(Error::FunctionNotFound { .. })));
    let query = FunctionQuery::all(nowhere.namespace.clone());
    assert!(matches!(store.functions(&query).await, Err(Error::NamespaceNotFound { .. })));
    let new = store::NewFunction { key: nowhere, ..new_function("hello") };
    assert!(matches!(store.create_function(new.clone()).await, Err(Error::NamespaceNotFound { .. })));
    assert!(matches!(store.replace_function(new).await, Err(Error::NamespaceNotFound { .. })));
}

#[tokio::test]
async fn limits_are_kept_and_named() {
    let config = Config { namespaces_max: 2, functions_per_namespace_max: 1, spec_bytes_max: 500, ..Config::default() };
    let home = Home::with(config);
    let store = home.open().await;
    store.create_namespace(&"one".parse().unwrap(), "").await.unwrap();
    let refused = store.create_namespace(&"two".parse().unwrap(), "").await.unwrap_err();
    assert!(refused.to_string().contains("namespaces_max"), "{refused}");
    store.create_function(new_function("hello")).await.unwrap();
    let refused = store.create_function(new_function("other")).await.unwrap_err();
    assert!(refused.to_string().contains("functions_per_namespace_max"), "{refused}");
    let again = store.create_function(new_function("hello")).await.unwrap_err();
    assert_eq!(again.to_string(), "function default/hello exists already");
    // A replacement does not add a function.
    store.replace_function(new_function("hello")).await.unwrap();
    let mut large = new_function("hello");
    large.spec.description = "x".repeat(500);
    assert!(matches!(store.replace_function(large).await, Err(Error::SpecTooLarge { .. })));
}

#[tokio::test]
async fn more_writes_than_may_wait_are_refused() {
    let home = Home::with(Config { writes_waiting_max: 2, ..Config::default() });
    let store = home.open().await;
    let create = |n: usize| {
        let store = store.clone();
        tokio::spawn(async move { store.create_function(new_function(&format!("hello{n}"))).await })
    };
    let mut made = 0;
    for task in (0..10).map(create).collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(Error::Busy { waiting_max: 2 }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!((2..10).contains(&made), "{made}");
    assert_eq!(store.functions(&all()).await.unwrap().total, made);
}

#[tokio::test]
async fn functions_are_found_by_what_they_are() {
    let home = Home::new();
    let store = home.open().await;
    for (name, kind, description) in [
        ("Alpha", FunctionKind::Event, "100% blue"),
        ("beta_1", FunctionKind::Http, "red"),
        ("beta-1", FunctionKind::Http, ""),
    ] {
        let mut new = new_function(name);
        new.kind = kind;
        new.spec.description = description.to_owned();
        new.async_run = name == "Alpha";
        new.trace = name != "Alpha";
        store.create_function(new).await.unwrap();
    }
    active(&store, "gamma", image(1)).await;
    let by_name = FunctionQuery { order_by: OrderBy::Name, descending: false, ..all() };
    assert_eq!(names(&store, &by_name).await, ["Alpha", "beta-1", "beta_1", "gamma"]);
    let found = async |query| names(&store, &query).await;
    let contains = |part: &str| FunctionQuery { name_contains: Some(part.into()), ..by_name.clone() };
    assert_eq!(found(contains("ALPHA")).await, ["Alpha"]);
    assert_eq!(found(contains("a_")).await, ["beta_1"]);
    assert_eq!(found(contains("%")).await, [""; 0]);
    assert_eq!(found(FunctionQuery { description_contains: Some("0%".into()), ..by_name.clone() }).await, ["Alpha"]);
    assert_eq!(found(FunctionQuery { kinds: vec![FunctionKind::Event], ..by_name.clone() }).await, ["Alpha"]);
    assert_eq!(found(FunctionQuery { async_run: Some(true), ..by_name.clone() }).await, ["Alpha"]);
    assert_eq!(found(FunctionQuery { trace: Some(false), ..by_name.clone() }).await, ["Alpha", "gamma"]);
    let statuses = vec![Status::Active, Status::Deleting];
    assert_eq!(found(FunctionQuery { statuses: statuses.clone(), ..by_name.clone() }).await, ["gamma"]);
    store.begin_delete(&key("Alpha")).await.unwrap();
    assert_eq!(found(FunctionQuery { statuses, ..by_name.clone() }).await, ["Alpha", "gamma"]);
}

#[tokio::test]
async fn pages_add_up_to_the_whole_list() {
    let home = Home::new();
    let store = home.open().await;
    for n in 0..25 {
        store.create_function(new_function(&format!("hello{n:02}"))).await.unwrap();
    }
    for order_by in [OrderBy::Added, OrderBy::Modified, OrderBy::Name] {
        for descending in [false, true] {
            let query = FunctionQuery { order_by, descending, ..all() };
            let whole = names(&store, &query).await;
            let mut pages = Vec::new();
            for offset in (0..30).step_by(10) {
                let page = store.functions(&FunctionQuery { offset, limit: 10, ..query.clone() }).await.unwrap();
                assert_eq!(page.total, 25);
                pages.extend(page.functions.into_iter().map(|function| function.record.key.name.to_string()));
            }
            assert_eq!(pages, whole);
            let mut sorted = whole.clone();
            sorted.sort();
            if descending {
                sorted.reverse();
            }
            assert_eq!(whole, sorted);
        }
    }
}
