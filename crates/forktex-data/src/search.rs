// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Search: which words a text has, which words are like each other, and the tables that find rows by
//! them.
//!
//! The server's own text search is not used, since its operators may serve no index under row-level
//! security. Words are rows of a table with an ordinary index: a search is a range of it. Nothing here
//! knows a language: there are no stems and no words that are left out.

use std::collections::BTreeSet;

use forktex_db::{Transaction, sqlx};
use uuid::Uuid;

use crate::error::DataError;
use crate::keys::RegisterKey;
use crate::limits::{SEARCH_WORD_CHARACTERS_MAX, SEARCH_WORDS_MAX};
use crate::query::{QueryError, QueryPart};

/// How many words a search may have.
pub const SEARCH_QUERY_WORDS_MAX: usize = 16;

/// Words are alike that share one of so many of their trigrams.
pub(crate) const SIMILAR_ONE_OF: usize = 4;

/// Rows of a register are found by the words in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Search {
    #[default]
    None,
    /// Each of these begins a word of the row.
    Words(Vec<String>),
    /// Each of these is like a word of the row.
    Fuzzy(Vec<String>),
}

impl Search {
    /// The search for the words of a text; `None` for a text without any, which finds every row.
    ///
    /// # Errors
    /// [`QueryError::TooMany`] beyond [`SEARCH_QUERY_WORDS_MAX`] words.
    pub(crate) fn new(text: &str, is_fuzzy: bool) -> Result<Self, QueryError> {
        let words: BTreeSet<String> = tokenize(text).into_iter().collect();
        QueryPart::SearchWords.check(words.len())?;
        let words: Vec<String> = words.into_iter().collect();
        Ok(match (words.is_empty(), is_fuzzy) {
            (true, _) => Self::None,
            (false, false) => Self::Words(words),
            (false, true) => Self::Fuzzy(words),
        })
    }
}

/// The words of a text in their order: runs of letters and digits, in lower case, cut at
/// [`SEARCH_WORD_CHARACTERS_MAX`].
pub(crate) fn tokenize(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(SEARCH_WORD_CHARACTERS_MAX).collect())
        .collect()
}

/// The distinct words of all these texts, sorted, at most [`SEARCH_WORDS_MAX`].
pub(crate) fn words_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let words: BTreeSet<String> = texts.into_iter().flat_map(tokenize).collect();
    words.into_iter().take(SEARCH_WORDS_MAX).collect()
}

/// The distinct trigrams of a word, which is taken with two spaces before it and one after, sorted.
pub(crate) fn trigrams(word: &str) -> Vec<String> {
    let padded: Vec<char> = [' ', ' ']
        .into_iter()
        .chain(word.chars())
        .chain([' '])
        .collect();
    let distinct: BTreeSet<String> = padded
        .windows(3)
        .map(|letters| letters.iter().collect())
        .collect();
    distinct.into_iter().collect()
}

/// Whether two words share one of [`SIMILAR_ONE_OF`] trigrams. A word of n letters counts as n + 1
/// trigrams, though some may be the same: SQL counts so too.
pub(crate) fn is_similar(one: &str, two: &str) -> bool {
    let (of_one, of_two) = (trigrams(one), trigrams(two));
    let shared = of_one
        .iter()
        .filter(|trigram| of_two.binary_search(trigram).is_ok())
        .count();
    let all = one.chars().count() + two.chars().count() + 2 - shared;
    shared * SIMILAR_ONE_OF >= all
}

/// Whether a row with these words, as [`words_of`] gives them, is found.
pub(crate) fn matches(search: &Search, words: &[String]) -> bool {
    match search {
        Search::None => true,
        Search::Words(wanted) => wanted.iter().all(|wanted| {
            let from = words.partition_point(|word| word < wanted);
            words
                .get(from)
                .is_some_and(|word| word.starts_with(wanted.as_str()))
        }),
        Search::Fuzzy(wanted) => wanted
            .iter()
            .all(|wanted| words.iter().any(|word| is_similar(word, wanted))),
    }
}

/// The words of one row, for its entries.
#[derive(Clone)]
pub(crate) struct SearchEntry {
    pub(crate) row_id: Uuid,
    /// As [`words_of`] gives them.
    pub(crate) words: Vec<String>,
    /// The row has no entries yet.
    pub(crate) is_new: bool,
}

/// Takes out what the rows no longer have: one statement for all of them.
const REMOVE_WORDS_BUT: &str = "\
DELETE FROM forktex_data.search_word AS entry
WHERE entry.register_key = $1
  AND entry.row_id = ANY ($2::uuid[])
  AND NOT EXISTS (
      SELECT 1
      FROM unnest($3::uuid[], $4::text[]) AS kept (row_id, word)
      WHERE kept.row_id = entry.row_id AND kept.word = entry.word
  )";

/// Sorted, so that two writers of one row meet its words in one order.
const INSERT_WORDS: &str = "\
INSERT INTO forktex_data.search_word (register_key, word, row_id, tenant_id)
SELECT $1, entry.word, entry.row_id, $2
FROM unnest($3::uuid[], $4::text[]) AS entry (row_id, word)
ORDER BY entry.row_id, entry.word
ON CONFLICT DO NOTHING";

