//! Platforms of images, and whether this machine's processor supports them.
//!
//! Variants of amd64 are the levels of the x86-64 psABI: `v1` is the baseline, each further one has
//! more instructions.

use serde::Deserialize;

/// The platform of this machine, without a variant.
pub const PLATFORM: &str = "linux/amd64";

/// Instructions of each level above the baseline, by their names in Rust; a level includes those of
/// the levels below it. LAHF/SAHF of level 2 has no name, but every processor with the others has
/// it.
const LEVELS: [&[&str]; 3] = [
    &["cmpxchg16b", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"],
    &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"],
    &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
];

/// The platform of a manifest or a config.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `linux`; may be empty.
    #[serde(default)]
    pub os: String,
    /// `amd64`; may be empty.
    #[serde(default)]
    pub architecture: String,
    /// `v8`, of an architecture that has several.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// The level of amd64 that it needs; `None` for other platforms than Linux on amd64.
    pub fn level(&self) -> Option<u8> {
        let amd64 = matches!(self.architecture.to_ascii_lowercase().as_str(), "amd64" | "x86_64" | "x86-64");
        if !amd64 || !self.os.eq_ignore_ascii_case("linux") {
            return None;
        }
        match self.variant.as_deref() {
            None | Some("" | "v1") => Some(1),
            Some("v2") => Some(2),
            Some("v3") => Some(3),
            Some("v4") => Some(4),
            Some(_) => None,
        }
    }

    /// Whether a processor of this level runs it.
    pub fn fits(&self, processor: u8) -> bool {
        self.level().is_some_and(|level| level <= processor)
    }

    /// Whether it is unspecified.
    pub fn is_empty(&self) -> bool {
        self.os.is_empty() && self.architecture.is_empty()
    }

    /// Replaces unspecified fields by `linux` and `amd64`.
    pub fn or_default(mut self) -> Self {
        if self.os.is_empty() {
            "linux".clone_into(&mut self.os);
        }
        if self.architecture.is_empty() {
            "amd64".clone_into(&mut self.architecture);
        }
        self
    }

    /// Its name as in docker: `linux/arm64/v8`.
    pub fn name(&self) -> String {
        match self.variant.as_deref() {
            None | Some("") => format!("{}/{}", self.os, self.architecture),
            Some(variant) => format!("{}/{}/{variant}", self.os, self.architecture),
        }
    }
}

/// The level of this machine's processor.
pub fn processor_level() -> u8 {
    level(has)
}

/// The highest level whose instructions, and those of the levels below it, are all supported.
fn level(has: impl Fn(&str) -> bool) -> u8 {
    let whole = LEVELS.iter().take_while(|flags| flags.iter().all(|flag| has(flag))).count();
    1 + u8::try_from(whole).expect("there are few levels")
}

/// Whether the processor has an instruction set of [`LEVELS`], and the kernel saves its registers.
#[cfg(target_arch = "x86_64")]
fn has(flag: &str) -> bool {
    macro_rules! detect {
        ($($name:tt)*) => {
            match flag {
                $($name => std::arch::is_x86_feature_detected!($name),)*
                _ => false,
            }
        };
    }
    detect!("cmpxchg16b" "popcnt" "sse3" "sse4.1" "sse4.2" "ssse3" "avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt"
        "movbe" "xsave" "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl")
}

#[cfg(not(target_arch = "x86_64"))]
fn has(_flag: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_the_highest_level_whose_flags_are_all_there() {
        let upto = |levels: usize| LEVELS[..levels].concat();
        let without =
            |levels: usize, gone: &str| upto(levels).into_iter().filter(|flag| *flag != gone).collect::<Vec<_>>();
        let cases = [
            (Vec::new(), 1),
            (without(1, "popcnt"), 1),
            (upto(1), 2),
            (without(2, "movbe"), 2),
            (upto(2), 3),
            (upto(3), 4),
            (without(3, "avx512vl"), 3),
            // A gap in a lower level limits it, whatever is above.
            (without(3, "sse4.2"), 1),
        ];
        for (flags, expected) in cases {
            assert_eq!(level(|flag| flags.contains(&flag)), expected, "{flags:?}");
        }
    }

    #[test]
    fn every_flag_can_be_asked_for() {
        // An unknown name would be "not there" on every processor.
        let info = std::fs::read_to_string("/proc/cpuinfo").expect("Linux");
        let names =
            [("cmpxchg16b", "cx16"), ("sse3", "pni"), ("sse4.1", "sse4_1"), ("sse4.2", "sse4_2"), ("lzcnt", "abm")];
        for flag in LEVELS.concat() {
            let kernel = names.iter().find(|(name, _)| *name == flag).map_or(flag, |(_, kernel)| kernel);
            let there = info
                .lines()
                .find(|line| line.starts_with("flags"))
                .is_some_and(|line| line.split_whitespace().any(|word| word == kernel));
            assert_eq!(has(flag), there, "{flag}");
        }
    }

    #[test]
    fn platforms_are_known_by_the_names_that_tools_write() {
        let level = |os: &str, architecture: &str, variant: Option<&str>| {
            let (os, architecture, variant) = (os.to_owned(), architecture.to_owned(), variant.map(str::to_owned));
            Platform { os, architecture, variant }.level()
        };
        for (variant, expected) in [(None, Some(1)), (Some(""), Some(1)), (Some("v1"), Some(1)), (Some("v3"), Some(3))]
        {
            assert_eq!(level("linux", "amd64", variant), expected);
        }
        assert_eq!(level("Linux", "x86_64", Some("v2")), Some(2));
        assert_eq!((level("linux", "arm64", Some("v8")), level("windows", "amd64", None)), (None, None));
        assert_eq!((level("linux", "amd64", Some("v9")), level("", "", None)), (None, None));
    }
}
