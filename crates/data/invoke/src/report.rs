//! The platform's lines in a request's log (contract 4.6) that are not derived from its record, and
//! the billed duration and memory of a run. Pure.
//!
//! The order is START, Init Report (or Provisioned Report alone), ERROR, Response, END, Report;
//! `logs` makes START, END and Report from the record.

use std::time::Duration;

use pool::ColdStart;
use types::RequestId;

const BYTES_PER_MB: f64 = 1024.0 * 1024.0;

/// The parts are rounded to whole milliseconds first, so that they add up to the sum that is shown.
pub(crate) fn init(request: &RequestId, cold: &ColdStart, memory_mb: u32, peak_bytes: u64) -> String {
    format!("Init Report {}", started(request, cold, memory_mb, peak_bytes))
}

/// The line of an instance that was provisioned.
pub(crate) fn provisioned(request: &RequestId, cold: &ColdStart, memory_mb: u32, peak_bytes: u64) -> String {
    format!("Provisioned Report {}", started(request, cold, memory_mb, peak_bytes))
}

fn started(request: &RequestId, cold: &ColdStart, memory_mb: u32, peak_bytes: u64) -> String {
    let (pull, runtime, function) = (round_ms(cold.pull), round_ms(cold.runtime), round_ms(cold.function));
    format!(
        "RequestId: {request} Coldstart: {}ms (PullCode: {pull}ms InitRuntime: {runtime}ms InitFunction: \
         {function}ms) Memory: {memory_mb}MB MemUsage: {:.2}MB",
        pull + runtime + function,
        megabytes(peak_bytes)
    )
}

pub(crate) fn error(request: &RequestId, failed_json: &str) -> String {
    format!("ERROR RequestId:{request} Result:{failed_json}")
}

pub(crate) fn response(request: &RequestId, ret_msg: &str) -> String {
    format!("Response RequestId:{request} RetMsg:{ret_msg}")
}

/// Billed whole milliseconds of a run: rounded up, at least 1.
pub(crate) fn bill_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1)
}

/// The longest beginning of `text` within `bytes_max` that ends between characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn round_ms(duration: Duration) -> u128 {
    (duration.as_micros() + 500) / 1000
}

#[allow(clippy::cast_precision_loss)] // Memory sizes are far below 2^53 bytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / BYTES_PER_MB
}

/// The line of a run that retries one that failed in the function.
pub(crate) fn retry(retry_num: u32) -> String {
    format!("[PLATFORM] RetryNum: {retry_num}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> RequestId {
        "3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11".parse().expect("valid")
    }

    #[test]
    fn lines_read_as_the_contract_writes_them() {
        let id = request();
        let cold = ColdStart {
            pull: Duration::from_millis(70),
            runtime: Duration::from_micros(8400),
            function: Duration::from_micros(157_600),
        };
        let lines = [
            init(&id, &cold, 640, 60_670_607),
            provisioned(&id, &cold, 640, 60_670_607),
            error(&id, "{\"errorCode\":-1}"),
            response(&id, "\"Hello World\""),
        ];
        let wanted = [
            "Init Report RequestId: ID Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms InitFunction: 158ms) \
             Memory: 640MB MemUsage: 57.86MB",
            "Provisioned Report RequestId: ID Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms InitFunction: 158ms) \
             Memory: 640MB MemUsage: 57.86MB",
            "ERROR RequestId:ID Result:{\"errorCode\":-1}",
            "Response RequestId:ID RetMsg:\"Hello World\"",
        ];
        for (line, wanted) in lines.iter().zip(wanted) {
            assert_eq!(*line, wanted.replace("ID", id.as_str()));
        }
    }

    #[test]
    fn every_begun_millisecond_counts() {
        let table = [(0, 1), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (2_500_000_000, 2500)];
        for (nanos, ms) in table {
            assert_eq!(bill_ms(Duration::from_nanos(nanos)), ms);
        }
    }

    proptest! {
        #[test]
        fn a_cut_text_is_a_beginning_within_the_limit(text in "\\PC{0,60}", bytes_max in 0usize..80) {
            let short = cut(&text, bytes_max);
            prop_assert!(text.starts_with(short));
            prop_assert!(short.len() <= bytes_max);
            prop_assert!(text.len() - short.len() < 4 || short.len() + 4 > bytes_max);
        }
    }
}
