// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The register that is measured, and its rows: the same from run to run.

use std::error::Error;
use std::ops::Range;

use forktex_data::{Decimal, Draft, FieldDefinition, Register, RegisterDefinition, TenantData};
use time::Duration;
use time::macros::date;

pub(crate) const NAME: &str = "invoices";

pub(crate) const STATUSES: [&str; 4] = ["draft", "sent", "late", "paid"];

/// How many countries there are.
const COUNTRIES: usize = 20;

/// How many days the invoices are spread over.
const DAYS: usize = 1_000;

/// How many rows go into one call.
pub(crate) const BATCH: usize = 10_000;

/// Four indexed fields and two that are not.
pub(crate) fn definition(name: &str) -> RegisterDefinition {
    RegisterDefinition::new(name)
        .field(FieldDefinition::one_of("status", STATUSES).indexed())
        .field(FieldDefinition::text("country").indexed())
        .field(FieldDefinition::decimal("total").scale(2).indexed())
        .field(FieldDefinition::date("issued_at").indexed())
        .field(FieldDefinition::text("customer"))
        .field(FieldDefinition::text("note"))
}

/// The cells of invoice number `n`.
pub(crate) struct Invoice {
    pub(crate) status: &'static str,
    pub(crate) country: String,
    pub(crate) total: Decimal,
    pub(crate) issued_at: time::Date,
    pub(crate) customer: String,
    /// Every third has one.
    pub(crate) note: Option<String>,
}

impl Invoice {
    pub(crate) fn numbered(n: usize) -> Self {
        // A permutation of the numbers: neighbours in time are not neighbours in the index.
        let mixed = n.wrapping_mul(2_654_435_761) >> 7;
        let cents = i64::try_from(mixed % 1_000_000).unwrap_or_default();
        let day = i64::try_from(mixed % DAYS).unwrap_or_default();
        Self {
            status: STATUSES[mixed % STATUSES.len()],
            country: format!("country {:02}", (mixed / 3) % COUNTRIES),
            total: Decimal::new(cents, 2),
            issued_at: date!(2024 - 01 - 01).saturating_add(Duration::days(day)),
            customer: format!("customer number {}", mixed % 5_000),
            note: n
                .is_multiple_of(3)
                .then(|| format!("what was agreed upon for invoice {n}")),
        }
    }

    pub(crate) fn draft(self) -> Draft {
        let draft = Draft::new()
            .set("status", self.status)
            .set("country", self.country)
            .set("total", self.total)
            .set("issued_at", self.issued_at)
            .set("customer", self.customer);
        match self.note {
            Some(note) => draft.set("note", note),
            None => draft,
        }
    }

    /// As a line of CSV; nothing in it needs quotes.
    pub(crate) fn line(&self) -> String {
        format!(
            "{},{},{},{},{},{}\n",
            self.status,
            self.country,
            self.total,
            self.issued_at,
            self.customer,
            self.note.as_deref().unwrap_or_default()
        )
    }
}

pub(crate) const CSV_HEADER: &str = "status,country,total,issued_at,customer,note\n";

pub(crate) async fn create_register(tenant: &TenantData) -> Result<Register, Box<dyn Error>> {
    Ok(tenant.create_register(definition(NAME)).await?)
}

/// Puts the invoices with these numbers in.
pub(crate) async fn fill(
    register: &Register,
    numbers: Range<usize>,
) -> Result<(), forktex_data::DataError> {
    let mut next = numbers.start;
    while next < numbers.end {
        let batch = next..numbers.end.min(next + BATCH);
        next = batch.end;
        let drafts = batch.map(|n| Invoice::numbered(n).draft()).collect();
        register.rows().create_many(drafts).await?;
    }
    Ok(())
}
