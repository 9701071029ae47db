//! One request over one connection of one instance, and what can stop it: the time limit, the instance's end, a broken
//! connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use pool::{Ended, Instance};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::answer_head::AnswerError;
use crate::config::Config;
use crate::connection::{Connection, Slot};
use crate::failure::Failure;
use crate::limit::Limit;
use crate::upload::Upload;

/// An answer's head, and the connection that its body comes over.
pub(crate) type Answer = (Connection, Response<Incoming>);

/// Why a connection brought no answer.
pub(crate) enum Broken {
    /// The instance accepts no connection; nothing of the request has reached it.
    Unreached {
        /// Why.
        error: io::Error,
        /// The request.
        request: Box<Request<Upload>>,
    },
    /// The connection broke after the request, or a part of it, was sent.
    Lost(String),
    /// The instance answered with what cannot be passed on.
    Refused(Box<Failure>),
}

/// Why an exchange stopped without a complete answer.
pub(crate) enum Stopped {
    TimedOut,
    Ended(Ended),
    Broken(Broken),
}

/// New connections that a request is given when it comes back unsent.
const FRESH_CONNECTIONS_MAX: u32 = 2;

/// Sends a request over a kept connection, or a new one. A request that was not sent is sent over another connection; one
/// that may have been processed when its kept connection broke is sent again once, over a new one, only when it is
/// idempotent and has no body.
pub(crate) async fn exchange(
    instance: &Instance<Slot>,
    mut request: Request<Upload>,
    config: &Config,
) -> Result<Answer, Broken> {
    let mut delivered = None;
    while delivered.is_none()
        && let Some(mut kept) = instance.slot.connections().take(instance.suspensions(), config.kept_connection_max())
    {
        if !kept.is_ready().await {
            continue;
        }
        let spare = again(&request);
        let unanswered = match kept.send(request, config).await {
            Ok(response) => return Ok((kept, response)),
            Err(unanswered) => unanswered,
        };
        match (unanswered.unsent, spare) {
            (Some(unsent), _) => request = unsent,
            (None, Some(spare)) if !unanswered.error.is_answer() => {
                request = spare;
                delivered = Some(unanswered.error);
            }
            (None, _) => return Err(unanswered.error.broken(config)),
        }
    }
    exchange_fresh(instance, request, delivered, config).await
}

/// Sends a request over a new connection. `delivered` is how an earlier connection broke that it was sent over.
async fn exchange_fresh(
    instance: &Instance<Slot>,
    mut request: Request<Upload>,
    delivered: Option<AnswerError>,
    config: &Config,
) -> Result<Answer, Broken> {
    let mut connections_left = FRESH_CONNECTIONS_MAX;
    loop {
        let mut fresh = match connect(instance, config).await {
            Ok(fresh) => fresh,
            Err(error) => {
                return Err(match delivered {
                    Some(first) => Broken::Lost(chain(&first)),
                    None => Broken::Unreached { error, request: Box::new(request) },
                });
            }
        };
        connections_left -= 1;
        let unanswered = match answer_or_close_idle(instance, fresh.send(request, config), config).await {
            Ok(response) => return Ok((fresh, response)),
            Err(unanswered) => unanswered,
        };
        match unanswered.unsent {
            Some(unsent) if connections_left > 0 => request = unsent,
            _ => return Err(unanswered.error.broken(config)),
        }
    }
}

/// Waits for the head of an answer over a new connection. A server that serves one connection at a time looks at it only when
/// those before are closed: idle ones are, for as long as the answer does not come.
async fn answer_or_close_idle<T>(instance: &Instance<Slot>, sent: impl Future<Output = T>, config: &Config) -> T {
    if instance.version.spec.max_concurrency(instance.version.function.kind) == 1 {
        return sent.await;
    }
    let mut sent = pin!(sent);
    loop {
        match timeout(config.unanswered_wait(), &mut sent).await {
            Ok(answered) => return answered,
            Err(_) => instance.slot.connections().close_idle(),
        }
    }
}

/// A new connection to the instance's server, tried anew after each `attempt_max` until whoever waits gives up. A server
/// whose queue is full answers no attempt, and the kernel repeats one only after 1, 3 and 7 s.
pub(crate) async fn open_stream(instance: &Instance<Slot>, attempt_max: Duration) -> io::Result<TcpStream> {
    loop {
        if let Ok(connected) = timeout(attempt_max, instance.process.connect()).await {
            let stream = connected?;
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
    }
}

async fn connect(instance: &Instance<Slot>, config: &Config) -> io::Result<Connection> {
    let mut connection = Connection::over(open_stream(instance, config.connect_max()).await?, config).await?;
    // The first drive is what makes a new connection take a request.
    connection.is_ready().await;
    Ok(connection)
}

/// The same request for a second try, where one is allowed.
fn again(request: &Request<Upload>) -> Option<Request<Upload>> {
    let mut copy = Request::new(request.body().again(request.method())?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Reads an answer's body whole.
pub(crate) async fn read_whole(connection: &mut Connection, mut body: Incoming, limit: Limit) -> Result<Bytes, Broken> {
    let too_large = || Broken::Refused(Box::new(Failure::response_too_large(limit)));
    if body.size_hint().lower() > limit.bytes_max {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while !body.is_end_stream() {
        let frame = poll_fn(|cx| poll_driven(Some(connection), &mut body, cx)).await;
        let Some(frame) = frame.transpose().map_err(|error| Broken::Lost(chain(&error)))? else { break };
        let Ok(data) = frame.into_data() else { continue };
        if (first.len() + rest.len() + data.len()) as u64 > limit.bytes_max {
            return Err(too_large());
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first, rest.freeze()].concat().into())
}

/// The next frame of a body whose connection is driven here, or by a task of its own where there is none. Asking for a frame
/// is what makes the connection read it: it wakes the driver, which has another turn then.
pub(crate) fn poll_driven(
    connection: Option<&mut Connection>,
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<http_body::Frame<Bytes>, hyper::Error>>> {
    let Some(connection) = connection else { return Pin::new(body).poll_frame(cx) };
    connection.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
}

/// Runs `work` until it is done, `deadline` passes or the instance ends. An instance may end on purpose once it has
/// answered, so what is on its way then gets a last chance of `exit_wait_max`.
pub(crate) async fn guarded<T>(
    instance: &Instance<Slot>,
    deadline: Instant,
    exit_wait_max: Duration,
    work: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Stopped> {
    let mut work = pin!(work);
    // A server that sends without a pause uses up what a task may do at once, and a timer would then not even look.
    let over = tokio::task::unconstrained(sleep_until(deadline));
    let ended = tokio::select! {
        biased;
        done = &mut work => return done.map_err(Stopped::Broken),
        () = over => return Err(Stopped::TimedOut),
        ended = instance.process.ended() => ended,
    };
    match timeout(exit_wait_max, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(unreached @ Broken::Unreached { .. })) => Err(Stopped::Broken(unreached)),
        Ok(Err(_)) | Err(_) => Err(Stopped::Ended(ended)),
    }
}

/// An error with its causes, for people.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
