//! Whether events run again.

/// Whether the events of a function run again after a run that did not end well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repeat {
    /// As the contract says (4.9): after failures, and after a run that the platform cut off.
    #[default]
    Retries,
    /// Never (`AsyncRunEnable`). An event that found no room has not run.
    Never,
    /// Only after a run that the platform cut off.
    AfterCutOff,
}
