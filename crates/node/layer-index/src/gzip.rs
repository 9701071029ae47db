//! Decoder of gzip streams of any number of members; bytes after the last one get an error that
//! says so.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

/// Error of bytes after the last member, such as the zeros of a tool that pads to whole blocks;
/// Go's compress/gzip refuses them too.
const TRAILING: &str = "bytes that are not gzip follow its gzip stream, such as zeros that pad it; compress the layer \
                        again, with nothing after the stream's end";

/// The decoder.
pub(crate) struct Gzip<R> {
    members: MultiGzDecoder<R>,
    /// Whether the first member's header was read.
    begun: bool,
}

impl<R: BufRead> Gzip<R> {
    pub(crate) fn new(compressed: R) -> Self {
        Self { members: MultiGzDecoder::new(compressed), begun: false }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.members.read(buffer) {
            Ok(read) => {
                self.begun = true;
                Ok(read)
            }
            Err(error) => {
                // It has no header while it reads that of a next member.
                let is_after = self.begun && self.members.header().is_none();
                let is_malformed = matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::UnexpectedEof);
                if is_after && is_malformed {
                    Err(io::Error::new(ErrorKind::InvalidData, TRAILING))
                } else {
                    Err(error)
                }
            }
        }
    }
}
