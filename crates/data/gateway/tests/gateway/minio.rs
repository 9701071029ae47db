//! MinIO's webhook, byte by byte as its documentation shows the notification and its webhook target
//! sends it: one POST with the token as `Bearer`, `/` in keys encoded, metadata next to the object.

use events::RunState;
use serde_json::{Value, json};
use types::RequestId;

use crate::support::raw::Answer;
use crate::support::{Fixture, TOKEN};

const PUT: &str = include_str!("minio_put.json");

/// A request as MinIO's HTTP client writes it.
async fn send(fixture: &Fixture, token: &str, body: &str) -> Answer {
    let head = format!(
        "POST /hooks/default/event/films HTTP/1.1\r\nHost: gateway:7080\r\nUser-Agent: Go-http-client/1.1\r\n\
         Content-Length: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Accept-Encoding: gzip\r\n\r\n",
        body.len()
    );
    fixture.raw().await.call(format!("{head}{body}")).await
}

fn id(answer: &Answer) -> RequestId {
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["requestIds"][0].as_str().unwrap_or_default().parse().expect("an id")
}

/// The function's input, which it returns unchanged.
async fn received(fixture: &Fixture, id: &RequestId) -> Value {
    let ended = fixture.ended(id).await;
    assert_eq!(ended.state, RunState::Finished, "{ended:?}");
    let text = ended.result.unwrap_or_default();
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn a_put_is_the_event_of_the_contract() {
    let fixture = Fixture::start().await;
    let first = id(&send(&fixture, TOKEN, PUT).await);
    let expected = json!({"Records": [{
        "cos": {
            "cosSchemaVersion": "1.0",
            "cosNotificationId": "films",
            "cosBucket": {"region": "r", "name": "films", "appid": "1250000000"},
            "cosObject": {
                "key": "/1250000000/films/in/a b+c.mp4", "size": 10_485_760, "url": "", "vid": "",
                "meta": {
                    "x-cos-request-id": "18A9F1D2C3B4A596", "Content-Type": "video/mp4",
                    "ETag": "\"d41d8cd98f00b204e9800998ecf8427e-2\"",
                },
            },
        },
        "event": {
            "eventName": "cos:ObjectCreated:Put", "eventVersion": "1.0", "eventTime": 1_772_416_800,
            "eventSource": "qcs::cos", "eventQueue": "qcs:0:scf:r:appid/1250000000:default.event.$DEFAULT",
            "requestParameters": {"requestSourceIP": "192.0.2.7", "requestHeaders": {}}, "reservedInfo": "", "reqid": 0,
        },
    }]});
    assert_eq!(received(&fixture, &first).await, expected);
    // MinIO repeats requests that were not answered, with the same sequencer.
    assert_eq!(id(&send(&fixture, TOKEN, PUT).await), first);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_for_the_trigger_is_answered_so_that_it_is_not_sent_again() {
    let fixture = Fixture::start().await;
    let removed = PUT.replace("s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete");
    let marker = PUT.replace("s3:ObjectCreated:Put", "s3:ObjectRemoved:DeleteMarkerCreated");
    let seen = PUT.replace("s3:ObjectCreated:Put", "s3:ObjectAccessed:Head");
    let elsewhere = PUT.replace("\"name\":\"films\"", "\"name\":\"series\"");
    for body in [removed, marker, seen, elsewhere, PUT.replace(".mp4", ".txt")] {
        let answer = send(&fixture, TOKEN, &body).await;
        assert_eq!((answer.status, &answer.json()["requestIds"]), (200, &json!([])), "{body}");
    }
    let stranger = send(&fixture, "another-token-of-some-length", PUT).await;
    assert_eq!((stranger.status, stranger.header("www-authenticate")), (401, ""), "{stranger:?}");
    fixture.stop().await;
}
