// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A measured figure, and how it is printed.

/// One line of the results.
pub(crate) struct Figure {
    pub(crate) bench: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) baseline: f64,
    pub(crate) ratio: f64,
    pub(crate) bar: f64,
    pub(crate) at_most: bool,
}

/// How the results are printed.
#[derive(Clone, Copy)]
pub(crate) enum Output {
    Table,
    Json,
}

impl Figure {
    fn passes(&self) -> bool {
        if self.at_most {
            self.ratio <= self.bar
        } else {
            self.ratio >= self.bar
        }
    }
}

pub(crate) fn print(figures: &[Figure], output: Output) {
    if let Output::Table = output {
        println!(
            "{:<18} {:>12} {:>12}  {:<10} {:>7} {:>8}",
            "bench", "value", "baseline", "unit", "ratio", "bar"
        );
    }
    for figure in figures {
        let Figure {
            bench,
            value,
            unit,
            baseline,
            ratio,
            bar,
            at_most,
        } = figure;
        match output {
            Output::Json => println!(
                r#"{{"bench":"{bench}","value":{value:.3},"unit":"{unit}","baseline":{baseline:.3},"ratio":{ratio:.3},"bar":{bar},"at_most":{at_most}}}"#
            ),
            Output::Table => {
                let sign = if *at_most { "<=" } else { ">=" };
                let verdict = if figure.passes() { "pass" } else { "miss" };
                println!(
                    "{bench:<18} {value:>12.3} {baseline:>12.3}  {unit:<10} {ratio:>7.3} {sign} {bar:<5} {verdict}"
                );
            }
        }
    }
}

/// The median; of an even count, the upper of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
