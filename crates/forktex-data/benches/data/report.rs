// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a row found: figures that have a bar, and notes that have none.

use forktex_testkit::figure::{self, Figure, Output, median};
use serde_json::json;

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
}

/// What both sides came to in the rounds of one figure.
#[derive(Default)]
pub(crate) struct Sides {
    pub(crate) ours: Vec<f64>,
    pub(crate) bare: Vec<f64>,
}

impl Sides {
    /// The figure of a time, of which less is better.
    pub(crate) fn at_most(self, bench: &'static str, unit: &'static str, bar: f64) -> Figure {
        self.figure(bench, unit, bar, true)
    }

    /// The figure of a rate, of which more is better.
    pub(crate) fn at_least(self, bench: &'static str, unit: &'static str, bar: f64) -> Figure {
        self.figure(bench, unit, bar, false)
    }

    fn figure(self, bench: &'static str, unit: &'static str, bar: f64, at_most: bool) -> Figure {
        let (value, baseline) = (median(self.ours), median(self.bare));
        Figure {
            bench,
            value,
            unit,
            baseline,
            ratio: value / baseline,
            bar,
            at_most,
        }
    }
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
    fn line(&self, output: Output) -> String {
        let Self {
            bench,
            what,
            value,
            unit,
        } = self;
        match output {
            Output::Table => format!("{bench:<22} {value:>14.3}  {unit:<10} {what}"),
            Output::Json => {
                json!({"bench": bench, "note": what, "value": value, "unit": unit}).to_string()
            }
        }
    }
}
