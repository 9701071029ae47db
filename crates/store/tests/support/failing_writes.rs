//! Writes that fail for want of room, at each statement of a change.

use store::{Error, Store};

use super::{active, image, key, new_function};

/// Functions made and deleted; their rows need pages that were never written.
const FILLER_BYTES: usize = 64 << 10;

/// Bytes that one function adds to the log of the database.
fn large(name: &str) -> store::NewFunction {
    let mut new = new_function(name);
    new.spec.description = "x".repeat(FILLER_BYTES);
    new
}

pub async fn exists(store: &Store, name: &str) -> bool {
    match store.function(&key(name)).await {
        Ok(_) => true,
        Err(Error::FunctionNotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Makes functions with ever more room, given by `allow`, until one fits: each failure leaves
/// nothing, and all is well at once when there is room again, given by `lift`.
pub async fn fails_at_each_statement(store: &Store, allow: impl Fn(u64), lift: impl Fn()) {
    active(store, "before", image(1)).await;
    let mut failures = 0;
    for step in 0..64 {
        let name = format!("f{step}");
        allow(step * 2048);
        let made = store.create_function(large(&name)).await;
        lift();
        assert_eq!(exists(store, &name).await, made.is_ok(), "step {step}");
        // The same connection, or another: what matters is that the next change is taken.
        store.create_function(new_function(&format!("after-{step}"))).await.unwrap();
        match made {
            Ok(_) if failures > 0 => return,
            Ok(_) => panic!("nothing failed"),
            Err(_) => failures += 1,
        }
    }
    panic!("nothing fitted");
}
