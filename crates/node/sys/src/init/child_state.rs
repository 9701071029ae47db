//! What the child reads and writes while it shares our memory; plain data and pointers into the
//! spec.

use std::ffi::c_char;

use super::fds::InheritedFds;
use super::spec::InitSpec;
use super::step::Step;

/// One start, as the child has it.
pub(super) struct Child<'a> {
    pub spec: &'a InitSpec,
    pub fds: InheritedFds,
    /// The first number above all of `fds`, if the child starts in the parent's table and must drop
    /// all descriptors from this number on.
    pub fds_above: Option<u32>,
    pub argv: Vec<*const c_char>,
    pub env: Vec<*const c_char>,
    pub step: Step,
    pub errno: i32,
}

impl Child<'_> {
    /// Notes what is being done, for the parent to read should it fail.
    pub(super) fn at(&mut self, step: Step) {
        self.step = step;
    }
}
