//! The numbers in a figure: a table for spreadsheets, and named arrays for NumPy.

use std::iter::once;

use crate::matrix::Matrix;

/// What a figure shows, as a table and as arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    pub table: Table,
    /// Arrays with their names. Of matrices, the first array is all of them, and the others label it.
    pub arrays: Vec<(&'static str, Array)>,
}

/// Named columns of equal length.
pub type Table = Vec<(String, Values)>;

/// Values of an array in row-major order, as many as its shape says.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Texts(Vec<String>),
    Integers(Vec<i64>),
    /// NaN means unknown.
    Numbers(Vec<f64>),
}

impl Numbers {
    /// A table; its columns are the arrays.
    pub fn table(columns: Vec<(&'static str, Values)>) -> Self {
        let arrays = columns.iter().map(|(name, values)| (*name, Array::column(values.clone()))).collect();
        let table = columns.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        Numbers { table, arrays }
    }

    /// A matrix over classes; its table has a row and a column per class.
    pub fn matrix(matrix: &Matrix, classes: &[String]) -> Self {
        let column = |(class, name): (usize, &String)| (name.clone(), Values::Numbers(matrix.rows().map(|row| row[class]).collect()));
        let table = once(("class".to_owned(), Values::Texts(classes.to_vec()))).chain(classes.iter().enumerate().map(column)).collect();
        Numbers { table, arrays: vec![("matrix", square(&[], once(matrix))), ("classes", Array::texts(classes))] }
    }

    /// Named matrices over the same classes as one array; the table has a row per pair of classes.
    pub fn matrices(matrices: &[&Matrix], names: &[String], classes: &[String], table: Table) -> Self {
        let arrays = vec![
            ("matrices", square(&[matrices.len()], matrices.iter().copied())),
            ("attributions", Array::texts(names)),
            ("classes", Array::texts(classes)),
        ];
        Numbers { table, arrays }
    }
}

impl Array {
    /// One text; the array has no dimension.
    pub fn text(text: String) -> Self {
        Array { shape: Vec::new(), values: Values::Texts(vec![text]) }
    }

    pub fn texts(texts: &[String]) -> Self {
        Array::column(Values::Texts(texts.to_vec()))
    }

    /// An array of one dimension.
    pub fn column(values: Values) -> Self {
        Array { shape: vec![values.len()], values }
    }
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::Texts(texts) => texts.len(),
            Values::Integers(integers) => integers.len(),
            Values::Numbers(numbers) => numbers.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Square matrices of one size as one array.
fn square<'a>(outer: &[usize], matrices: impl Iterator<Item = &'a Matrix> + Clone) -> Array {
    let classes = matrices.clone().next().map_or(0, Matrix::classes);
    Array { shape: [outer, &[classes; 2]].concat(), values: Values::Numbers(matrices.flat_map(Matrix::rows).flatten().copied().collect()) }
}
