// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is bounded, and by how much. Each bound is checked before anything is written, and a refusal
//! names it.

use std::time::Duration;

pub use crate::computed::COMPUTED_DEPTH_MAX;
pub use crate::import::IMPORT_FAILED_ROWS_MAX;
pub use crate::query::{
    AGGREGATES_MAX, GROUP_FIELDS_MAX, GROUPS_MAX, PAGE_OFFSET_MAX, RELATED_MAX, RELATED_ROWS_MAX,
};
pub use crate::relations::RESTRICTIONS_LISTED_MAX;
pub use crate::rows::HISTORY_VERSIONS_MAX;
pub use crate::search::SEARCH_QUERY_WORDS_MAX;
pub use crate::type_change::TYPE_CHANGE_SAMPLES_MAX;
pub use crate::virtual_register::{
    VIRTUAL_FETCH_TIMEOUT_DEFAULT, VIRTUAL_PAGE_ROWS_DEFAULT, VIRTUAL_PAGES_MAX, VIRTUAL_ROWS_LIMIT,
};

/// Registers of one tenant.
pub const REGISTERS_MAX: usize = 1_000;

/// Fields of one register, computed ones included.
pub const FIELDS_MAX: usize = 500;

/// Indexed fields of one register. Each costs one more entry for each row that is written.
pub const INDEXED_FIELDS_MAX: usize = 32;

/// Unique fields of one register.
pub const UNIQUE_FIELDS_MAX: usize = 32;

/// Relationships of one register, counted at both ends.
pub const RELATIONSHIPS_MAX: usize = 100;

/// Characters of the name of a register, a field or a relationship.
pub const NAME_CHARACTERS_MAX: usize = 63;

/// Characters of a label.
pub const LABEL_CHARACTERS_MAX: usize = 200;

/// Characters of a description.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 4_000;

/// Characters of a text, whatever its field allows.
pub const TEXT_LENGTH_MAX: usize = 100_000;

/// Characters of a text whose field sets no limit of its own.
pub const TEXT_LENGTH_DEFAULT: usize = 10_000;

/// Characters of a text that is indexed or unique; also what such a field allows when it sets no limit.
pub const INDEXED_TEXT_LENGTH_MAX: usize = 512;

/// Bytes of a JSON cell, written without spaces: 256 KiB.
pub const JSON_BYTES_MAX: usize = 256 * 1024;

/// Bytes of all cells of a row, written as JSON: 1 MiB.
pub const ROW_BYTES_MAX: usize = 1024 * 1024;

/// Targets of one reference field in the draft of a row.
pub const REFERENCES_MAX: usize = 1_000;

/// Options of an enum.
pub const ENUM_OPTIONS_MAX: usize = 1_000;

/// Characters of the key of an enum's option.
pub const ENUM_OPTION_CHARACTERS_MAX: usize = 100;

/// Characters of a pattern.
pub const PATTERN_LENGTH_MAX: usize = 500;

/// Bytes that a compiled pattern may take: 1 MiB.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// Characters of a formula.
pub const FORMULA_CHARACTERS_MAX: usize = 4_000;

/// How deep a formula may nest.
pub const FORMULA_DEPTH_MAX: usize = 64;

/// Characters of the reference under which another system knows a row.
pub const EXTERNAL_REF_CHARACTERS_MAX: usize = 255;

/// Rows that are created by one call.
pub const CREATE_ROWS_MAX: usize = 10_000;

/// Rows that one deletion may touch, with all that it cascades to.
pub const DELETE_ROWS_MAX: usize = 100_000;

/// Rows of which computed fields are brought up to date in the writing transaction, unless
/// [`recompute_rows_max`](crate::DataBuilder::recompute_rows_max) says otherwise. More are left to
/// [`run_maintenance`](crate::TenantData::run_maintenance), and queries say that they are stale.
pub const RECOMPUTE_ROWS_DEFAULT: usize = 1_000;

/// Rows of one page.
pub const PAGE_ROWS_MAX: usize = 1_000;

/// How deep a filter may nest.
pub const FILTER_DEPTH_MAX: usize = 16;

/// Comparisons of one filter.
pub const FILTER_COMPARISONS_MAX: usize = 200;

/// Values in the list of one comparison.
pub const FILTER_LIST_MAX: usize = 1_000;

/// Sort keys of one query.
pub const SORT_KEYS_MAX: usize = 8;

/// Facets of one query.
pub const FACETS_MAX: usize = 10;

/// Values of one facet.
pub const FACET_VALUES_MAX: usize = 1_000;

/// Rows that are read from a virtual register for one answer, unless the register declares fewer. An
/// answer that would need more is an error, never a part of it.
pub const VIRTUAL_ROWS_MAX: usize = 10_000;

/// Characters of one word that is searched for; longer ones are cut.
pub const SEARCH_WORD_CHARACTERS_MAX: usize = 64;

/// Different words of one row that can be searched for.
pub const SEARCH_WORDS_MAX: usize = 10_000;

/// Bytes of one record of an import: 1 MiB.
pub const IMPORT_RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Rows that an import writes in one batch.
pub const IMPORT_BATCH_ROWS: usize = 1_000;

/// Problems that the report of an import lists; all are counted.
pub const IMPORT_PROBLEMS_MAX: usize = 1_000;

/// Rows that one batch of maintenance reads, in a transaction of its own.
pub const MAINTENANCE_BATCH_ROWS: usize = 5_000;

/// The longest that one call of [`run_maintenance`](crate::TenantData::run_maintenance) begins new
/// batches. What is left is reported.
pub const MAINTENANCE_TIME_MAX: Duration = Duration::from_mins(1);

/// Versions of a register that are listed, the newest first.
pub const VERSIONS_LISTED_MAX: usize = 1_000;
