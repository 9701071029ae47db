//! Passes lines, beginnings and ends to the memory of live invocations and to the queue of the
//! writer. Never waits.

use std::sync::Arc;

use types::{FunctionRecord, InstanceId, RequestId, VersionName};

use crate::Config;
use crate::clock;
use crate::lines::Stream;
use crate::live::{Finish, Live, Request};
use crate::queue::{Refused, Sender};
use crate::record::{FIXED_BYTES, LineRecord, Record};
use crate::run::{Begin, End};
use crate::shares::FunctionShare;

/// The sink of records; cheap to clone.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) live: Arc<Live>,
    queue: Sender,
    pub(crate) config: Arc<Config>,
}

/// The instance that writes output.
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

    pub(crate) fn begin(&self, begin: Begin) -> Arc<Request> {
        let request = Arc::new(Request::new(begin, self.config.tail_bytes_max, true));
        self.live.insert(request.clone());
        // The queue counts a rejected record; the end, if it is accepted, replaces a lost
        // beginning.
        if self.queue.send(Record::Begin(request.clone())).is_err() {
            request.begin_refused();
        }
        request
    }

    /// Adds a live request without a record.
    pub(crate) fn watch(&self, begin: Begin) {
        self.live.insert(Arc::new(Request::new(begin, self.config.tail_bytes_max, false)));
    }

    pub(crate) fn platform(&self, request: &Arc<Request>, text: &str) {
        let text = cut(text, self.config.line_bytes_max);
        request.push(text);
        // The queue counts a rejected record.
        let _ = self.queue.send(Record::Line(Box::new(LineRecord {
            time_ms: clock::now_ms(),
            function: request.begin.function.clone(),
            version: request.begin.version,
            request_id: Some(request.begin.request_id.clone()),
            request: Some(request.clone()),
            instance: None,
            stream: Stream::Platform,
            text: text.into(),
            _share: None,
        })));
    }

    pub(crate) fn finish(&self, request: Arc<Request>, mut end: End) {
        for line in &mut end.closing {
            shorten(line, self.config.line_bytes_max);
        }
        shorten(&mut end.ret_msg, self.config.ret_msg_bytes_max);
        let finish = request.finish(end, clock::now_ms(), |end| {
            // The queue counts a rejected record.
            let _ = self.queue.send(Record::End(request.clone(), end.text_bytes()));
        });
        match finish {
            Finish::Joined | Finish::Queued => self.live.keep_finished(request),
            Finish::Repeated => tracing::debug!(request = %request.begin.request_id, "ignored a second end"),
        }
    }

    /// A line of an instance, for `request` if it is known, otherwise only by its id.
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
        self.queue.send(Record::Line(Box::new(LineRecord {
            time_ms: clock::now_ms(),
            function: origin.function.clone(),
            version: origin.version,
            request_id: id.cloned(),
            request,
            instance: Some(origin.instance.clone()),
            stream,
            text: text.into(),
            _share: Some(share),
        })))
    }
}

fn shorten(text: &mut String, bytes_max: usize) {
    text.truncate(cut(text, bytes_max).len());
}

/// The text up to `bytes_max` bytes, cut at a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
