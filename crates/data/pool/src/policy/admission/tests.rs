//! Tables and properties of the admission.

use proptest::prelude::*;

use super::fairness::{Scope, Shortfall};
use super::*;

fn function(n: u8) -> (FunctionId, FunctionKey) {
    let key =
        FunctionKey { namespace: "default".parse().expect("valid"), name: format!("f{n}").parse().expect("valid") };
    (format!("lam-0000000{n}").parse().expect("valid"), key)
}

fn version(n: u8) -> VersionKey {
    VersionKey { function_id: function(n).0, version: types::VersionName::Latest, generation: 1 }
}

/// Takes room for an instance of a function, requested at this second.
fn reserve(admission: &mut Admission, n: u8, memory_mb: u32, second: u64) -> Result<(), LimitExceeded> {
    let (version, (_, key)) = (version(n), function(n));
    let want = StartRequest { version: &version, function: &key, memory_mb, since: at(second) };
    admission.reserve(&want, at(second))
}

/// The same, with a claim when there is no room.
fn reserve_or_claim(admission: &mut Admission, n: u8, memory_mb: u32, second: u64) -> Result<(), LimitExceeded> {
    let (version, (_, key)) = (version(n), function(n));
    let want = StartRequest { version: &version, function: &key, memory_mb, since: at(second) };
    let reserved = admission.reserve(&want, at(second));
    match reserved {
        Ok(()) => {
            admission.unclaim(&version);
        }
        Err(limit) => admission.claim(&want, limit),
    }
    reserved
}

fn at(second: u64) -> Instant {
    static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *ZERO.get_or_init(Instant::now) + std::time::Duration::from_secs(second)
}

fn quota(total_mb: u64, reserved: &[(u8, u64)]) -> Quota {
    Quota::new(total_mb, reserved.iter().map(|(n, mb)| (function(*n).0, *mb)).collect())
}

fn admission(instances_max: u32, per_function: u32, memory_mb_max: u64) -> Admission {
    Admission::new(&Config {
        instances_max,
        instances_per_function_max: per_function,
        memory_mb_max,
        waiting_per_function_max: 2,
        ..Config::default()
    })
}

#[test]
fn each_limit_refuses_by_its_own_name() {
    let limit = |mut admission: Admission| {
        reserve(&mut admission, 1, 128, 0).expect("the first fits");
        reserve(&mut admission, 1, 128, 0).expect_err("the second does not")
    };
    assert_eq!(limit(admission(1, 9, 0)), LimitExceeded::Instances { max: 1 });
    assert_eq!(limit(admission(9, 1, 0)), LimitExceeded::FunctionInstances { max: 1 });
    assert_eq!(limit(admission(9, 9, 255)), LimitExceeded::Memory { max_mb: 255 });
    let mut reserved = admission(9, 9, 1024);
    reserved.set_quota(quota(1024, &[(1, 200)]));
    assert_eq!(limit(reserved), LimitExceeded::Reserved { max_mb: 200 });
    let config = Config { starts_per_minute_max: 1, ..Config::default() };
    assert_eq!(limit(Admission::new(&config)), LimitExceeded::StartsPerMinute { max: 1 });
}

#[test]
fn what_is_reserved_is_there_for_its_function_alone_and_is_all_it_gets() {
    let mut admission = admission(99, 99, 0);
    admission.set_quota(quota(1000, &[(1, 300)]));
    for _ in 0..7 {
        reserve(&mut admission, 2, 100, 0).expect("of the 700 that all share");
    }
    assert_eq!(reserve(&mut admission, 3, 100, 0), Err(LimitExceeded::Memory { max_mb: 700 }));
    for _ in 0..3 {
        reserve(&mut admission, 1, 100, 0).expect("its own");
    }
    assert_eq!(reserve(&mut admission, 1, 100, 0), Err(LimitExceeded::Reserved { max_mb: 300 }));
    assert_eq!(admission.usage().reserved_mb, 300);
}

