//! Lists from a server with scripted responses.

use object_store::{Connection, Error, Page, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one connection after another; returns its address and the requests, once all arrived.
async fn server(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut client, _) = listener.accept().await.expect("a client");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.expect("a head"));
            }
            asked.push(String::from_utf8(head).expect("text"));
            // The client may have closed the connection before the end.
            client.write_all(answer.as_bytes()).await.ok();
        }
        asked
    });
    (endpoint, task)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn list(keys: &[&str], more: &str) -> String {
    let object = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2024-05-01T10:20:30.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>3</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let objects: String = keys.iter().map(object).collect();
    answer(
        "200 OK",
        &format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Name>films</Name><EncodingType>url</EncodingType>{objects}{more}</ListBucketResult>"
        ),
    )
}

fn connection(endpoint: &str) -> Connection {
    Connection {
        endpoint: endpoint.to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "AK".to_owned(),
        secret_key: Some("a secret".to_owned()),
        secret_key_file: None,
        path_style: true,
    }
}

async fn page(endpoint: &str, after: Option<&str>) -> Result<Page, Error> {
    Store::new(&connection(endpoint), "films").expect("an address").page("in/", after).await
}

#[tokio::test]
async fn a_list_is_paged_to_its_end_and_keys_are_decoded_once() {
    let first = "<IsTruncated>true</IsTruncated><NextContinuationToken>t+1</NextContinuationToken>";
    let last = "<IsTruncated>false</IsTruncated>";
    let (endpoint, asked) = server(vec![list(&["in/a%20b", "in/100%2525"], first), list(&["in/c"], last)]).await;
    let one = page(&endpoint, None).await.expect("a page");
    assert_eq!(one.objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["in/a b", "in/100%25"]);
    assert_eq!((one.objects[0].modified_ms, one.objects[0].size), (1_714_558_830_000, Some(3)));
    assert_eq!(one.next.as_deref(), Some("t+1"));
    let two = page(&endpoint, one.next.as_deref()).await.expect("a page");
    assert_eq!((two.objects.len(), two.next), (1, None));
    let asked = asked.await.expect("it ends");
    assert!(asked[0].starts_with("GET /films/?") && asked[0].contains("prefix=in%2F"), "{}", asked[0]);
    assert!(asked[0].contains("X-Amz-Signature="), "{}", asked[0]);
    assert!(asked[1].contains("continuation-token=t%2B1"), "{}", asked[1]);
}

#[tokio::test]
async fn refusals_say_what_the_store_said_and_never_the_signature() {
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let answers =
        vec![answer("403 Forbidden", "<Code>AccessDenied</Code>"), redirect.to_owned(), answer("200 OK", "{}")];
    let (endpoint, asked) = server(answers).await;
    let denied = page(&endpoint, None).await.expect_err("denied").to_string();
    assert!(denied.contains("403 <Code>AccessDenied</Code>") && denied.contains("\"films\""), "{denied}");
    let led = page(&endpoint, None).await.expect_err("led away").to_string();
    assert!(led.contains("307"), "{led}");
    let no_list = page(&endpoint, None).await.expect_err("expected a list").to_string();
    assert!(no_list.contains("cannot be read"), "{no_list}");
    asked.await.expect("it ends");
    let gone = page(&endpoint, None).await.expect_err("gone").to_string();
    assert!(gone.starts_with("cannot list bucket \"films\"") && !gone.contains("Signature"), "{gone}");
}

#[tokio::test]
async fn what_cannot_be_a_store_is_refused() {
    for endpoint in ["", "s3.example.com", "ftp://s3.example.com", "/x"] {
        assert!(matches!(Store::new(&connection(endpoint), "films"), Err(Error::Endpoint { .. })), "{endpoint:?}");
    }
    let none = Connection { secret_key: None, ..connection("http://127.0.0.1:1") };
    let store = Store::new(&none, "films").expect("an address");
    assert!(matches!(store.page("", None).await, Err(Error::Secret)));
    let file = Connection { secret_key_file: Some("/nonexistent/key".into()), ..none };
    let store = Store::new(&file, "films").expect("an address");
    let error = store.page("", None).await.expect_err("no file").to_string();
    assert_eq!(error, "cannot read secret_key_file /nonexistent/key");
    assert!(!format!("{:?}", connection("http://h")).contains("a secret"));
}
