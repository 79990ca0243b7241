// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Counts tests from what cargo prints: one `test result:` line a test binary.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Counts {
    /// The sum over all test binaries.
    pub(super) fn read(output: &str) -> Self {
        let mut counts = Self::default();
        for line in output.lines() {
            let Some((_, result)) = line.split_once("test result: ") else {
                continue;
            };
            counts.passed += number_before(result, " passed");
            counts.failed += number_before(result, " failed");
        }
        counts
    }

    /// One check that is not a `#[test]`.
    pub(super) fn one(passed: bool) -> Self {
        Self {
            passed: u64::from(passed),
            failed: u64::from(!passed),
        }
    }

    pub(super) fn none_ran(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number that stands before `word`; 0 where there is none.
fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else {
        return 0;
    };
    before
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 2 tests
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.00s
some text without an end of line test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured
";

    #[test]
    fn all_binaries_are_added_up() {
        assert_eq!(
            Counts::read(OUTPUT),
            Counts {
                passed: 15,
                failed: 1
            }
        );
        assert!(Counts::read("error: could not compile").none_ran());
    }

    #[test]
    fn the_last_line_has_the_form_that_runners_read() {
        assert_eq!(
            Counts {
                passed: 15,
                failed: 1
            }
            .to_string(),
            "15 passed, 1 failed"
        );
    }
}
