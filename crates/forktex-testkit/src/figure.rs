// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a benchmark measured against its baseline, and how it is printed: one form for all benchmarks.

/// One line of the results.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "benchmarks write it as a literal"
)]
pub struct Figure {
    /// What was measured.
    pub bench: &'static str,
    /// The value.
    pub value: f64,
    /// The unit of the value and of the baseline.
    pub unit: &'static str,
    /// What it is measured against, in the same run.
    pub baseline: f64,
    /// The ratio that the bar is for.
    pub ratio: f64,
    /// The bar.
    pub bar: f64,
    /// Whether the ratio may be at most the bar; else it must be at least that.
    pub at_most: bool,
}

/// How the results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "there are people, and there are machines"
)]
pub enum Output {
    /// For people.
    Table,
    /// For machines: an object a line.
    Json,
}

impl Output {
    /// As the arguments of the program say: a table, but with `--json`.
    pub fn from_arguments() -> Self {
        if std::env::args().any(|argument| argument == "--json") {
            Self::Json
        } else {
            Self::Table
        }
    }
}

impl Figure {
    /// Whether the ratio is on the right side of the bar.
    pub fn passes(&self) -> bool {
        if self.at_most {
            self.ratio <= self.bar
        } else {
            self.ratio >= self.bar
        }
    }

    fn row(&self) -> String {
        let Self {
            bench,
            value,
            unit,
            baseline,
            ratio,
            bar,
            at_most,
        } = self;
        let sign = if *at_most { "<=" } else { ">=" };
        let verdict = if self.passes() { "pass" } else { "miss" };
        format!(
            "{bench:<22} {value:>12.3} {baseline:>12.3}  {unit:<10} {ratio:>7.3} {sign} {bar:<5} {verdict}"
        )
    }

    fn json(&self) -> String {
        let Self {
            bench,
            value,
            unit,
            baseline,
            ratio,
            bar,
            at_most,
        } = self;
        format!(
            r#"{{"bench":"{bench}","value":{value:.3},"unit":"{unit}","baseline":{baseline:.3},"ratio":{ratio:.3},"bar":{bar},"at_most":{at_most}}}"#
        )
    }
}

/// Prints the results on standard output.
pub fn print(figures: &[Figure], output: Output) {
    if output == Output::Table {
        println!(
            "{:<22} {:>12} {:>12}  {:<10} {:>7} {:>8}",
            "bench", "value", "baseline", "unit", "ratio", "bar"
        );
    }
    for figure in figures {
        match output {
            Output::Table => println!("{}", figure.row()),
            Output::Json => println!("{}", figure.json()),
        }
    }
}

/// The median; of an even count, the upper of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_passed_from_its_own_side() {
        let figure = |ratio, at_most| Figure {
            bench: "b",
            value: 1.0,
            unit: "s",
            baseline: 1.0,
            ratio,
            bar: 1.05,
            at_most,
        };
        assert!(figure(1.0, true).passes() && !figure(1.1, true).passes());
        assert!(figure(1.1, false).passes() && !figure(1.0, false).passes());
        assert!(figure(1.1, true).row().ends_with("1.100 <= 1.05  miss"));
        assert!(
            figure(1.0, true)
                .json()
                .contains(r#""ratio":1.000,"bar":1.05,"at_most":true"#)
        );
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median(vec![]).is_nan());
    }
}
