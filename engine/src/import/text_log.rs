//! Reads the logs of training codes that are text: what was measured after each epoch.
//!
//! - Tables with the names of their columns in a line above them, separated by tabs, commas or semicolons:
//!   `output.log` of <https://github.com/locuslab/robust_overfitting> and of codes derived from it, whose lines
//!   begin with a date, and `log_results.txt` of
//!   <https://github.com/zjfheart/Geometry-aware-Instance-reweighted-Adversarial-Training>.
//! - What the code of TRADES prints, <https://github.com/yaodongyu/TRADES>, saved as a file.
//!
//! Any line that is neither is passed over.

use std::collections::BTreeMap;

use shared::config::LAST_EPOCH;
use shared::record::Epoch;

/// Content of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextLog {
    /// In rising order, each once; a later line replaces an earlier one of the same epoch.
    pub epochs: Vec<Epoch>,
    /// What it tells of its epochs, in words.
    pub curves: Vec<&'static str>,
}

/// What a column of a table or a number of a sentence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Epoch,
    LearningRate,
    TrainLoss,
    TrainRobustLoss,
    TestRobustLoss,
    TrainAccuracy,
    TrainRobustAccuracy,
    TestAccuracy,
    TestRobustAccuracy,
}

impl Column {
    /// Tells from the name of a column. `None` if it means anything else than the columns here.
    fn named(name: &str) -> Option<Self> {
        let lower = name.to_lowercase();
        let words: Vec<&str> = lower.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            ["epoch"] => return Some(Column::Epoch),
            ["lr"] | ["learning", "rate"] => return Some(Column::LearningRate),
            _ => {}
        }
        let (mut train, mut test, mut robust, mut clean, mut loss, mut accuracy) = (false, false, false, false, false, false);
        for word in words {
            let flag = match word {
                "train" | "training" => &mut train,
                "test" | "testing" => &mut test,
                "robust" | "adv" | "adversarial" => &mut robust,
                "natural" | "nat" | "clean" => &mut clean,
                "loss" => &mut loss,
                "acc" | "accuracy" => &mut accuracy,
                _ if word.strip_prefix("pgd").is_some_and(|steps| steps.bytes().all(|byte| byte.is_ascii_digit())) => &mut robust,
                _ => return None,
            };
            if std::mem::replace(flag, true) {
                return None;
            }
        }
        if train && test || robust && clean {
            return None;
        }
        match (loss, accuracy, train, robust) {
            (true, false, true, true) => Some(Column::TrainRobustLoss),
            (true, false, true, false) => Some(Column::TrainLoss),
            (true, false, false, true) if test => Some(Column::TestRobustLoss),
            (false, true, true, true) => Some(Column::TrainRobustAccuracy),
            (false, true, true, false) => Some(Column::TrainAccuracy),
            // `PGD20 Acc` is of the test set, as everything is that a log names no set for.
            (false, true, false, true) => Some(Column::TestRobustAccuracy),
            (false, true, false, false) if test || clean => Some(Column::TestAccuracy),
            _ => None,
        }
    }

    fn is_accuracy(self) -> bool {
        self >= Column::TrainAccuracy
    }
}

/// The values of each epoch.
type Values = BTreeMap<u32, BTreeMap<Column, f64>>;

/// Reads a log. `None` if the text is none of those known here.
pub fn read(text: &str) -> Option<TextLog> {
    let values = [table(text), sentences(text)].into_iter().max_by_key(|values| values.values().map(BTreeMap::len).sum::<usize>())?;
    let mut log = TextLog::default();
    let mut has = [false; 6];
    for (epoch, values) in in_fractions(values) {
        let get = |column| values.get(&column).copied();
        let epoch = Epoch {
            epoch,
            learning_rate: get(Column::LearningRate).unwrap_or(0.0),
            train_loss: get(Column::TrainRobustLoss).or(get(Column::TrainLoss)),
            train_clean_accuracy: get(Column::TrainAccuracy),
            train_robust_accuracy: get(Column::TrainRobustAccuracy),
            test_clean_accuracy: get(Column::TestAccuracy),
            test_robust_accuracy: get(Column::TestRobustAccuracy),
            test_loss: get(Column::TestRobustLoss),
            holdout_robust_accuracy: None,
            broken_gradients: None,
            holdout_broken_gradients: None,
            seconds: 0.0,
            elapsed_secs: 0.0,
        };
        let told = [
            epoch.train_loss,
            epoch.test_loss,
            epoch.train_clean_accuracy,
            epoch.train_robust_accuracy,
            epoch.test_clean_accuracy,
            epoch.test_robust_accuracy,
        ];
        has.iter_mut().zip(told).for_each(|(has, value)| *has |= value.is_some());
        log.epochs.push(epoch);
    }
    let names = [
        "training loss",
        "robust test loss",
        "clean training accuracy",
        "robust training accuracy",
        "clean test accuracy",
        "robust test accuracy",
    ];
    log.curves = names.into_iter().zip(has).filter(|(_, has)| *has).map(|(name, _)| name).collect();
    (!log.curves.is_empty()).then_some(log)
}

