// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A search as conditions on the row's id: one range of the words for each word.

use crate::keys::RegisterKey;
use crate::search::{SIMILAR_ONE_OF, Search, trigrams};

use super::{Bind, Key, SqlWriter};

/// After every letter and digit: no word that begins like another comes after it.
const LAST_CODE_POINT: char = '\u{10FFFF}';

pub(super) fn write(writer: &mut SqlWriter, register: RegisterKey, id: &str, search: &Search) {
    let register = writer.bind_key(Key::Register(register));
    match search {
        Search::None => {}
        Search::Words(words) => {
            for word in words {
                let low = writer.bind_text(word.clone());
                let high = writer.bind_text(format!("{word}{LAST_CODE_POINT}"));
                writer.push(&format!(
                    "\n  AND {id} IN (SELECT w.row_id FROM forktex_data.search_word w \
                     WHERE w.register_key = {register} \
                     AND w.word >= {low}::text AND w.word < {high}::text)"
                ));
            }
        }
        Search::Fuzzy(words) => {
            for word in words {
                let letters = writer.bind_count(word.chars().count());
                let trigrams = writer.bind(Bind::Texts(trigrams(word)));
                writer.push(&format!(
                    "\n  AND {id} IN (SELECT w.row_id FROM forktex_data.search_word w \
                     WHERE w.register_key = {register} AND w.word IN (\
                     SELECT t.word FROM forktex_data.search_trigram t \
                     WHERE t.register_key = {register} AND t.trigram = ANY ({trigrams}::text[]) \
                     GROUP BY t.word \
                     HAVING count(DISTINCT t.trigram) * {SIMILAR_ONE_OF} \
                     >= length(t.word) + {letters}::bigint + 2 - count(DISTINCT t.trigram)))"
                ));
            }
        }
    }
}
