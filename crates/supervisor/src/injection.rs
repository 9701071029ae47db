//! Injected panics for end-to-end tests, in debug builds only: `PANIC_TASK_FOR_TEST=TASK:COUNT`
//! names a task and how many times it panics.

#[cfg(debug_assertions)]
pub(crate) fn panic_if_asked(task: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PANICKED: AtomicU32 = AtomicU32::new(0);
    let Ok(asked) = std::env::var("PANIC_TASK_FOR_TEST") else { return };
    let Some((name, count)) = asked.rsplit_once(':') else { return };
    if name == task && count.parse().is_ok_and(|count: u32| PANICKED.fetch_add(1, Ordering::Relaxed) < count) {
        panic!("a test wanted {task} to panic");
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn panic_if_asked(_: &str) {}