/// Words that the register does not know yet get their trigrams. There is no unique index, so that no
/// writer waits for another; two at once may both put a word in, which readers bear.
const INSERT_TRIGRAMS: &str = "\
INSERT INTO forktex_data.search_trigram (register_key, trigram, word, tenant_id)
SELECT $1, entry.trigram, entry.word, $2
FROM unnest($3::text[], $4::text[]) AS entry (word, trigram)
WHERE NOT EXISTS (
    SELECT 1
    FROM forktex_data.search_trigram AS known
    WHERE known.register_key = $1
      AND known.trigram = entry.trigram
      AND known.word = entry.word
)";

const REMOVE_WORDS: &str = "\
DELETE FROM forktex_data.search_word WHERE register_key = $1 AND row_id = ANY ($2::uuid[])";

/// Pairs that one statement carries at most.
const PAIRS_PER_STATEMENT: usize = 20_000;

/// Makes the words of these rows those that are given. Costs two statements where all rows are new, and
/// three else; more only beyond some 20,000 words.
pub(crate) async fn write_entries(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    rows: &[SearchEntry],
) -> Result<(), DataError> {
    let mut row_ids = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for row in rows {
        row_ids.extend(std::iter::repeat_n(row.row_id, row.words.len()));
        words.extend(row.words.iter().map(String::as_str));
    }
    let old: Vec<&SearchEntry> = rows.iter().filter(|row| !row.is_new).collect();
    if !old.is_empty() {
        let ids: Vec<Uuid> = old.iter().map(|row| row.row_id).collect();
        let mut kept_ids = Vec::new();
        let mut kept_words: Vec<&str> = Vec::new();
        for row in old {
            kept_ids.extend(std::iter::repeat_n(row.row_id, row.words.len()));
            kept_words.extend(row.words.iter().map(String::as_str));
        }
        sqlx::query(REMOVE_WORDS_BUT)
            .bind(register.0)
            .bind(ids)
            .bind(kept_ids)
            .bind(kept_words)
            .execute(tx.connection())
            .await?;
    }
    for (row_ids, words) in row_ids
        .chunks(PAIRS_PER_STATEMENT)
        .zip(words.chunks(PAIRS_PER_STATEMENT))
    {
        sqlx::query(INSERT_WORDS)
            .bind(register.0)
            .bind(tenant)
            .bind(row_ids)
            .bind(words)
            .execute(tx.connection())
            .await?;
    }
    let distinct: BTreeSet<&str> = words.into_iter().collect();
    write_trigrams(tx, tenant, register, &distinct).await
}

async fn write_trigrams(
    tx: &mut Transaction,
    tenant: Uuid,
    register: RegisterKey,
    words: &BTreeSet<&str>,
) -> Result<(), DataError> {
    let pairs: Vec<(&str, String)> = words
        .iter()
        .flat_map(|word| {
            trigrams(word)
                .into_iter()
                .map(move |trigram| (*word, trigram))
        })
        .collect();
    for pairs in pairs.chunks(PAIRS_PER_STATEMENT) {
        let words: Vec<&str> = pairs.iter().map(|(word, _)| *word).collect();
        let trigrams: Vec<&str> = pairs.iter().map(|(_, trigram)| trigram.as_str()).collect();
        sqlx::query(INSERT_TRIGRAMS)
            .bind(register.0)
            .bind(tenant)
            .bind(words)
            .bind(trigrams)
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

/// Takes these rows out of the search: one statement. The vocabulary for words that are alike keeps
/// theirs, which find nothing.
pub(crate) async fn remove_entries(
    tx: &mut Transaction,
    register: RegisterKey,
    ids: &[Uuid],
) -> Result<(), DataError> {
    if !ids.is_empty() {
        sqlx::query(REMOVE_WORDS)
            .bind(register.0)
            .bind(ids)
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        assert_eq!(
            tokenize("Acme GmbH, Größe-42!"),
            ["acme", "gmbh", "größe", "42"]
        );
        assert_eq!(tokenize(" .. "), Vec::<String>::new());
        assert_eq!(tokenize(&"x".repeat(100)), ["x".repeat(64)]);
        assert_eq!(words_of(["b a", "A c"]), ["a", "b", "c"]);
    }

    #[test]
    fn a_word_has_one_trigram_more_than_letters() {
        assert_eq!(trigrams("cat"), ["  c", " ca", "at ", "cat"]);
        assert_eq!(trigrams("aaaa").len(), 4);
    }

    #[test]
    fn words_with_a_slip_are_alike() {
        assert!(is_similar("acme", "acne"));
        assert!(is_similar("müller", "muller"));
        assert!(!is_similar("acme", "zebra"));
    }

    #[test]
    fn a_search_begins_words_and_needs_all_of_them() {
        let words = words_of(["Acme Trading GmbH"]);
        let found = |text| matches(&Search::new(text, false).unwrap(), &words);
        assert!(found("acm TRADING"));
        assert!(!found("acme zebra") && !found("cme"));
        assert!(found("") && found("--"));
        assert!(matches(&Search::new("acne", true).unwrap(), &words));
    }

    #[test]
    fn too_many_words_are_refused() {
        let text: Vec<String> = (0..=SEARCH_QUERY_WORDS_MAX)
            .map(|n| n.to_string())
            .collect();
        assert!(Search::new(&text.join(" "), false).is_err());
    }
}
