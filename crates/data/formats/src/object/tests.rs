//! Notifications of each store, and the events made of them.

use serde_json::{Value, json};

use super::*;

fn record(name: &str, key: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2024-05-01T10:20:30.456Z",
        "eventName": name, "requestParameters": {"sourceIPAddress": "10.0.0.9"},
        "responseElements": {"x-amz-request-id": "R1"},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "c", "bucket": {"name": "films", "arn": "arn:aws:s3:::films"},
            "object": {"key": key, "size": 1024, "eTag": "abc", "versionId": "v1", "sequencer": "0055AED6DCD90281E5"}
        }
    })
}

fn body(records: &[Value]) -> Vec<u8> {
    json!({"Records": records}).to_string().into_bytes()
}

fn changes(body: &[u8]) -> Vec<Change> {
    match Notification::parse(body).unwrap() {
        Notification::Changes(changes) => changes,
        other => panic!("{other:?}"),
    }
}

fn summary(changes: &[Change]) -> Vec<String> {
    let version = |change: &Change| change.version.clone().unwrap_or_default();
    changes
        .iter()
        .map(|change| format!("{} {}/{} {}", change.name, change.bucket, change.key, version(change)))
        .collect()
}

#[test]
fn every_record_of_a_notification_counts() {
    let all = changes(&body(&[record("ObjectCreated:Put", "a"), record("ObjectRemoved:Delete", "b")]));
    assert_eq!(summary(&all), ["ObjectCreated:Put films/a v1", "ObjectRemoved:Delete films/b v1"]);
    assert_eq!(all[0].time_ms, Some(1_714_558_830_456));
    assert_eq!((all[0].source_ip.as_deref(), all[0].request_id.as_deref()), (Some("10.0.0.9"), Some("R1")));
    assert_eq!(changes(br#"{"Records":[]}"#), []);
    assert_eq!(Notification::parse(&body(&vec![record("x", "y"); 1001])), Err(Unreadable::TooMany(1001)));
}

#[test]
fn keys_are_decoded_exactly_once() {
    for (sent, key) in [
        ("plain.jpg", "plain.jpg"),
        ("a+b/c%20d", "a b/c d"),
        ("a%2Bb", "a+b"),
        ("100%2525", "100%25"),
        ("%E5%AF%B9%E8%B1%A1", "对象"),
        ("50%", "50%"),
        ("a%zz", "a%zz"),
    ] {
        assert_eq!(changes(&body(&[record("ObjectCreated:Put", sent)]))[0].key, key, "{sent}");
    }
}

#[test]
fn minio_sends_the_records_of_s3_with_its_own_names() {
    let records = [record("s3:ObjectCreated:Put", "a+b")];
    let minio = json!({"EventName": "s3:ObjectCreated:Put", "Key": "films/a b", "Records": records});
    assert_eq!(summary(&changes(minio.to_string().as_bytes())), ["ObjectCreated:Put films/a b v1"]);
    let created = Filter::new("cos:ObjectCreated:*", "", "").unwrap();
    for not_a_creation in ["s3:ObjectCreated:PutRetention", "s3:ObjectCreated:PutTagging", "s3:ObjectAccessed:Get"] {
        assert!(!created.matches(&changes(&body(&[record(not_a_creation, "a")]))[0]), "{not_a_creation}");
    }
}

#[test]
fn sns_envelopes_are_opened() {
    let inner = String::from_utf8(body(&[record("ObjectCreated:Put", "a%2520b")])).unwrap();
    let envelope =
        json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": inner});
    assert_eq!(summary(&changes(envelope.to_string().as_bytes())), ["ObjectCreated:Put films/a%20b v1"]);
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"films"}"#;
    let test = json!({"Type": "Notification", "Message": test});
    assert_eq!(Notification::parse(test.to_string().as_bytes()), Ok(Notification::Nothing("a test of the store")));
    let url = "https://sns.example.com/?a=b";
    let confirm = json!({"Type": "SubscriptionConfirmation", "TopicArn": "t", "Token": "x", "SubscribeURL": url});
    assert_eq!(
        Notification::parse(confirm.to_string().as_bytes()),
        Ok(Notification::Confirm(Confirmation {
            topic: "t".to_owned(),
            subscribe_url: "https://sns.example.com/?a=b".to_owned()
        }))
    );
    let end = json!({"Type": "UnsubscribeConfirmation", "Message": "x"});
    assert!(matches!(Notification::parse(end.to_string().as_bytes()), Ok(Notification::Nothing(_))));
}

#[test]
fn subscriptions_are_confirmed_at_hosts_of_the_settings_alone() {
    let hosts = [
        "sns.us-east-1.amazonaws.com".to_owned(),
        "http://127.0.0.1:5000".to_owned(),
        "sns.example.com:8443".to_owned(),
    ];
    for (url, may) in [
        ("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription", true),
        ("https://SNS.us-east-1.amazonaws.com:443/", true),
        ("http://sns.us-east-1.amazonaws.com/", false),
        ("https://sns.us-east-1.amazonaws.com:444/", false),
        ("https://sns.us-east-1.amazonaws.com.evil.example/", false),
        ("https://sns.us-east-1.amazonaws.com@evil.example/", false),
        ("https://evil.example/sns.us-east-1.amazonaws.com", false),
        ("http://127.0.0.1:5000/x", true),
        ("http://127.0.0.1:5001/x", false),
        ("https://127.0.0.1:5000/x", false),
        ("https://sns.example.com:8443/", true),
        ("https://sns.example.com/", false),
        ("http://169.254.169.254/latest/meta-data", false),
        ("ftp://sns.us-east-1.amazonaws.com/", false),
        ("/relative", false),
        ("", false),
    ] {
        assert_eq!(may_confirm(url, &hosts), may, "{url}");
    }
    assert!(!may_confirm("https://sns.us-east-1.amazonaws.com/", &[]));
}

const MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";

fn seaweedfs(key: &str, message: Value) -> Vec<String> {
    // The store's event name is ignored.
    summary(&changes(json!({"key": key, "event_type": "rename", "message": message}).to_string().as_bytes()))
}

#[test]
fn seaweedfs_sends_changes_of_files() {
    let file = |name: &str, chunk: &str| {
        json!({"name": name, "chunks": [{"file_id": chunk}],
            "attributes": {"file_size": 5, "mtime": 1_714_558_830, "mime": "text/plain", "md5": MD5}})
    };
    let folder = json!({"name": "d", "is_directory": true, "attributes": {}});
    let key = "/buckets/films/d/a+b%20c";
    let (parent, name) = ("/buckets/films/d", "a+b%20c");
    assert_eq!(
        seaweedfs(key, json!({"new_entry": file(name, "1"), "new_parent_path": parent})),
        ["ObjectCreated:Put films/d/a+b%20c "]
    );
    let over = json!({"old_entry": file(name, "1"), "new_entry": file(name, "2"), "new_parent_path": parent});
    assert_eq!(seaweedfs(key, over), ["ObjectCreated:Put films/d/a+b%20c "]);
    let attributes_alone =
        json!({"old_entry": file(name, "1"), "new_entry": file(name, "1"), "new_parent_path": parent});
    assert!(seaweedfs(key, attributes_alone).is_empty());
    let moved = json!({"old_entry": file(name, "1"), "new_entry": file("x", "1"), "new_parent_path": "/buckets/films"});
    assert_eq!(seaweedfs(key, moved), ["ObjectRemoved:Delete films/d/a+b%20c ", "ObjectCreated:Put films/x "]);
    assert_eq!(
        seaweedfs(key, json!({"old_entry": file(name, "1"), "delete_chunks": true})),
        ["ObjectRemoved:Delete films/d/a+b%20c "]
    );
    assert!(
        seaweedfs("/buckets/films/d", json!({"new_entry": folder, "new_parent_path": "/buckets/films"})).is_empty()
    );
    let part = json!({"new_entry": file("0001.part", "1"), "new_parent_path": "/buckets/films/.uploads/77"});
    assert!(seaweedfs("/buckets/films/.uploads/77/0001.part", part).is_empty());
    assert!(seaweedfs("/etc/x", json!({"new_entry": file("x", "1"), "new_parent_path": "/etc"})).is_empty());
    let mut version = file("v_0042", "1");
    version["extended"] = json!({"Seaweed-X-Amz-Version-Id": "MDA0Mg=="});
    let parent = "/buckets/films/a.txt.versions";
    assert_eq!(
        seaweedfs("/buckets/films/a.txt.versions/v_0042", json!({"new_entry": version, "new_parent_path": parent})),
        ["ObjectCreated:Put films/a.txt 0042"]
    );
    version["extended"]["Seaweed-X-Amz-Delete-Marker"] = json!("dHJ1ZQ==");
    assert_eq!(
        seaweedfs("/buckets/films/a.txt.versions/v_0042", json!({"new_entry": version, "new_parent_path": parent})),
        ["ObjectRemoved:DeleteMarkerCreated films/a.txt 0042"]
    );
}

#[test]
fn objects_may_carry_the_depth_of_their_chain() {
    let mut record = record("s3:ObjectCreated:Put", "a");
    let depth = |record: &Value| changes(&body(std::slice::from_ref(record)))[0].chain_depth;
    assert_eq!(depth(&record), None);
    for (metadata, expected) in [
        (json!({"content-type": "text/plain", "X-Amz-Meta-Scf-Chain-Depth": "7"}), Some(7)),
        (json!({"x-amz-meta-scf-chain-depth": "0"}), Some(0)),
        (json!({"X-Amz-Meta-Scf-Chain-Depth": "deep"}), None),
        (json!({"X-Amz-Meta-Scf-Chain-Depth": 7}), None),
        (json!(null), None),
    ] {
        record["s3"]["object"]["userMetadata"] = metadata;
        assert_eq!(depth(&record), expected, "{record}");
    }
    let entry = json!({"name": "a", "attributes": {}, "extended": {"X-Amz-Meta-Scf-Chain-Depth": "Nw=="}});
    let message = json!({"new_entry": entry, "new_parent_path": "/buckets/films"});
    let notification = json!({"key": "/buckets/films/a", "event_type": "create", "message": message});
    assert_eq!(changes(notification.to_string().as_bytes())[0].chain_depth, Some(7));
}

#[test]
fn what_is_no_notification_is_refused() {
    for (text, expected) in [
        ("{}", "neither Records"),
        (r#"{"a":1}"#, "neither Records"),
        ("[]", "not a notification"),
        ("x", "not a notification"),
        (r#"{"Records":[{}]}"#, "record 0 of the notification: missing field `eventName`"),
        (r#"{"Type":"Notification"}"#, "has no Message"),
        (r#"{"Type":"Notification","Message":"hello"}"#, "not a notification"),
        (r#"{"Type":"Other"}"#, "neither Records"),
    ] {
        let error = Notification::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(Notification::parse(b"\x8b").is_err());
}

#[test]
fn filters_choose_by_name_and_key() {
    let change = |name: &str, key: &str| changes(&body(&[record(name, key)])).remove(0);
    for (event, prefix, suffix, name, key, taken) in [
        ("cos:ObjectCreated:*", "", "", "ObjectCreated:Copy", "a", true),
        ("cos:ObjectCreated:Put", "", "", "ObjectCreated:Copy", "a", false),
        ("cos:ObjectCreated:*", "in/", ".jpg", "ObjectCreated:Put", "in/a.jpg", true),
        ("cos:ObjectCreated:*", "in/", ".jpg", "ObjectCreated:Put", "in/a.png", false),
        ("cos:ObjectCreated:*", "in/", "", "ObjectCreated:Put", "out/in/a", false),
        ("cos:ObjectCreated:*", "a b", "", "ObjectCreated:Put", "a+b.jpg", true),
        ("cos:ObjectCreated:*", "", "", "ObjectRemoved:Delete", "a", false),
        ("cos:ObjectRemove:*", "", "", "ObjectRemoved:DeleteMarkerCreated", "a", true),
        // A marker hides an object; nothing was deleted (trap 31).
        ("cos:ObjectRemove:Delete", "", "", "ObjectRemoved:DeleteMarkerCreated", "a", false),
        ("cos:ObjectRemove:Delete", "", "", "ObjectRemoved:Delete", "a", true),
        ("cos:ObjectRemove:Delete", "", "", "LifecycleExpiration:Delete", "a", true),
    ] {
        let filter = Filter::new(event, prefix, suffix).unwrap();
        assert_eq!(filter.matches(&change(name, key)), taken, "{event} {prefix} {suffix}: {name} {key}");
    }
    assert!(
        Filter::new("cos:ObjectCreated", "", "")
            .unwrap_err()
            .to_string()
            .starts_with("event \"cos:ObjectCreated\" does not exist")
    );
    assert!(Filter::new("cos:ObjectCreated:*", &"x".repeat(1025), "").is_err());
}

#[test]
fn filters_overlap_when_one_change_fits_both() {
    let filter = |event: &str, prefix: &str, suffix: &str| Filter::new(event, prefix, suffix).unwrap();
    let all = filter("cos:ObjectCreated:*", "", "");
    for (other, overlaps) in [
        (filter("cos:ObjectCreated:Put", "in/", ".jpg"), true),
        (filter("cos:ObjectRemove:*", "", ""), false),
        (filter("cos:ObjectCreated:*", "x", "y"), true),
    ] {
        assert_eq!((all.overlaps(&other), other.overlaps(&all)), (overlaps, overlaps), "{other:?}");
    }
    assert!(!filter("cos:ObjectCreated:*", "a/", "").overlaps(&filter("cos:ObjectCreated:*", "b/", "")));
    assert!(!filter("cos:ObjectCreated:*", "", ".a").overlaps(&filter("cos:ObjectCreated:*", "", ".b")));
}

#[test]
fn deliveries_of_one_change_have_one_key_and_others_another() {
    let put = record("ObjectCreated:Put", "a");
    let key = |record: &Value| changes(&body(std::slice::from_ref(record)))[0].dedup_key();
    assert_eq!(key(&put), key(&put.clone()));
    let other = |path: &str, value: &str| {
        let mut other = put.clone();
        *other.pointer_mut(path).unwrap() = json!(value);
        other
    };
    for (path, value) in [
        ("/s3/object/key", "b"),
        ("/s3/object/versionId", "v2"),
        ("/s3/object/sequencer", "0055"),
        ("/s3/bucket/name", "other"),
        ("/eventName", "ObjectRemoved:Delete"),
    ] {
        assert_ne!(key(&put), key(&other(path, value)), "{path}");
    }
    // The same change in another envelope, or with other words around it.
    assert_eq!(key(&put), key(&other("/eventVersion", "2.3")));
    // Stores without versions and sequencers: the whole record counts.
    let bare = |time: &str| {
        let mut bare = other("/eventTime", time);
        let object = bare.pointer_mut("/s3/object").unwrap().as_object_mut().unwrap();
        object.remove("versionId");
        object.remove("sequencer");
        bare
    };
    assert_eq!(key(&bare("2024-05-01T10:20:30")), key(&bare("2024-05-01T10:20:30")));
    assert_ne!(key(&bare("2024-05-01T10:20:30")), key(&bare("2024-05-01T10:20:31")));
    assert_eq!(changes(&body(&[bare("2024-05-01T10:20:30.5")]))[0].time_ms, Some(1_714_558_830_500));
}

#[test]
fn the_event_is_that_of_the_contract() {
    let origin = Origin {
        app_id: "1250000000",
        region: "ap-guangzhou",
        notification_id: "films",
        queue: "default.transcode.$LATEST",
        endpoint: "https://s3.example.com/",
    };
    let change = changes(&body(&[record("ObjectCreated:Put", "in/a+%E5%AF%B9.mp4")])).remove(0);
    let event: Value = serde_json::from_slice(&cos_event(&change, origin).unwrap()).unwrap();
    assert_eq!(
        event,
        json!({"Records": [{
            "cos": {
                "cosSchemaVersion": "1.0",
                "cosObject": {
                    "url": "https://s3.example.com/films/in/a%20%E5%AF%B9.mp4",
                    "meta": {"x-cos-request-id": "R1", "Content-Type": "", "ETag": "\"abc\""},
                    "vid": "v1", "key": "/1250000000/films/in/a 对.mp4", "size": 1024
                },
                "cosBucket": {"region": "us-east-1", "name": "films", "appid": "1250000000"},
                "cosNotificationId": "films"
            },
            "event": {
                "eventName": "cos:ObjectCreated:Put", "eventVersion": "1.0", "eventTime": 1_714_558_830,
                "eventSource": "qcs::cos",
                "requestParameters": {"requestSourceIP": "10.0.0.9", "requestHeaders": {}},
                "eventQueue": "qcs:0:scf:ap-guangzhou:appid/1250000000:default.transcode.$LATEST",
                "reservedInfo": "", "reqid": 0
            }
        }]})
    );
    let marker = changes(&body(&[record("ObjectRemoved:DeleteMarkerCreated", "a")])).remove(0);
    let event: Value = serde_json::from_slice(&cos_event(&marker, origin).unwrap()).unwrap();
    assert_eq!(event.pointer("/Records/0/event/eventName"), Some(&json!("cos:ObjectRemove:DeleteMarkerCreated")));
    let tags = changes(&body(&[record("ObjectTagging:Put", "a")])).remove(0);
    assert_eq!(cos_event(&tags, origin), None);
}

#[test]
fn raw_records_stay_as_they_came() {
    let raw = r#"{"eventName":"ObjectCreated:Put", "odd": 1.0,  "s3":{"bucket":{"name":"b"},"object":{"key":"k%2B"}}}"#;
    let both = format!("{{\"Records\": [{raw} ,{raw}]}}");
    let all = changes(both.as_bytes());
    assert_eq!(all.len(), 2);
    assert_eq!(String::from_utf8(all[1].raw_event()).unwrap(), format!("{{\"Records\":[{raw}]}}"));
}