#[test]
fn a_quota_of_0_stops_a_function_and_others_go_on() {
    let mut admission = admission(99, 99, 0);
    admission.set_quota(quota(1000, &[(1, 0)]));
    assert!(admission.is_stopped(&function(1).0) && !admission.is_stopped(&function(2).0));
    assert_eq!(reserve(&mut admission, 1, 64, 0), Err(LimitExceeded::Reserved { max_mb: 0 }));
    assert_eq!(reserve(&mut admission, 2, 64, 0), Ok(()));
}

#[test]
fn quotas_that_are_lowered_leave_an_excess_until_it_ends() {
    let mut admission = admission(99, 99, 1000);
    for n in [1, 1, 2] {
        reserve(&mut admission, n, 300, 0).expect("fits");
    }
    assert_eq!(admission.excesses(), []);
    admission.set_quota(quota(800, &[(1, 400)]));
    let own = QuotaExcess { memory_mb: 200, function: Some(function(1).0) };
    assert_eq!(admission.excesses(), [own]);
    admission.ending(&function(1).0, 300);
    assert_eq!(admission.excesses(), []);
    admission.set_quota(quota(100, &[]));
    assert_eq!(admission.excesses(), [QuotaExcess { memory_mb: 500, function: None }]);
}

#[test]
fn what_comes_free_is_kept_for_who_has_waited_for_longest() {
    let mut admission = admission(99, 99, 300);
    for _ in 0..3 {
        reserve(&mut admission, 1, 100, 0).expect("fits");
    }
    assert!(reserve_or_claim(&mut admission, 2, 200, 1).is_err());
    assert!(reserve_or_claim(&mut admission, 3, 100, 2).is_err());
    admission.release(&function(1).0, 100, false);
    assert!(reserve_or_claim(&mut admission, 1, 100, 3).is_err(), "it came last");
    assert!(reserve_or_claim(&mut admission, 3, 100, 2).is_err(), "another has waited for longer");
    assert!(reserve_or_claim(&mut admission, 2, 200, 1).is_err(), "there is not enough yet");
    admission.release(&function(1).0, 100, false);
    for n in [2, 3, 1] {
        let memory_mb = if n == 2 { 200 } else { 100 };
        assert_eq!(reserve_or_claim(&mut admission, n, memory_mb, u64::from(n)).is_ok(), n == 2);
    }
    assert_eq!(admission.claims(), 2);
}

#[test]
fn a_function_gives_up_what_others_wait_for_longer_while_it_has_more_than_they() {
    let mut admission = admission(99, 99, 300);
    for _ in 0..2 {
        reserve(&mut admission, 1, 100, 0).expect("fits");
    }
    reserve(&mut admission, 2, 100, 0).expect("fits");
    assert!(!admission.yields(&version(1), None), "nobody waits");
    assert!(reserve_or_claim(&mut admission, 3, 100, 5).is_err());
    assert!(admission.yields(&version(1), None), "it is idle");
    assert!(admission.yields(&version(1), Some(at(6))), "its own requests came later");
    assert!(!admission.yields(&version(1), Some(at(4))), "its own requests have waited for longer");
    admission.ending(&function(1).0, 100);
    assert!(!admission.yields(&version(1), Some(at(6))), "one that ends already is enough");
}

#[test]
fn the_shortfall_leaves_out_what_ends_already() {
    let (a, b) = (function(1).0, version(2));
    let mut admission = admission(10, 10, 512);
    for _ in 0..4 {
        reserve(&mut admission, 1, 128, 0).expect("fits");
    }
    let short = |memory_mb, scope| Shortfall { load: Load { instances: 0, memory_mb }, scope };
    assert_eq!(admission.shortfall(&b, 256, at(1)), short(256, Scope::Unreserved));
    admission.ending(&a, 128);
    assert_eq!(admission.shortfall(&b, 256, at(1)), short(128, Scope::Unreserved));
    admission.ending(&a, 128);
    assert!(admission.shortfall(&b, 256, at(1)).load.is_zero());
    assert!(reserve(&mut admission, 2, 256, 1).is_err(), "it has not ended yet");
    admission.release(&a, 128, true);
    admission.release(&a, 128, true);
    assert!(reserve(&mut admission, 2, 256, 1).is_ok());
}

