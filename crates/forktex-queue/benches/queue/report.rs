// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a row found: figures that have a bar, and notes that have none.

use forktex_testkit::figure::{self, Figure, Output};
use serde_json::{Value, json};

/// What a row measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Figure>,
    pub(crate) notes: Vec<Note>,
}

/// Something that was seen beside, and that no bar is for.
pub(crate) struct Note {
    pub(crate) bench: &'static str,
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// More numbers, for machines; people read them in `what`.
    pub(crate) details: Value,
}

impl Report {
    pub(crate) fn note(
        &mut self,
        bench: &'static str,
        what: impl Into<String>,
        value: f64,
        unit: &'static str,
    ) {
        let what = what.into();
        self.notes.push(Note {
            bench,
            what,
            value,
            unit,
            details: Value::Null,
        });
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.figures.append(&mut other.figures);
        self.notes.append(&mut other.notes);
    }

    pub(crate) fn print(&self, output: Output) {
        if self.figures.is_empty() {
            return;
        }
        figure::print(&self.figures, output);
        if output == Output::Table && !self.notes.is_empty() {
            println!();
        }
        for note in &self.notes {
            println!("{}", note.line(output));
        }
    }
}

impl Note {
    pub(crate) fn line(&self, output: Output) -> String {
        let Self {
            bench,
            what,
            value,
            unit,
            details,
        } = self;
        match output {
            Output::Table => format!("{bench:<22} {value:>14.3}  {unit:<10} {what}"),
            Output::Json => {
                json!({"bench": bench, "note": what, "value": value, "unit": unit, "details": details})
                    .to_string()
            }
        }
    }
}

/// The largest of the smallest `share` of the values: 0.99 gives the 99th percentile.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts far below 2^52, and a share from 0 to 1"
)]
pub(crate) fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share).ceil() as usize;
    let last = place.min(values.len()).saturating_sub(1);
    values.get(last).copied().unwrap_or(f64::NAN)
}
