//! The system call filter as runtimes are told it: our rules, by name (runtime-spec, config-linux.md, seccomp). Pure.

use serde_json::{Value, json};

use crate::seccomp::{Verdict, by_name};

/// What is not listed fails with this: EPERM.
const REFUSED: i32 = libc::EPERM;

/// The filter. Terminals are less bounded than in our own isolation: the format cannot refuse two values of one argument,
/// and no terminal of the host's is there.
pub(super) fn filter() -> Value {
    let mut allowed = Vec::new();
    let mut others = Vec::new();
    for (name, verdict) in by_name() {
        match verdict {
            Verdict::Allow | Verdict::Except { .. } => allowed.push(name),
            Verdict::Fail(errno) => {
                others.push(json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": errno}));
            }
            Verdict::FailOnBits { index, mask, .. } => {
                let clear = json!({"index": index, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"});
                others.push(allow(name, vec![clear]));
            }
            Verdict::Only { index, values, .. } => others.extend(only(name, index, values)),
            Verdict::OnlyOrBoth { index, values, value, second, .. } => {
                others.extend(only(name, index, values));
                others.push(allow(name, vec![equals(index, value), equals(second.0, second.1)]));
            }
        }
    }
    others.push(json!({"names": allowed, "action": "SCMP_ACT_ALLOW"}));
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": REFUSED, "architectures": architectures(), "syscalls": others})
}

/// One rule a value: of several conditions in one, all must hold.
fn only(name: &'static str, index: u8, values: &'static [u32]) -> impl Iterator<Item = Value> {
    values.iter().map(move |value| allow(name, vec![equals(index, *value)]))
}

fn equals(index: u8, value: u32) -> Value {
    json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"})
}

fn allow(name: &str, args: Vec<Value>) -> Value {
    json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": args})
}

fn architectures() -> [&'static str; 1] {
    [if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_sandbox_is_not_among_what_is_allowed() {
        let filter = filter();
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
        assert_eq!(filter["defaultErrnoRet"], libc::EPERM);
    }
}
