// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How a body is cut into parts: how large each is, and how many go up at once.
//!
//! Pure arithmetic. Services take at most 10,000 parts, of 5 MiB to 5 GiB, and objects up to 5 TiB. How
//! long a body is, is not known before its end, so parts grow with what was sent.

/// The most parts of one object.
pub(crate) const PARTS_MAX: usize = 10_000;

/// The most bytes of a part, and of an object that is put at once.
pub(crate) const PART_BYTES_MAX: u64 = 5 * 1024 * MEBIBYTE;

const MEBIBYTE: u64 = 1024 * 1024;

/// A part has at least one in so many of the bytes that were sent before it. With parts of 5 MiB at first,
/// 10,000 parts then hold more than 5 TiB, and the largest stays below 5 GiB.
const GROWTH_DIVISOR: u64 = 1_250;

/// How large the next part is, after `sent_bytes`. It is the configured size for the first 1,250 parts,
/// and never more than 5 GiB.
pub(crate) fn part_bytes(configured_bytes: usize, sent_bytes: u64) -> usize {
    let configured = u64::try_from(configured_bytes).unwrap_or(PART_BYTES_MAX);
    let grown = (sent_bytes / GROWTH_DIVISOR).next_multiple_of(MEBIBYTE);
    let bytes = if sent_bytes / GROWTH_DIVISOR <= configured {
        configured
    } else {
        grown
    };
    usize::try_from(bytes.min(PART_BYTES_MAX)).unwrap_or(usize::MAX)
}

/// How many parts of this size go up at once. Parts that grew go up with fewer beside them, so that all of
/// them and the one that is gathered need no more memory than parts of the configured size, or two parts.
pub(crate) fn parts_at_once(configured_bytes: usize, parallel: usize, part_bytes: usize) -> usize {
    let budget = configured_bytes.saturating_mul(parallel.saturating_add(1));
    let fitting = budget / part_bytes.max(1);
    fitting.saturating_sub(1).clamp(1, parallel.max(1))
}

/// How many bytes may be gathered in memory where a body must be put at once.
pub(crate) fn gathered_bytes_max(configured_bytes: usize, parallel: usize) -> u64 {
    u64::try_from(configured_bytes.saturating_mul(parallel.saturating_add(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * MEBIBYTE;

    #[test]
    fn five_tebibytes_fit_into_ten_thousand_parts() {
        for configured in [5, 8, 64].map(|mebibytes| mebibytes * 1024 * 1024) {
            let (mut sent, mut parts) = (0, 0);
            while sent < OBJECT_BYTES_MAX {
                let part = part_bytes(configured, sent);
                assert!(part >= configured);
                assert!(part as u64 <= PART_BYTES_MAX);
                sent += part as u64;
                parts += 1;
            }
            assert!(parts <= PARTS_MAX, "{parts} parts of {configured} bytes");
        }
    }

    #[test]
    fn parts_have_the_configured_size_for_a_long_time() {
        let configured = 8 * 1024 * 1024;
        for sent in [0, 1, 1_000_000_000, 10_000_000_000] {
            assert_eq!(part_bytes(configured, sent), configured);
        }
        assert!(part_bytes(configured, 20_000_000_000) > configured);
    }

    #[test]
    fn memory_stays_within_the_budget_as_parts_grow() {
        let (configured, parallel) = (8 * 1024 * 1024, 4);
        assert_eq!(parts_at_once(configured, parallel, configured), 4);
        for times in 1..=64 {
            let part = configured * times;
            let in_memory = part * (parts_at_once(configured, parallel, part) + 1);
            assert!(in_memory <= (configured * 5).max(part * 2), "{times}");
        }
        assert_eq!(parts_at_once(configured, 1, configured), 1);
    }
}
