//! Whether events run again.

/// Whether the events of a function run again after a run that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repeat {
    /// As in the contract (4.9): after failures, and after a run that the platform cut off.
    #[default]
    Retries,
    /// Never (`AsyncRunEnable`). An event that found no room has not run.
    Never,
    /// Only after a run that the platform cut off.
    AfterCutOff,
}