/// Reads tables with named columns.
fn table(text: &str) -> Values {
    let mut found = Values::new();
    let mut header: Option<(char, Vec<Option<Column>>)> = None;
    for line in text.lines().map(without_date) {
        if let Some(columns) = header_of(line) {
            header = Some(columns);
            continue;
        }
        let Some((separator, columns)) = &header else { continue };
        let cells = cells(line, *separator);
        if cells.len() != columns.len() {
            continue;
        }
        let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
        let mut values = BTreeMap::new();
        for (column, value) in columns.iter().zip(&cells).filter_map(|(column, cell)| Some(((*column)?, number(cell)?))) {
            // Of two columns for one thing, such as the accuracies under two attacks, the first counts.
            values.entry(column).or_insert(value);
        }
        let epoch = values.remove(&Column::Epoch).filter(|epoch| epoch.fract() == 0.0 && (0.0..=f64::from(LAST_EPOCH)).contains(epoch));
        if let Some(epoch) = epoch {
            found.insert(epoch as u32, values);
        }
    }
    found
}

/// Reads the names of columns, with what separates them. `None` if the line is not the head of a table of
/// epochs.
fn header_of(line: &str) -> Option<(char, Vec<Option<Column>>)> {
    ['\t', ',', ';'].into_iter().find_map(|separator| {
        let columns: Vec<Option<Column>> = cells(line, separator).into_iter().map(Column::named).collect();
        let known = columns.iter().flatten().count();
        (known > 1 && columns.contains(&Some(Column::Epoch))).then_some((separator, columns))
    })
}

/// Codes that write tabs put some of them where nothing is between two.
fn cells(line: &str, separator: char) -> Vec<&str> {
    let cells = line.split(separator).map(|cell| cell.trim().trim_matches('"'));
    if separator == '\t' { cells.filter(|cell| !cell.is_empty()).collect() } else { cells.collect() }
}

/// Removes the date that Python's logging may write before a message: `[2020/01/31 12:00:00] - `.
fn without_date(line: &str) -> &str {
    line.strip_prefix('[').and_then(|rest| rest.split_once("] - ")).map_or(line, |(_, message)| message)
}

/// Reads what the code of TRADES prints.
fn sentences(text: &str) -> Values {
    let mut found = Values::new();
    let mut epoch = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Train Epoch: ") {
            epoch = rest.split(' ').next().and_then(|number| number.parse().ok()).filter(|epoch| *epoch <= LAST_EPOCH);
        }
        let column = match line.split_once(": Average loss: ") {
            Some(("Training", _)) => Column::TrainAccuracy,
            Some(("Test", _)) => Column::TestAccuracy,
            _ => continue,
        };
        let Some((_, counts)) = line.split_once("Accuracy: ") else { continue };
        let Some((right, all)) = counts.split(' ').next().and_then(|counts| counts.split_once('/')) else { continue };
        if let (Some(epoch), Ok(right), Ok(all)) = (epoch, right.parse::<u32>(), all.parse::<u32>())
            && right <= all
            && all > 0
        {
            found.entry(epoch).or_default().insert(column, f64::from(right) / f64::from(all));
        }
    }
    found
}

