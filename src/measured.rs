//! Every metric of the programs, and the document that says what they tell.

use platform::telemetry::Metric;

/// The tables of all crates, each with where it is recorded.
pub fn all() -> Vec<(&'static str, &'static [Metric])> {
    vec![
        ("web", web::measured::METRICS),
        ("worker", runtime::measured::METRICS),
        ("worker", worker::measured::METRICS),
        ("every program", ::jobs::measured::METRICS),
        ("every program", broker::measured::METRICS),
        ("every program", database::measured::METRICS),
    ]
}

/// `docs/metrics.md`.
pub fn document() -> String {
    let mut text = "# Metrics\n\n\
        `web` and each worker serve theirs at `/metrics`, in the text format of Prometheus; the all-in-one has all.\n\
        This page is made from the tables in the code (`measured.rs` of each crate): change them, not it.\n\n\
        | metric | type | labels | recorded in | what it tells |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (place, metrics) in all() {
        for Metric { name, kind, labels, help } in metrics {
            let (kind, labels) = (kind.name(), labels.join(", "));
            text += &format!("| `{name}` | {kind} | {labels} | {place} | {help} |\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn root() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    /// Every Rust file below, but tables.
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    /// What a file records: type, name and labels, as they are written in the macros.
    fn recorded_in(text: &str) -> Vec<(String, String, Vec<String>)> {
        let mut recorded = Vec::new();
        for kind in ["counter", "gauge", "histogram"] {
            for call in text.split(&format!("metrics::{kind}!(")).skip(1) {
                // A call ends before the method that is called on it.
                let call = call.split(").").next().unwrap();
                let mut literals = call.split('"').skip(1).step_by(2);
                let after = call.split('"').skip(2).step_by(2);
                let Some(name) = literals.next() else { continue };
                let labels = std::iter::zip(literals, after.skip(1))
                    .filter(|(_, after)| after.trim_start().starts_with("=>"));
                let labels = labels.map(|(label, _)| label.to_owned()).collect();
                recorded.push((kind.to_owned(), name.to_owned(), labels));
            }
        }
        recorded
    }

    #[test]
    fn each_metric_is_recorded_with_the_labels_that_its_table_says_and_no_other_is() {
        let mut files = Vec::new();
        for folder in ["crates", "shared/src", "web/src", "worker/src", "src"] {
            sources(&root().join(folder), &mut files);
        }
        let recorded: BTreeSet<_> = files
            .iter()
            .filter(|file| !file.ends_with("measured.rs"))
            .flat_map(|file| recorded_in(&fs::read_to_string(file).unwrap()))
            .collect();
        let described: BTreeSet<_> = all()
            .into_iter()
            .flat_map(|(_, metrics)| metrics)
            .map(|metric| {
                let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>();
                (metric.kind.name().to_owned(), metric.name.to_owned(), labels)
            })
            .collect();
        assert_eq!(recorded, described);
    }

    #[test]
    fn the_document_is_what_the_tables_say() {
        crate::document_is("docs/metrics.md", &document());
    }
}
