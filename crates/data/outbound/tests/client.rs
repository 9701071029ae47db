//! The client's connections, with a resolver and servers of the test.
#![allow(clippy::unwrap_used, missing_docs)] // A test binary has no readers of its interface.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderMap;
use outbound::{Client, Config, Connection, Error, Looking, Lookup, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers each lookup with the next of its addresses, the last one repeatedly.
struct Changing {
    answers: Vec<Vec<IpAddr>>,
    asked: Arc<AtomicUsize>,
}

impl Lookup for Changing {
    fn lookup(&self, _host: &str) -> Looking {
        let at = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        let answer = self.answers[at].clone();
        Box::pin(async move { Ok(answer) })
    }
}

struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Serves on two addresses of this machine at one port, and records which got a request.
async fn server(body: &'static str) -> Server {
    let requests = Arc::new(Mutex::new(Vec::<String>::new()));
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    for listener in [first, second] {
        let requests = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 4096];
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                let at = listener.local_addr().unwrap().ip();
                let head = format!("{at} {}", String::from_utf8_lossy(&bytes[..count]));
                requests.lock().unwrap().push(head);
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nRetry-After: 7\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
    }
    Server { port, requests }
}

fn config() -> Config {
    Config {
        hosts_allowed: vec!["hooks.example.com".to_owned()],
        addresses_allowed: vec!["127.0.0.1".parse().unwrap()],
        ..Config::default()
    }
}

fn client(answers: &[&[&str]]) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let addresses = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let lookup = Changing { answers: answers.iter().map(addresses).collect(), asked: Arc::clone(&asked) };
    (Client::with_lookup(&config(), &BTreeMap::new(), Arc::new(lookup)).unwrap(), asked)
}

async fn post(client: &Client, server: &Server) -> Result<outbound::Response, Error> {
    let url = format!("http://hooks.example.com:{}/a", server.port);
    client.post(&url, HeaderMap::new(), "{}".into()).await
}

#[tokio::test]
async fn a_name_that_means_something_else_the_next_time_is_tested_again() {
    let server = server("").await;
    let (client, asked) = client(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let first = post(&client, &server).await.unwrap();
    assert_eq!((first.status.as_u16(), first.retry_after.map(|pause| pause.as_secs())), (200, Some(7)));
    assert_eq!(asked.load(Ordering::SeqCst), 1, "resolved once: the address that was tested is connected to");
    let second = post(&client, &server).await;
    assert!(matches!(&second, Err(Error::Refused(Refused::Address { .. }))), "{second:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 2, "each attempt resolves anew");
    let requests = server.requests.lock().unwrap();
    assert!(requests.len() == 1 && requests[0].starts_with("127.0.0.1 POST /a"), "{requests:?}");
}

#[tokio::test]
async fn one_forbidden_address_refuses_all_of_a_name() {
    let server = server("").await;
    for answer in [&["127.0.0.1", "169.254.169.254"][..], &["::ffff:127.0.0.2"], &["10.0.0.1"], &["::1"]] {
        let (client, _) = client(&[answer]);
        let refused = post(&client, &server).await;
        assert!(matches!(refused, Err(Error::Refused(Refused::Address { .. }))), "{answer:?}: {refused:?}");
    }
    assert!(server.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_bound() {
    let server = server("0123456789").await;
    let lookup = Changing { answers: vec![vec![[127, 0, 0, 1].into()]], asked: Arc::default() };
    let config = Config { response_bytes_max: 4, ..config() };
    let client = Client::with_lookup(&config, &BTreeMap::new(), Arc::new(lookup)).unwrap();
    assert_eq!(post(&client, &server).await.unwrap().body, "0123");
}

#[tokio::test]
async fn a_connection_has_its_headers_and_its_token() {
    let server = server("").await;
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "s3cret\n").unwrap();
    let connection = Connection {
        url: format!("http://127.0.0.1:{}/ops", server.port),
        headers: BTreeMap::from([("X-Team".to_owned(), "blue".to_owned())]),
        bearer_file: Some(token.path().to_owned()),
        bearer_env: None,
    };
    let client = Client::new(&config(), &BTreeMap::from([("ops".to_owned(), connection)])).unwrap();
    client.post_to("ops", HeaderMap::new(), "{}".into()).await.unwrap();
    let head = server.requests.lock().unwrap()[0].to_ascii_lowercase();
    assert!(head.contains("authorization: bearer s3cret") && head.contains("x-team: blue"), "{head}");
    let unknown = client.post_to("other", HeaderMap::new(), "{}".into()).await;
    assert!(unknown.unwrap_err().to_string().contains("add [connections.other]"));
    drop(token);
    let without = client.post_to("ops", HeaderMap::new(), "{}".into()).await;
    assert!(matches!(without, Err(Error::Token(..))), "nothing is sent without its token");
}

#[test]
fn settings_that_could_not_work_are_refused_by_name() {
    let refused = |connection: Connection| {
        let made = Client::new(&config(), &BTreeMap::from([("ops".to_owned(), connection)]));
        made.err().unwrap().to_string()
    };
    let url = "https://hooks.example.com/".to_owned();
    assert!(refused(Connection::default()).starts_with("connections.ops.url"));
    let private = Connection { url: "http://10.0.0.1/".to_owned(), ..Connection::default() };
    assert!(refused(private).contains("addresses_allowed"));
    let headers = BTreeMap::from([("a b".to_owned(), "c".to_owned())]);
    assert!(
        refused(Connection { url: url.clone(), headers, ..Connection::default() }).contains("connections.ops.headers")
    );
    let both =
        Connection { url, bearer_file: Some("/f".into()), bearer_env: Some("V".to_owned()), ..Connection::default() };
    assert!(refused(both).starts_with("connections.ops.bearer_env"));
    let zero = Client::new(&Config { timeout_s: 0, ..Config::default() }, &BTreeMap::new()).err().unwrap();
    assert!(zero.to_string().starts_with("outbound.timeout_s: 0 is not allowed"));
}
