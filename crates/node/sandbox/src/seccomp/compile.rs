//! Compiles actions by number into classic BPF (linux/filter.h, seccomp(2)): check the
//! architecture, then a binary search over ranges of numbers.

use super::rules::Action;

// Operations: load a word of the data; jump if >=, ==, any bit; jump; return.
const LOAD: u16 = 0x20;
const JUMP_GE: u16 = 0x35;
const JUMP_EQ: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;
// Return values of seccomp(2).
const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_KILL: u32 = 0x8000_0000;
// `struct seccomp_data`: number at 0, architecture at 4, arguments of 64 bits from 16.
const AT_NUMBER: u32 = 0;
const AT_ARCHITECTURE: u32 = 4;
const AT_ARGUMENTS: u32 = 16;

fn op(code: u16, on_true: u8, on_false: u8, value: u32) -> u64 {
    u64::from(code) | u64::from(on_true) << 16 | u64::from(on_false) << 24 | u64::from(value) << 32
}

fn fail(errno: u16) -> u64 {
    op(RETURN, 0, 0, RET_ERRNO | u32::from(errno))
}

fn allow() -> u64 {
    op(RETURN, 0, 0, RET_ALLOW)
}

/// Consecutive numbers with one action, by the first of them.
struct Range {
    first: u32,
    action: Action,
}

/// Compiles; the last action holds for all higher numbers too (those of the x32 interface among
/// them).
pub fn compile(architecture: u32, actions: &[Action]) -> Vec<u64> {
    let mut ranges: Vec<Range> = Vec::new();
    for (number, action) in (0_u32..).zip(actions) {
        if ranges.last().is_none_or(|range| range.action != *action) {
            ranges.push(Range { first: number, action: *action });
        }
    }
    let mut code = Code::default();
    if let Some(search) = code.search(&ranges) {
        code.jump_to(search);
    }
    code.push(op(LOAD, 0, 0, AT_NUMBER));
    code.push(op(RETURN, 0, 0, RET_KILL));
    code.push(op(JUMP_EQ, 1, 0, architecture));
    code.push(op(LOAD, 0, 0, AT_ARCHITECTURE));
    code.backwards.reverse();
    code.backwards
}

/// A place in the program, counted from its end: jumps lead forward only, so targets are emitted
/// first.
type Place = usize;

/// A program that is emitted from its end to its beginning.
#[derive(Default)]
struct Code {
    backwards: Vec<u64>,
    /// The most recent leaf of each action, for reuse: each instruction costs a start half a
    /// microsecond.
    leaves: Vec<(Action, Place)>,
}

impl Code {
    fn push(&mut self, instruction: u64) -> Place {
        self.backwards.push(instruction);
        self.backwards.len() - 1
    }

    /// Number of instructions between a place and the next one to be emitted.
    fn distance(&self, to: Place) -> usize {
        self.backwards.len() - 1 - to
    }

    /// Returns a place equivalent to this one that a conditional jump, emitted next or one later,
    /// can reach.
    fn near(&mut self, to: Place) -> Place {
        if self.distance(to) < usize::from(u8::MAX) {
            return to;
        }
        let far = u32::try_from(self.distance(to)).unwrap_or(u32::MAX);
        self.push(op(JUMP, 0, 0, far))
    }

    /// Emits a jump to a place at any distance.
    fn jump_to(&mut self, to: Place) {
        if self.distance(to) > 0 {
            let far = u32::try_from(self.distance(to)).unwrap_or(u32::MAX);
            self.push(op(JUMP, 0, 0, far));
        }
    }

    fn search(&mut self, ranges: &[Range]) -> Option<Place> {
        let (lower, upper) = match ranges {
            [] => return None,
            [one] => return Some(self.leaf(one.action)),
            _ => ranges.split_at(ranges.len() / 2),
        };
        let (high, low) = (self.search(upper)?, self.search(lower)?);
        let high = self.near(high);
        let low = self.near(low);
        let skip = |to| u8::try_from(self.distance(to)).unwrap_or(u8::MAX);
        Some(self.push(op(JUMP_GE, skip(high), skip(low), upper[0].first)))
    }

    /// Returns a leaf of the action: the most recent one while it is in reach.
    fn leaf(&mut self, action: Action) -> Place {
        let made = self.leaves.iter().position(|(made, _)| *made == action);
        if let Some(made) = made
            && self.distance(self.leaves[made].1) < usize::from(u8::MAX) / 2
        {
            return self.leaves[made].1;
        }
        self.backwards.extend(instructions(action).into_iter().rev());
        let place = self.backwards.len() - 1;
        match made {
            Some(made) => self.leaves[made].1 = place,
            None => self.leaves.push((action, place)),
        }
        place
    }
}