#[test]
fn a_function_at_its_own_limit_is_helped_only_by_its_own_instances() {
    let mut admission = admission(10, 1, 0);
    reserve(&mut admission, 1, 128, 0).expect("fits");
    let wanted = Shortfall { load: Load { instances: 1, memory_mb: 0 }, scope: Scope::Own };
    assert_eq!(admission.shortfall(&version(1), 128, at(1)), wanted);
}

#[test]
fn only_so_many_requests_of_a_function_wait() {
    let ((a, a_key), (b, b_key)) = (function(1), function(2));
    let mut admission = admission(10, 10, 0);
    assert_eq!(admission.begin_wait(&a, &a_key), Ok(()));
    assert_eq!(admission.begin_wait(&a, &a_key), Ok(()));
    assert_eq!(admission.begin_wait(&a, &a_key), Err(2));
    assert_eq!(admission.begin_wait(&b, &b_key), Ok(()));
    admission.end_wait(&a);
    assert_eq!(admission.begin_wait(&a, &a_key), Ok(()));
}

proptest! {
    #[test]
    fn no_limit_is_ever_exceeded_and_all_that_is_taken_comes_back(
        steps in proptest::collection::vec((0u8..4, 64u32..600, any::<bool>(), any::<bool>()), 0..200),
        own_mb in 0u64..1200,
    ) {
        let mut admission = admission(6, 3, 1500);
        admission.set_quota(quota(1500, &[(3, own_mb)]));
        let mut taken: Vec<(u8, u32)> = Vec::new();
        for (second, (n, memory_mb, take, told)) in steps.into_iter().enumerate() {
            if take {
                if reserve_or_claim(&mut admission, n, memory_mb, second as u64).is_ok() {
                    taken.push((n, memory_mb));
                }
            } else if let Some((n, memory_mb)) = taken.pop() {
                let (id, _) = function(n);
                if told {
                    admission.ending(&id, memory_mb);
                }
                admission.release(&id, memory_mb, told);
            }
            let of = |own: bool| {
                taken.iter().filter(|(n, _)| (*n == 3) == own).map(|(_, mb)| u64::from(*mb)).sum::<u64>()
            };
            let usage = admission.usage();
            prop_assert_eq!(usage.instances as usize, taken.len());
            prop_assert_eq!(usage.memory_mb, of(true) + of(false));
            prop_assert!(usage.instances <= 6 && of(true) <= own_mb && of(false) <= 1500 - own_mb);
            prop_assert!(usage.functions.iter().all(|f| f.instances <= 3));
        }
        for (n, memory_mb) in taken {
            admission.release(&function(n).0, memory_mb, false);
        }
        prop_assert_eq!(admission.usage(), Usage { memory_mb_max: 1500, memory_mb_configured: 1500, reserved_mb: own_mb, ..Usage::default() });
    }

    /// Every claim is served in the end, however many requests come after it and retry.
    #[test]
    fn nobody_starves(others in proptest::collection::vec((2u8..6, 100u32..300), 1..60)) {
        let mut admission = admission(99, 99, 600);
        let mut noisy = 0;
        while reserve(&mut admission, 0, 100, 0).is_ok() {
            noisy += 1;
        }
        prop_assert!(reserve_or_claim(&mut admission, 1, 500, 1).is_err());
        for (second, (n, memory_mb)) in others.into_iter().enumerate() {
            prop_assert!(reserve_or_claim(&mut admission, n, memory_mb, second as u64 + 2).is_err());
            prop_assert!(reserve_or_claim(&mut admission, 0, 100, second as u64 + 2).is_err());
            if noisy == 2 {
                break;
            }
            noisy -= 1;
            admission.release(&function(0).0, 100, false);
        }
        for _ in 1..noisy {
            admission.release(&function(0).0, 100, false);
        }
        prop_assert!(reserve_or_claim(&mut admission, 1, 500, 1).is_ok());
    }
}
