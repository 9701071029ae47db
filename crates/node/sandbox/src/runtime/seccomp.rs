//! The system call filter in the runtime-spec's form: the platform's rules, by name
//! (config-linux.md, seccomp). Pure.

use serde_json::{Value, json};

use crate::seccomp::{Action, NATIVE, by_name};

/// Error of calls that are not listed: EPERM.
const REFUSED: i32 = libc::EPERM;

/// The filter. The format cannot exclude a value of an argument's low half: all others are allowed,
/// range by range.
pub(super) fn filter(filters_inside: bool) -> Value {
    let mut allowed = Vec::new();
    let mut others = Vec::new();
    for (name, action) in by_name(filters_inside) {
        match action {
            Action::Allow => allowed.push(name),
            Action::Except { index, values, .. } => others.extend(except(name, index, values)),
            Action::ExceptBoth { index, value, second: (second, values), .. } => {
                others.extend(except(name, index, &[value]));
                others.extend(except(name, second, values));
            }
            Action::Fail(errno) => {
                others.push(json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno}));
            }
            Action::FailOnBits { index, mask, .. } => {
                others.push(allow(name, vec![masked(index, mask, 0)]));
            }
            Action::Only { index, values, .. } => others.extend(only(name, index, values)),
            Action::OnlyOrBoth { index, values, value, second, .. } => {
                others.extend(only(name, index, values));
                others.push(allow(name, vec![equals(index, value), equals(second.0, second.1)]));
            }
        }
    }
    others.push(json!({"names": allowed, "action": "SCMP_ACT_ALLOW"}));
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": REFUSED, "architectures": [NATIVE.libseccomp], "syscalls": others})
}

/// One rule for each value: conditions of one rule must all hold.
fn only(name: &'static str, index: u8, values: &'static [u32]) -> impl Iterator<Item = Value> {
    values.iter().map(move |value| allow(name, vec![equals(index, *value)]))
}

/// Rules for all but the values: a rule for each range of numbers with a common prefix of bits.
fn except(name: &'static str, index: u8, values: &[u32]) -> Vec<Value> {
    ranges_without(values, 0, 0)
        .into_iter()
        .map(|(mask, value)| allow(name, vec![masked(index, mask, value)]))
        .collect()
}

/// The ranges of numbers that begin with the first `bits` of `prefix` and contain none of the
/// values: each as a mask and the masked bits.
fn ranges_without(values: &[u32], prefix: u32, bits: u32) -> Vec<(u32, u32)> {
    let mask = u32::MAX.checked_shl(u32::BITS - bits).unwrap_or_default();
    if !values.iter().any(|value| value & mask == prefix) {
        return vec![(mask, prefix)];
    }
    if bits == u32::BITS {
        return Vec::new();
    }
    let halves = [prefix, prefix | 1 << (u32::BITS - 1 - bits)];
    halves.into_iter().flat_map(|half| ranges_without(values, half, bits + 1)).collect()
}

fn masked(index: u8, mask: u32, value: u32) -> Value {
    json!({"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"})
}

fn equals(index: u8, value: u32) -> Value {
    json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"})
}

fn allow(name: &str, args: Vec<Value>) -> Value {
    json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": args})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_sandbox_is_not_among_what_is_allowed() {
        let filter = filter(false);
        let rules = filter["syscalls"].as_array().expect("a list");
        let names = |name: &str| {
            let named = |rule: &&Value| rule["names"].as_array().is_some_and(|names| names.contains(&name.into()));
            rules.iter().filter(named).cloned().collect::<Vec<_>>()
        };
        for call in ["mount", "unshare", "setns", "bpf", "ptrace", "keyctl", "init_module"] {
            assert!(names(call).is_empty(), "{call}");
        }
        assert_eq!(names("read").len(), 1);
        assert_eq!(names("clone")[0]["args"][0]["op"], "SCMP_CMP_MASKED_EQ");
        assert_eq!(names("clone3")[0]["errnoRet"], libc::ENOSYS);
        assert_eq!(names("socket").len(), 4, "three families, and one protocol of netlink");
        assert_eq!(names("io_setup")[0]["errnoRet"], libc::ENOSYS);
        assert_eq!(filter["defaultErrnoRet"], libc::EPERM);
    }

    #[test]
    fn all_numbers_but_the_values_are_in_one_range_each() {
        for values in [&[22_u32][..], &[0x5412, 0x541c], &[26, 51], &[0, u32::MAX]] {
            let ranges = ranges_without(values, 0, 0);
            let count = |number: u32| ranges.iter().filter(|(mask, value)| number & mask == *value).count();
            assert!(values.iter().all(|value| count(*value) == 0), "{values:?}");
            let near = values.iter().flat_map(|value| (0..32).map(move |bit| value ^ 1 << bit));
            for other in near.chain(0..100).filter(|other| !values.contains(other)) {
                assert_eq!(count(other), 1, "{other} beside {values:?}");
            }
            let all: u64 = ranges.iter().map(|(mask, _)| u64::from(!mask) + 1).sum();
            assert_eq!(all, (1 << 32) - values.len() as u64);
        }
    }
}
