// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which of the names that exist somebody may have meant.

/// Names that are compared; the rest of a longer list is left out.
const CANDIDATES_MAX: usize = 2_000;

/// Characters of a name that are compared.
const COMPARED_MAX: usize = 64;

/// The candidate that differs least from `name`, if it differs by no more than a third of its letters.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let wanted: Vec<char> = name.chars().take(COMPARED_MAX).collect();
    let allowed = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .map(|candidate| (distance(&wanted, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// How many letters must be put in, taken out or replaced to make one of the other.
fn distance(wanted: &[char], candidate: &str) -> usize {
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for (line, found) in candidate.chars().take(COMPARED_MAX).enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, letter) in row.iter_mut().skip(1).zip(wanted) {
            let replaced = diagonal + usize::from(*letter != found);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = ["status", "total", "issued_at"];
        assert_eq!(nearest("statsu", names), Some("status".to_owned()));
        assert_eq!(nearest("totl", names), Some("total".to_owned()));
        assert_eq!(nearest("customer", names), None);
        assert_eq!(nearest("", names), None);
    }

    #[test]
    fn the_distance_counts_single_letters() {
        let wanted: Vec<char> = "kitten".chars().collect();
        assert_eq!(distance(&wanted, "kitten"), 0);
        assert_eq!(distance(&wanted, "sitting"), 3);
        assert_eq!(distance(&[], "abc"), 3);
    }
}