fn instructions(action: Action) -> Vec<u64> {
    let mut program = Vec::new();
    let argument = |index: u8| op(LOAD, 0, 0, AT_ARGUMENTS + 8 * u32::from(index));
    let among = |index: u8, values: &[u32], hit: u64, miss: u64| {
        // A hit jumps over the remaining comparisons and over the miss.
        let over = |place: usize| u8::try_from(values.len() - place).unwrap_or(u8::MAX);
        let compare = values.iter().enumerate().map(|(place, value)| op(JUMP_EQ, over(place), 0, *value));
        [argument(index)].into_iter().chain(compare).chain([miss, hit]).collect::<Vec<_>>()
    };
    match action {
        Action::Allow => program.push(allow()),
        Action::Fail(errno) => program.push(fail(errno)),
        Action::FailOnBits { index, mask, errno } => {
            program.extend([argument(index), op(JUMP_SET, 0, 1, mask), fail(errno), allow()]);
        }
        Action::Only { index, values, errno } => program.extend(among(index, values, allow(), fail(errno))),
        Action::OnlyOrBoth { index, values, value, second, errno } => {
            program.push(argument(index));
            for (place, value) in values.iter().enumerate() {
                // Over the remaining comparisons, the two for both arguments with their load, and
                // the failure.
                let over = u8::try_from(values.len() - place + 3).unwrap_or(u8::MAX);
                program.push(op(JUMP_EQ, over, 0, *value));
            }
            program.push(op(JUMP_EQ, 0, 2, value));
            program.extend([argument(second.0), op(JUMP_EQ, 1, 0, second.1), fail(errno), allow()]);
        }
        Action::Except { index, values, errno } => program.extend(among(index, values, fail(errno), allow())),
        Action::ExceptBoth { index, value, second: (second, values), errno } => {
            // Past the second argument's load and comparisons, to the allowing return.
            let over = u8::try_from(values.len() + 1).unwrap_or(u8::MAX);
            program.extend([argument(index), op(JUMP_EQ, 0, over, value)]);
            program.extend(among(second, values, fail(errno), allow()));
        }
    }
    program
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arch::NATIVE;
    use super::super::rules::{KNOWN_MAX, actions};
    use super::*;

    /// Runs a program as the kernel would.
    fn run(program: &[u64], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let word = program[at];
            let (code, value) = (word as u16, (word >> 32) as u32);
            let (on_true, on_false) = ((word >> 16) as u8, (word >> 24) as u8);
            let hit = match code {
                RETURN => return value,
                LOAD => {
                    loaded = match value {
                        AT_NUMBER => number,
                        AT_ARCHITECTURE => architecture,
                        other => arguments[(other - AT_ARGUMENTS) as usize / 8] as u32,
                    };
                    at += 1;
                    continue;
                }
                JUMP => {
                    at += 1 + value as usize;
                    continue;
                }
                JUMP_GE => loaded >= value,
                JUMP_EQ => loaded == value,
                JUMP_SET => loaded & value != 0,
                other => panic!("unknown operation {other}"),
            };
            at += 1 + usize::from(if hit { on_true } else { on_false });
        }
    }

    fn expected(action: Action, arguments: [u64; 6]) -> u32 {
        let low = |index: u8| arguments[usize::from(index)] as u32;
        let failing = |errno: u16| RET_ERRNO | u32::from(errno);
        let bad = match action {
            Action::Allow => None,
            Action::Fail(errno) => Some(errno),
            Action::FailOnBits { index, mask, errno } => (low(index) & mask != 0).then_some(errno),
            Action::Only { index, values, errno } => (!values.contains(&low(index))).then_some(errno),
            Action::OnlyOrBoth { index, values, value, second, errno } => {
                let both = low(index) == value && low(second.0) == second.1;
                (!values.contains(&low(index)) && !both).then_some(errno)
            }
            Action::Except { index, values, errno } => values.contains(&low(index)).then_some(errno),
            Action::ExceptBoth { index, value, second: (second, values), errno } => {
                (low(index) == value && values.contains(&low(second))).then_some(errno)
            }
        };
        bad.map_or(RET_ALLOW, failing)
    }

    #[test]
    fn every_number_gets_its_verdict() {
        for filters_inside in [true, false] {
            let all = actions(NATIVE, filters_inside);
            let program = compile(NATIVE.audit, &all);
            assert!(program.len() < 150, "{} instructions", program.len());
            for number in (0..KNOWN_MAX + 50).chain([0x4000_0000, u32::MAX]) {
                let action = all[(number as usize).min(all.len() - 1)];
                for first in [0, 1, 2, 16, 22, 26, 40, 0x1000_0000, 0x5412, u64::from(u32::MAX)] {
                    for third in [0, 9, 12, 26, 51] {
                        let arguments = [first, first, third, 0, 0, 0];
                        assert_eq!(
                            run(&program, NATIVE.audit, number, arguments),
                            expected(action, arguments),
                            "{number} {first} {third}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn another_architecture_is_killed() {
        assert_eq!(run(&compile(NATIVE.audit, &actions(NATIVE, true)), 0x4000_0003, 0, [0; 6]), RET_KILL);
    }

    proptest! {
        #[test]
        fn any_list_compiles_to_what_it_says(picks in prop::collection::vec(0_u8..7, 1..600), arguments in prop::array::uniform6(prop_oneof![0_u64..12, any::<u64>()])) {
            const VALUES: &[u32] = &[1, 5, 9];
            let all: Vec<_> = picks.iter().map(|pick| match pick {
                0 => Action::Allow,
                1 => Action::Fail(1),
                2 => Action::FailOnBits { index: 0, mask: 0xf0, errno: 2 },
                3 => Action::Only { index: 1, values: VALUES, errno: 3 },
                5 => Action::ExceptBoth { index: 5, value: 9, second: (0, VALUES), errno: 6 },
                4 => Action::OnlyOrBoth { index: 3, values: VALUES, value: 7, second: (4, 2), errno: 5 },
                _ => Action::Except { index: 2, values: VALUES, errno: 4 },
            }).collect();
            let program = compile(NATIVE.audit, &all);
            for (number, action) in (0_u32..).zip(&all) {
                prop_assert_eq!(run(&program, NATIVE.audit, number, arguments), expected(*action, arguments));
            }
        }
    }
}
