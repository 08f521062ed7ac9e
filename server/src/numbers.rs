//! The numbers of a figure as files for other programs, with their provenance: tables as CSV, arrays for
//! NumPy.
//!
//! An `.npy` file holds one array and nothing else: NumPy refuses unknown keys in its header. An `.npz` file
//! therefore has the provenance and the names of classes as further arrays, which load without pickle. CSV
//! has the provenance in comment lines before the head, as tables on the web do:
//! <https://www.w3.org/TR/tabular-data-model/#dfn-comment-prefix>.

use std::iter::once;

use anyhow::Context;
use shared::chart::numbers::{Array, Numbers, Values};
use shared::provenance::Provenance;
use shared::spreadsheet::text_cell;

use crate::npy;
use crate::provenance::comments;

/// Name of the array in an `.npz` file that holds the provenance as JSON:
/// `json.loads(str(numpy.load(file)["provenance"]))`.
const PROVENANCE: &str = "provenance";

/// The table as CSV, below its provenance.
pub fn csv(numbers: &Numbers, provenance: &Provenance) -> anyhow::Result<Vec<u8>> {
    // Quote cells that contain `#`: a reader that removes comments would cut them off.
    let mut table = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(comments("#", provenance)?.into_bytes());
    // Names of classes may come from folders; a spreadsheet must not take one for a formula.
    table.write_record(numbers.table.iter().map(|(name, _)| text_cell(name).into_owned()))?;
    let rows = numbers.table.first().map_or(0, |(_, values)| values.len());
    for row in 0..rows {
        table.write_record(numbers.table.iter().map(|(_, values)| cell(values, row)))?;
    }
    table.into_inner().map_err(|error| error.into_error().into())
}

/// The arrays and the provenance as an `.npz` file.
pub fn npz(numbers: &Numbers, provenance: &Provenance) -> anyhow::Result<Vec<u8>> {
    let provenance = Array::text(serde_json::to_string(provenance)?);
    let arrays = numbers.arrays.iter().map(|(name, array)| (*name, array));
    Ok(npy::archive(arrays.chain(once((PROVENANCE, &provenance))))?)
}

/// The first array as an `.npy` file: the matrices.
pub fn npy(numbers: &Numbers) -> anyhow::Result<Vec<u8>> {
    let (_, matrices) = numbers.arrays.first().context("the figure has no arrays")?;
    Ok(npy::file(matrices))
}

fn cell(values: &Values, row: usize) -> String {
    match values {
        Values::Texts(texts) => text_cell(&texts[row]).into_owned(),
        Values::Integers(integers) => integers[row].to_string(),
        Values::Numbers(numbers) if numbers[row].is_nan() => String::new(),
        Values::Numbers(numbers) => numbers[row].to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use shared::matrix::Matrix;
    use shared::provenance::{APPLICATION, CheckpointHash};

    use super::*;

    #[test]
    fn a_table_stands_below_its_provenance_and_holds_no_comment() {
        let provenance = Provenance {
            application: APPLICATION.into(),
            view: "/runs/r".parse().unwrap(),
            checkpoints: vec![CheckpointHash { id: "r.e1".parse().unwrap(), sha256: "ab".into() }],
            configs: BTreeMap::from([("r".parse().unwrap(), json!({"name": "two\nlines # and a sign"}))]),
        };
        let numbers = Numbers::table(vec![
            ("run", Values::Texts(vec!["#1".into(), "no. #2".into(), "a, b".into(), "=1+1".into()])),
            ("epoch", Values::Integers(vec![1, 2, 3, -4])),
            ("cas", Values::Numbers(vec![0.5, f64::NAN, -1.0, 1e-9])),
        ]);
        let expected = "# Drawn by CrossLens\n# View: /runs/r\n# Checkpoint: r.e1, SHA-256 ab\n\
                        # Configuration of r: {\"name\":\"two\\nlines # and a sign\"}\n\
                        run,epoch,cas\n\"#1\",1,0.5\n\"no. #2\",2,\n\"a, b\",3,-1\n'=1+1,-4,0.000000001\n";
        assert_eq!(String::from_utf8(csv(&numbers, &provenance).unwrap()).unwrap(), expected);
    }

    #[test]
    fn no_cell_of_a_table_or_of_its_head_is_a_formula() {
        let classes = ["=cmd|' /C calc'!A0", "@sum", "-1", "+a;=b", "\t=1", "a,=1+1"].map(str::to_owned);
        let matrix = Matrix::cosine(&vec![vec![1.0, -1.0]; classes.len()]);
        let config = json!({"name": "a,=1+1;@x", "list": ["=2", "-3", "plain-name"], "number": -4.5});
        let configs = BTreeMap::from([("r".parse().unwrap(), config.clone())]);
        let provenance = Provenance { application: APPLICATION.into(), view: "/runs/r".parse().unwrap(), checkpoints: Vec::new(), configs };
        let csv = String::from_utf8(csv(&Numbers::matrix(&matrix, &classes), &provenance).unwrap()).unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv.as_bytes());
        for cell in reader.records().flat_map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()) {
            assert!(!cell.starts_with(['=', '@', '+', '\t']), "{cell:?} of {csv}");
            assert!(!cell.starts_with('-') || cell.parse::<f64>().is_ok(), "{cell:?} of {csv}");
        }
        let line = csv.lines().find_map(|line| line.strip_prefix("# Configuration of r: ")).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap(), config, "escapes are those of JSON");
        assert!(line.contains("plain-name"), "{line}");
    }
}
