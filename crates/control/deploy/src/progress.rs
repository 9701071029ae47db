//! Texts for the progress of a preparation. Pure.

use crate::prepare::{Progress, Step};

/// Progress while an instance starts.
pub(crate) const STARTING: &str = "Starting an instance to see that it listens";

/// Prefix of the reason when it does not start.
pub(crate) const START_FAILED: &str = "The instance did not start";

/// The progress in one line.
pub(crate) fn text(progress: &Progress) -> String {
    let Progress { layers_done, layers_total, bytes_done, bytes_total, .. } = *progress;
    if let Some(seconds) = progress.pause_s {
        return format!("Waiting {seconds} s, as the image's registry asks to");
    }
    match progress.step {
        Step::Resolving => "Looking the image up in its registry".to_owned(),
        Step::Pulling => format!(
            "Pulling the image: {} of {} MB, {layers_done} of {layers_total} layers ready",
            megabytes(bytes_done),
            megabytes(bytes_total)
        ),
        Step::Indexing => format!("Indexing the image: {layers_done} of {layers_total} layers"),
        Step::Merging => "Making the image's root file system".to_owned(),
        Step::Ready => "The image is ready".to_owned(),
    }
}

/// The failed step, as a prefix of the reason.
pub(crate) fn failed(step: Step) -> &'static str {
    match step {
        Step::Resolving => "Resolving the image failed",
        Step::Pulling => "Pulling the image failed",
        Step::Indexing => "Indexing the image failed",
        Step::Merging | Step::Ready => "Making the root file system failed",
    }
}

/// Millions of bytes with one decimal.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulling_says_how_much_is_here() {
        let progress = Progress {
            step: Step::Pulling,
            layers_done: 1,
            layers_total: 7,
            bytes_done: 12_345_678,
            bytes_total: 60_000_000,
            pause_s: None,
        };
        assert_eq!(text(&progress), "Pulling the image: 12.4 of 60.0 MB, 1 of 7 layers ready");
        let pausing = Progress { pause_s: Some(30), ..progress };
        assert_eq!(text(&pausing), "Waiting 30 s, as the image's registry asks to");
    }
}
