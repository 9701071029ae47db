//! Where lines, beginnings and ends go in: the memory of live invocations and the queue to the writer. Never waits.

use std::sync::Arc;

use types::{FunctionRecord, InstanceId, RequestId, VersionName};

use crate::Config;
use crate::clock;
use crate::lines::Stream;
use crate::live::{Live, Request};
use crate::queue::{Refused, Sender};
use crate::record::{Begin, End, FIXED_BYTES, LineRecord, Record};
use crate::shares::FunctionShare;

/// The way in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) live: Arc<Live>,
    queue: Sender,
    pub(crate) config: Arc<Config>,
}

/// Who writes output.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) instance: InstanceId,
    pub(crate) function: Arc<FunctionRecord>,
    pub(crate) version: VersionName,
    pub(crate) share: FunctionShare,
}

impl Sink {
    pub(crate) fn new(queue: Sender, config: Arc<Config>) -> Self {
        Self { live: Arc::new(Live::new(config.finished_tails_max)), queue, config }
    }

    pub(crate) fn begin(&self, mut begin: Begin) {
        let mut opening = std::mem::take(&mut begin.opening);
        shorten(&mut opening, self.config.line_bytes_max);
        let request = Arc::new(Request::new(begin, self.config.tail_bytes_max));
        if !opening.is_empty() {
            request.push(&opening);
        }
        self.live.insert(request.clone());
        // A refusal is counted by the queue; the end, if it is taken, makes up for a lost beginning.
        let _ = self.queue.send(Record::Begin(request, opening));
    }

    /// The memory of a beginning without its record.
    pub(crate) fn watch(&self, begin: Begin) {
        self.live.insert(Arc::new(Request::new(begin, self.config.tail_bytes_max)));
    }

    pub(crate) fn platform(&self, id: &RequestId, text: &str) {
        let Some(request) = self.live.get(id) else {
            tracing::debug!(request = %id, "a platform line came for a request that is not known");
            return;
        };
        let _ = self.send_platform(&request, cut(text, self.config.line_bytes_max));
    }

    fn send_platform(&self, request: &Arc<Request>, text: &str) -> Result<(), Refused> {
        request.push(text);
        self.queue.send(Record::Line(LineRecord {
            time_ms: clock::now_ms(),
            function: request.begin.function.clone(),
            version: request.begin.version,
            request_id: Some(request.begin.request_id.clone()),
            request: Some(request.clone()),
            instance: None,
            stream: Stream::Platform,
            text: text.into(),
            _share: None,
        }))
    }

    pub(crate) fn finish(&self, id: &RequestId, mut end: End) {
        for line in &mut end.closing {
            shorten(line, self.config.line_bytes_max);
        }
        let Some(request) = self.live.finish(id, &end.closing) else {
            tracing::debug!(request = %id, "an end came for a request that does not run");
            return;
        };
        shorten(&mut end.ret_msg, self.config.ret_msg_bytes_max);
        let _ = self.queue.send(Record::End(request, end));
    }

    /// A line of an instance, for `request` if it is known, else only by its id.
    pub(crate) fn output(
        &self,
        origin: &Origin,
        id: Option<&RequestId>,
        request: Option<Arc<Request>>,
        stream: Stream,
        text: &str,
    ) -> Result<(), Refused> {
        let share = origin.share.take(FIXED_BYTES + text.len()).ok_or(Refused)?;
        if let Some(request) = &request {
            request.push(text);
        }
        self.queue.send(Record::Line(LineRecord {
            time_ms: clock::now_ms(),
            function: origin.function.clone(),
            version: origin.version,
            request_id: id.cloned(),
            request,
            instance: Some(origin.instance.clone()),
            stream,
            text: text.into(),
            _share: Some(share),
        }))
    }
}

fn shorten(text: &mut String, bytes_max: usize) {
    text.truncate(cut(text, bytes_max).len());
}

/// The text up to `bytes_max` bytes, cut at a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
