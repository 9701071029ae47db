//! State that the child reads and writes while it shares the parent's memory; plain data and
//! pointers into the spec.

use std::ffi::c_char;

use super::fds::InheritedFds;
use super::spec::InitSpec;
use super::step::Step;

/// State of one start in the child.
pub(super) struct Child<'a> {
    pub spec: &'a InitSpec,
    pub fds: InheritedFds,
    /// The first number above all of `fds`, when the child keeps no other descriptors and shares
    /// the parent's table until then.
    pub fds_above: Option<u32>,
    pub argv: Vec<*const c_char>,
    pub env: Vec<*const c_char>,
    pub step: Step,
    pub errno: i32,
}

impl Child<'_> {
    /// Records the current step, which the parent reports if it fails.
    pub(super) fn at(&mut self, step: Step) {
        self.step = step;
    }
}