/// Makes fractions of accuracies in percent, which are told by a value above 1. Removes what cannot be an
/// accuracy, and negative values, with which codes say that they measured nothing.
fn in_fractions(mut values: Values) -> Values {
    let mut highest: BTreeMap<Column, f64> = BTreeMap::new();
    for (column, value) in values.values().flatten() {
        let highest = highest.entry(*column).or_insert(*value);
        *highest = highest.max(*value);
    }
    for values in values.values_mut() {
        values.retain(|column, value| {
            if column.is_accuracy() && highest[column] > 1.0 {
                *value /= 100.0;
            }
            *value >= 0.0 && !(column.is_accuracy() && *value > 1.0)
        });
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(text: &str) -> Vec<Epoch> {
        read(text).map(|log| log.epochs).unwrap_or_default()
    }

    /// As `train_cifar.py` of robust_overfitting writes it, with its tabs.
    const ROBUST_OVERFITTING: &str = "[2020/02/01 10:00:00] - Namespace(attack='pgd', attack_iters=10, epochs=200)
[2020/02/01 10:00:01] - Epoch \t Train Time \t Test Time \t LR \t \t Train Loss \t Train Acc \t Train Robust Loss \t Train Robust Acc \t Test Loss \t Test Acc \t Test Robust Loss \t Test Robust Acc
[2020/02/01 10:05:00] - 0 \t 150.1 \t \t 20.2 \t \t 0.1000 \t 1.9000 \t 0.3000 \t 2.1000 \t \t 0.2200 \t \t 1.6000 \t 0.4200 \t 1.9500 \t \t 0.2900
[2020/02/01 10:10:00] - 1 \t 150.1 \t \t 20.2 \t \t 0.0100 \t 1.5000 \t 0.4500 \t 1.8000 \t \t 0.3100 \t \t 1.4000 \t 0.5000 \t 1.7000 \t \t 0.3500
[2020/02/01 10:10:01] - validation 1.4100 \t 0.4950 \t 1.7100 \t 0.3450
";

    #[test]
    fn the_log_of_robust_overfitting_is_read_as_its_code_writes_it() {
        let log = read(ROBUST_OVERFITTING).unwrap();
        assert_eq!(log.epochs.iter().map(|epoch| epoch.epoch).collect::<Vec<_>>(), [0, 1]);
        let Epoch { learning_rate, train_loss, train_clean_accuracy, train_robust_accuracy, .. } = log.epochs[1];
        assert_eq!((learning_rate, train_loss), (0.01, Some(1.8)), "the loss is that of the images trained on");
        assert_eq!((train_clean_accuracy, train_robust_accuracy), (Some(0.45), Some(0.31)));
        let Epoch { test_clean_accuracy, test_robust_accuracy, test_loss, .. } = log.epochs[1];
        assert_eq!((test_clean_accuracy, test_robust_accuracy, test_loss), (Some(0.5), Some(0.35), Some(1.7)));
        assert_eq!(log.curves.len(), 6);
    }

    #[test]
    fn a_table_of_results_has_columns_that_are_not_read() {
        let found =
            epochs("Epoch\tNatural Test Acc\tFGSM Acc\tPGD20 Acc\tPGD100 Acc\t\n1.000000\t0.500000\t0.400000\t0.300000\t0.290000\t\n");
        assert_eq!((found[0].epoch, found[0].test_clean_accuracy, found[0].test_robust_accuracy), (1, Some(0.5), Some(0.3)));
        let found = epochs("epoch,lr,train_loss,test_acc,test_robust_acc\n5,0.1,1.5,81.5,47.25\n10,0.1,,82,\n");
        assert_eq!(
            (found[0].train_loss, found[0].test_clean_accuracy, found[0].test_robust_accuracy),
            (Some(1.5), Some(0.815), Some(0.4725))
        );
        assert_eq!((found[1].epoch, found[1].test_robust_accuracy), (10, None));
    }

    #[test]
    fn what_trades_prints_has_clean_accuracies() {
        let text = "Train Epoch: 1 [0/50000 (0%)]\tLoss: 2.3
================================================================
Training: Average loss: 1.5000, Accuracy: 25000/50000 (50%)
Test: Average loss: 1.6000, Accuracy: 4500/10000 (45%)
Train Epoch: 2 [0/50000 (0%)]\tLoss: 1.9
Test: Average loss: 1.5000, Accuracy: 4800/10000 (48%)
";
        let found = epochs(text);
        assert_eq!((found[0].train_clean_accuracy, found[0].test_clean_accuracy), (Some(0.5), Some(0.45)));
        assert_eq!((found[1].epoch, found[1].test_clean_accuracy, found[1].test_robust_accuracy), (2, Some(0.48), None));
        assert_eq!(read(text).unwrap().curves, ["clean training accuracy", "clean test accuracy"]);
    }

    #[test]
    fn a_line_that_is_cut_off_or_repeated_does_no_harm() {
        let resumed = "epoch,test acc\n1,0.1\n2,0.2\n2,0.25\n3";
        assert_eq!(epochs(resumed).iter().map(|epoch| epoch.test_clean_accuracy.unwrap()).collect::<Vec<_>>(), [0.1, 0.25]);
        for text in
            ["", "epoch\n1\n", "Dear diary,\nepoch", "epoch,test acc\n1,-1\n", "epoch,test acc\n1,nan\n-1,0.5\n1.5,0.5\n", ",0,1\n0,5,6\n"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        let unmeasured = "epoch,train acc,test acc\n1,-1,0.5\n";
        assert_eq!((epochs(unmeasured)[0].train_clean_accuracy, epochs(unmeasured)[0].test_clean_accuracy), (None, Some(0.5)));
    }
}
