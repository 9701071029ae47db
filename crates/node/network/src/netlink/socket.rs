//! A netlink socket of one family, in the network namespace of the thread that opens it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::message::{Answer, Message, answers, u32_at};

/// Largest datagram that the kernel makes of a list's entries.
const DATAGRAM_BYTES: usize = 64 * 1024;
/// The same for acknowledgements of short messages: an error number, and the message itself on
/// failure.
const ANSWER_BYTES: usize = 4 * 1024;
/// Timeout of a response. The kernel responds within the system call unless others hold its locks.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A socket for one exchange at a time.
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    datagram: Vec<u8>,
    #[cfg(test)]
    datagrams: u32,
}

impl Socket {
    /// For links, addresses and routes.
    pub fn route() -> io::Result<Self> {
        // The family's number is 0, which is how no protocol is written.
        Self::open(None)
    }

    /// For packet filters and tracked connections.
    pub fn netfilter() -> io::Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_WAIT))?;
        let (sequence, datagram) = (0, Vec::new());
        Ok(Self {
            fd,
            sequence,
            datagram,
            #[cfg(test)]
            datagrams: 0,
        })
    }

    /// Sends a batch of messages of which only the last is acknowledged, and waits for that.
    pub fn send_as_one(&mut self, messages: impl IntoIterator<Item = Message>) -> io::Result<()> {
        self.send(answered_as_one(messages))
    }

    /// Sends a batch of messages and waits until all that request it are acknowledged. Returns the
    /// first failure, after all were answered.
    pub fn send(&mut self, messages: Vec<Message>) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1);
        let mut waiting: Vec<u32> = Vec::new();
        let mut bytes = Vec::new();
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            if message.is_acknowledged() {
                waiting.push(self.sequence);
            }
            bytes.extend(message.numbered(self.sequence));
        }
        let ours = self.sequence.wrapping_sub(first);
        send(&self.fd, &bytes, SendFlags::empty())?;
        let mut outcome = Ok(());
        while !waiting.is_empty() {
            for answer in answers(self.receive()?) {
                if i32::from(answer.kind) != libc::NLMSG_ERROR || answer.sequence.wrapping_sub(first) > ours {
                    continue;
                }
                let before = waiting.len();
                waiting.retain(|sequence| *sequence != answer.sequence);
                let told = status(&answer);
                if before == waiting.len() && told.is_err() {
                    // An error about a message without a pending acknowledgement, such as the begin
                    // of a transaction: the others are not answered.
                    return told;
                }
                outcome = outcome.and(told);
            }
        }
        outcome
    }

    /// How many messages were sent.
    #[cfg(test)]
    pub fn sent(&self) -> u32 {
        self.sequence
    }

    /// How many datagrams were read, which takes a system call each.
    #[cfg(test)]
    pub fn read(&self) -> u32 {
        self.datagrams
    }

    fn receive(&mut self) -> io::Result<&[u8]> {
        #[cfg(test)]
        {
            self.datagrams += 1;
        }
        self.datagram.resize(DATAGRAM_BYTES, 0);
        let (length, _) = recv(&self.fd, self.datagram.as_mut_slice(), RecvFlags::empty())?;
        Ok(&self.datagram[..length])
    }

    /// The socket itself, which then does not block.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        rustix::io::ioctl_fionbio(&self.fd, true)?;
        Ok(self.fd)
    }

    /// Sends a get request and returns the body of the response.
    pub fn request(&mut self, question: Message) -> io::Result<Vec<u8>> {
        let sequence = self.sequence.wrapping_add(1);
        self.sequence = sequence;
        send(&self.fd, &question.numbered(sequence), SendFlags::empty())?;
        loop {
            for answer in answers(self.receive()?) {
                match (answer.sequence == sequence, i32::from(answer.kind)) {
                    (false, _) => {}
                    (true, libc::NLMSG_ERROR) => return status(&answer).map(|()| Vec::new()),
                    (true, _) => return Ok(answer.body.to_vec()),
                }
            }
        }
    }

    /// Sends a dump request and returns the body of each entry.
    pub fn list(&mut self, question: Message) -> io::Result<Vec<Vec<u8>>> {
        let sequence = self.sequence.wrapping_add(1);
        self.sequence = sequence;
        send(&self.fd, &question.numbered(sequence), SendFlags::empty())?;
        let mut found = Vec::new();
        loop {
            for answer in answers(self.receive()?) {
                if answer.sequence != sequence {
                    continue;
                }
                match i32::from(answer.kind) {
                    libc::NLMSG_DONE => return Ok(found),
                    libc::NLMSG_ERROR => return status(&answer).map(|()| found),
                    _ => found.push(answer.body.to_vec()),
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sends a batch of rtnetlink changes on a fresh socket. The kernel has applied and acknowledged
/// them when the sending system call returns.
pub fn change(socket: BorrowedFd<'_>, messages: impl IntoIterator<Item = Message>) -> io::Result<()> {
    let numbered = (1..).zip(answered_as_one(messages)).flat_map(|(sequence, message)| message.numbered(sequence));
    send(socket, &numbered.collect::<Vec<u8>>(), SendFlags::empty())?;
    let mut datagram = [0; ANSWER_BYTES];
    let (length, _) = recv(socket, datagram.as_mut_slice(), RecvFlags::DONTWAIT)?;
    // That of the first that failed, or of the last.
    answers(&datagram[..length]).first().map_or(Err(io::Error::from_raw_os_error(libc::EBADMSG)), status)
}

/// The kernel does one after the other, and answers those that fail in any case.
fn answered_as_one(messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
    let mut messages: Vec<Message> = messages.into_iter().map(Message::unacknowledged).collect();
    if let Some(last) = messages.pop() {
        messages.push(last.acknowledged());
    }
    messages
}

/// The result in an acknowledgement: 0 or a negated errno.
fn status(answer: &Answer<'_>) -> io::Result<()> {
    match u32_at(answer.body, 0).map_or(-libc::EBADMSG, u32::cast_signed) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}
