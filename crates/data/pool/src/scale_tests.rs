//! Tables and properties of the capacity.

use proptest::prelude::*;

use super::*;

fn function(n: u8) -> (FunctionId, FunctionKey) {
    let key =
        FunctionKey { namespace: "default".parse().expect("valid"), name: format!("f{n}").parse().expect("valid") };
    (format!("lam-0000000{n}").parse().expect("valid"), key)
}

fn capacity(instances_max: u32, per_function: u32, memory_mb_max: u64) -> Capacity {
    Capacity::new(&Config {
        instances_max,
        instances_per_function_max: per_function,
        memory_mb_max,
        waiting_per_function_max: 2,
        ..Config::default()
    })
}

#[test]
fn each_limit_refuses_by_its_own_name() {
    let (id, key) = function(1);
    let refusal = |mut capacity: Capacity| {
        capacity.reserve(&id, &key, 128).expect("the first fits");
        capacity.reserve(&id, &key, 128).expect_err("the second does not")
    };
    assert_eq!(refusal(capacity(1, 9, 0)), Refusal::Instances { max: 1 });
    assert_eq!(refusal(capacity(9, 1, 0)), Refusal::FunctionInstances { max: 1 });
    assert_eq!(refusal(capacity(9, 9, 255)), Refusal::Memory { max_mb: 255 });
}

#[test]
fn the_memory_limit_reads_as_the_contract_writes_it() {
    let text = Refusal::Memory { max_mb: 512 }.to_string();
    assert!(text.starts_with("region unreserved quota 512 MB"), "{text}");
}

#[test]
fn the_shortfall_leaves_out_what_ends_already() {
    let ((a, a_key), (b, _)) = (function(1), function(2));
    let mut capacity = capacity(10, 10, 512);
    for _ in 0..4 {
        capacity.reserve(&a, &a_key, 128).expect("fits");
    }
    let short = |load| Shortfall { load, same_function: false };
    assert_eq!(capacity.shortfall(&b, 256), short(Load { instances: 0, memory_mb: 256 }));
    capacity.ending(&a, 128);
    assert_eq!(capacity.shortfall(&b, 256), short(Load { instances: 0, memory_mb: 128 }));
    capacity.ending(&a, 128);
    assert_eq!(capacity.shortfall(&b, 256), short(Load::default()));
    assert!(capacity.reserve(&b, &a_key, 256).is_err(), "it has not ended yet");
    capacity.release(&a, 128, true);
    capacity.release(&a, 128, true);
    assert!(capacity.reserve(&b, &a_key, 256).is_ok());
}

#[test]
fn a_function_at_its_own_limit_is_helped_only_by_its_own_instances() {
    let (id, key) = function(1);
    let mut capacity = capacity(10, 1, 0);
    capacity.reserve(&id, &key, 128).expect("fits");
    let wanted = Shortfall { load: Load { instances: 1, memory_mb: 0 }, same_function: true };
    assert_eq!(capacity.shortfall(&id, 128), wanted);
}

#[test]
fn only_so_many_requests_of_a_function_wait() {
    let ((a, a_key), (b, b_key)) = (function(1), function(2));
    let mut capacity = capacity(10, 10, 0);
    assert_eq!(capacity.begin_wait(&a, &a_key), Ok(()));
    assert_eq!(capacity.begin_wait(&a, &a_key), Ok(()));
    assert_eq!(capacity.begin_wait(&a, &a_key), Err(2));
    assert_eq!(capacity.begin_wait(&b, &b_key), Ok(()));
    capacity.end_wait(&a);
    assert_eq!(capacity.begin_wait(&a, &a_key), Ok(()));
}

proptest! {
    #[test]
    fn no_limit_is_ever_exceeded_and_all_that_is_taken_comes_back(
        steps in proptest::collection::vec((0u8..3, 64u32..600, any::<bool>(), any::<bool>()), 0..200),
    ) {
        let mut capacity = capacity(6, 3, 1500);
        let mut taken: Vec<(u8, u32)> = Vec::new();
        for (n, memory_mb, take, told) in steps {
            if take {
                let (id, key) = function(n);
                if capacity.reserve(&id, &key, memory_mb).is_ok() {
                    taken.push((n, memory_mb));
                }
            } else if let Some((n, memory_mb)) = taken.pop() {
                let (id, _) = function(n);
                if told {
                    capacity.ending(&id, memory_mb);
                }
                capacity.release(&id, memory_mb, told);
            }
            let usage = capacity.usage();
            prop_assert_eq!(usage.instances as usize, taken.len());
            prop_assert!(usage.instances <= 6 && usage.memory_mb <= 1500);
            prop_assert!(usage.functions.iter().all(|f| f.instances <= 3));
        }
        for (n, memory_mb) in taken {
            capacity.release(&function(n).0, memory_mb, false);
        }
        prop_assert_eq!(capacity.usage(), Usage { memory_mb_max: 1500, ..Usage::default() });
    }
}
