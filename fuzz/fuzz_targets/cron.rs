//! Seven-field cron expressions: the next occurrence is after the given instant, the previous one
//! is not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schedule::Schedule;

/// 2026-01-01 and 2028-02-29, in Unix milliseconds.
const INSTANTS_MS: [i64; 2] = [1_767_225_600_000, 1_835_395_200_000];
/// UTC and UTC+8, in seconds.
const OFFSETS_S: [i32; 2] = [0, 8 * 3600];

fuzz_target!(|text: &str| {
    let Ok(schedule) = text.parse::<Schedule>() else { return };
    for at in INSTANTS_MS {
        for offset in OFFSETS_S {
            assert!(schedule.next_after(at, offset).is_none_or(|next| next > at));
            assert!(schedule.last_until(at, offset).is_none_or(|last| last <= at));
        }
    }
});
