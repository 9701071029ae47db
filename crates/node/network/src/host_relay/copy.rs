//! Relays bytes in both directions until both sides have closed, one fails, or the connection is
//! idle for too long. An idle connection holds no buffer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until};

/// Size of the buffer.
const COPY_BYTES: usize = 16 << 10;
/// Rounds of one direction before the task yields.
const ROUNDS_MAX: u32 = 32;

/// Result of one round.
enum Round {
    Nothing,
    All,
    /// The peer took nothing of this yet.
    Rest(Vec<u8>),
    End,
}

/// Carries bytes between two sockets; the end of one direction is passed on and the other goes on.
///
/// # Errors
/// Of either socket, and `TimedOut` when nothing was carried for `idle_max`.
pub async fn both_ways(a: &mut TcpStream, b: &mut TcpStream, idle_max: Duration) -> io::Result<()> {
    let ((a_read, a_write), (b_read, b_write)) = (a.split(), b.split());
    let activity = Activity { begun: Instant::now(), last_ms: AtomicU64::new(0) };
    let both = async { tokio::try_join!(one_way(a_read, b_write, &activity), one_way(b_read, a_write, &activity)) };
    tokio::select! {
        carried = both => {
            carried.map(drop)
        }
        () = activity.idle(idle_max) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn one_way(from: ReadHalf<'_>, mut to: WriteHalf<'_>, activity: &Activity) -> io::Result<()> {
    let mut rounds = 0;
    loop {
        from.readable().await?;
        let round = round(&from, &to)?;
        match round {
            Round::Nothing => continue,
            Round::All => {}
            Round::Rest(rest) => {
                activity.now();
                to.write_all(&rest).await?;
            }
            Round::End => return to.shutdown().await,
        }
        activity.now();
        rounds += 1;
        if rounds % ROUNDS_MAX == 0 {
            tokio::task::yield_now().await;
        }
    }
}

fn round(from: &ReadHalf<'_>, to: &WriteHalf<'_>) -> io::Result<Round> {
    let mut buffer = [0; COPY_BYTES];
    let bytes = match from.try_read(&mut buffer) {
        Ok(0) => return Ok(Round::End),
        Ok(length) => &buffer[..length],
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Round::Nothing),
        Err(error) => return Err(error),
    };
    match to.try_write(bytes) {
        Ok(written) if written == bytes.len() => Ok(Round::All),
        Ok(written) => Ok(Round::Rest(bytes[written..].to_vec())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Round::Rest(bytes.to_vec())),
        Err(error) => Err(error),
    }
}

/// When bytes were last relayed.
struct Activity {
    begun: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn now(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// Resolves when no bytes were relayed for this long.
    async fn idle(&self, max: Duration) {
        loop {
            let until = self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + max;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (near.expect("connected"), far.expect("accepted").0)
    }

    #[tokio::test]
    async fn each_direction_ends_for_itself() {
        let ((mut client, mut a), (mut b, mut server)) = (pair().await, pair().await);
        let relay = tokio::spawn(async move { both_ways(&mut a, &mut b, Duration::from_secs(3600)).await });
        let question = vec![b'q'; 300_000];
        let sent = question.clone();
        let asking = tokio::spawn(async move {
            client.write_all(&sent).await.expect("written");
            client.shutdown().await.expect("half closed");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("read");
            answer
        });
        let mut asked = Vec::new();
        server.read_to_end(&mut asked).await.expect("read to the half close");
        assert!(asked == question);
        server.write_all(&vec![b'a'; 500_000]).await.expect("the other direction is open");
        drop(server);
        assert_eq!(asking.await.expect("no panic").len(), 500_000);
        relay.await.expect("no panic").expect("both ended");
    }

    #[tokio::test]
    async fn a_connection_that_carries_nothing_ends() {
        let ((_client, mut a), (mut b, _server)) = (pair().await, pair().await);
        let error = both_ways(&mut a, &mut b, Duration::from_millis(1)).await.expect_err("idle");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
