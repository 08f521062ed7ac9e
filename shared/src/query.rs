//! Query language for the table of runs: words and fields, such as `trades eps:8 best>45 -tag:old`.
//!
//! Spaces separate terms, and all terms must match. A minus negates a term; quotation marks keep words
//! together. An invalid term is reported and ignored, because queries are parsed while the user types.

use crate::api::{RunRow, RunState};
use crate::builtin::{lowercase, number};
use crate::config::{Architecture, Method, Norm, RunKind};
use crate::dataset::Dataset;
use crate::eps::Eps;
use crate::id::SweepId;

/// A parsed query.
#[derive(Clone, Debug, Default)]
pub struct Query {
    terms: Vec<Term>,
}

/// An invalid term and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{term}`: {message}")]
pub struct QueryError {
    pub term: String,
    pub message: String,
}

/// A field of the query language, with its help text.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub example: &'static str,
    /// In it, `{names}` stands for the names the field can have.
    what: &'static str,
    value: Value,
}

impl Field {
    /// What it is, for the help.
    pub fn what(&self) -> String {
        match self.value {
            Value::Name(_, names) => self.what.replace("{names}", &alternatives(&names())),
            Value::Text(_) | Value::Tag | Value::Number(..) | Value::Eps => self.what.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Value {
    /// One of a set of names.
    Name(fn(&RunRow) -> Option<&'static str>, fn() -> Vec<&'static str>),
    /// A text that contains the query text.
    Text(fn(&RunRow) -> &str),
    Tag,
    /// A number, and the tolerance for equality: the rounding error of numbers in tables.
    Number(fn(&RunRow) -> Option<f64>, f64),
    Eps,
}

/// All fields, the most used first.
pub const FIELDS: [Field; 20] = [
    Field {
        name: "state",
        example: "state:failed",
        what: "{names}",
        value: Value::Name(|run| Some(run.state.id()), || ids(&RunState::ALL, RunState::id)),
    },
    Field {
        name: "kind",
        example: "kind:train",
        what: "{names}",
        value: Value::Name(|run| Some(run.kind.id()), || ids(RunKind::ALL, RunKind::id)),
    },
    Field {
        name: "method",
        example: "method:trades",
        what: "{names}",
        value: Value::Name(|run| run.method.map(Method::id), || ids(Method::ALL, Method::id)),
    },
    Field {
        name: "dataset",
        example: "dataset:cifar10",
        what: "the data set",
        value: Value::Name(|run| run.dataset.map(Dataset::id), || ids(Dataset::ALL, Dataset::id)),
    },
    Field {
        name: "model",
        example: "model:preact_resnet18",
        what: "the network",
        value: Value::Name(|run| run.architecture.map(Architecture::id), || ids(Architecture::ALL, Architecture::id)),
    },
    Field { name: "eps", example: "eps:8", what: "the radius, of 255 or as a fraction", value: Value::Eps },
    Field { name: "tag", example: "tag:paper", what: "a tag, whole", value: Value::Tag },
    Field {
        name: "sweep",
        example: "sweep:radius",
        what: "part of the name of the sweep",
        value: Value::Text(|run| run.sweep.as_ref().map_or("", SweepId::as_str)),
    },
    Field { name: "device", example: "device:cuda", what: "part of the name of the device", value: Value::Text(|run| &run.device) },
    Field { name: "notes", example: "notes:seed", what: "part of the notes", value: Value::Text(|run| &run.notes) },
    Field {
        name: "best",
        example: "best>45",
        what: "best robust accuracy, %",
        value: Value::Number(|run| percent(best(run)?.robust_accuracy), 0.05),
    },
    Field {
        name: "last",
        example: "last<40",
        what: "last robust accuracy, %",
        value: Value::Number(|run| percent(last(run)?.robust_accuracy), 0.05),
    },
    Field {
        name: "clean",
        example: "clean>80",
        what: "clean accuracy of the best checkpoint, %",
        value: Value::Number(|run| percent(best(run)?.clean_accuracy), 0.05),
    },
    Field {
        name: "gap",
        example: "gap<5",
        what: "how far the last is below the best, percentage points",
        value: Value::Number(|run| percent(Some(-run.gap()?)), 0.05),
    },
    Field {
        name: "cas",
        example: "cas>20",
        what: "CAS of the best checkpoint, or of the matrix measured",
        value: Value::Number(cas, 0.05),
    },
    Field {
        name: "normcas",
        example: "normcas>0.1",
        what: "the same as a fraction of the K(K−1) pairs of classes",
        value: Value::Number(RunRow::cas_normalized, 0.0005),
    },
    Field { name: "lastcas", example: "lastcas<10", what: "CAS of the last checkpoint", value: Value::Number(|run| last(run)?.cas, 0.05) },
    Field {
        name: "deltacas",
        example: "deltacas<0",
        what: "CAS of the last − CAS of the best",
        value: Value::Number(RunRow::delta_cas, 0.05),
    },
    Field {
        name: "epochs",
        example: "epochs>=100",
        what: "epochs to train for",
        value: Value::Number(|run| Some(f64::from(run.epochs)), 0.5),
    },
    Field { name: "seed", example: "seed:1", what: "the seed", value: Value::Number(|run| run.seed.map(f64::from), 0.5) },
];

#[derive(Clone, Debug)]
struct Term {
    holds: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// Lower-case word to find in title, name, sweep, tags or notes.
    Word(String),
    Name {
        of: fn(&RunRow) -> Option<&'static str>,
        is: &'static str,
    },
    Text {
        of: fn(&RunRow) -> &str,
        holds: String,
    },
    Tag(String),
    /// The radius for each norm.
    Eps {
        operator: Operator,
        linf: f64,
        l2: f64,
    },
    Number {
        of: fn(&RunRow) -> Option<f64>,
        operator: Operator,
        number: f64,
        tolerance: f64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Query {
    /// Parses a query. Returns the valid terms and the errors of the others.
    pub fn parse(text: &str) -> (Self, Vec<QueryError>) {
        let mut query = Query::default();
        let mut errors = Vec::new();
        for (term, quoted) in split(text) {
            match parse_term(&term, quoted) {
                Ok(term) => query.terms.push(term),
                Err(message) => errors.push(QueryError { term, message }),
            }
        }
        (query, errors)
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a run matches. `words`: result of [`words`] for this run, computed once for many queries.
    pub fn matches(&self, run: &RunRow, words: &str) -> bool {
        self.terms.iter().all(|term| term.test.passes(run, words) == term.holds)
    }
}

/// Lower-case text of a run in which words without a field are searched.
pub fn words(run: &RunRow) -> String {
    let id = run.id.as_str();
    let mut words = String::with_capacity(run.title.len() + id.len() + run.notes.len() + 32);
    let tags = run.tags.iter().map(String::as_str);
    for text in [&run.title, id, &run.notes].into_iter().chain(run.sweep.as_ref().map(SweepId::as_str)).chain(tags) {
        words.push_str(&lowercase(text));
        words.push('\n');
    }
    words
}

impl Test {
    fn passes(&self, run: &RunRow, words: &str) -> bool {
        match self {
            Test::Word(word) => words.contains(word.as_str()),
            Test::Name { of, is } => of(run) == Some(is),
            Test::Text { of, holds } => lowercase(of(run)).contains(holds.as_str()),
            Test::Tag(tag) => run.tags.iter().any(|known| lowercase(known) == *tag),
            Test::Eps { operator, linf, l2 } => {
                let number = if run.norm == Some(Norm::L2) { l2 } else { linf };
                // Queries have fractions with at most four decimals.
                run.eps.is_some_and(|eps| operator.holds(eps.fraction(), *number, 1e-4))
            }
            Test::Number { of, operator, number, tolerance } => of(run).is_some_and(|value| operator.holds(value, *number, *tolerance)),
        }
    }
}

impl Operator {
    fn holds(self, value: f64, number: f64, tolerance: f64) -> bool {
        match self {
            Operator::Equal => (value - number).abs() < tolerance,
            Operator::Less => value < number,
            Operator::LessOrEqual => value <= number,
            Operator::Greater => value > number,
            Operator::GreaterOrEqual => value >= number,
        }
    }
}

/// Splits a query into terms without quotation marks; true if a term begins with one.
fn split(text: &str) -> Vec<(String, bool)> {
    let mut terms = Vec::new();
    let (mut term, mut inside, mut quoted) = (String::new(), false, false);
    for letter in text.chars() {
        match letter {
            '"' => {
                quoted |= term.is_empty() || term == "-";
                inside = !inside;
            }
            letter if letter.is_whitespace() && !inside => {
                terms.push((std::mem::take(&mut term), std::mem::take(&mut quoted)));
            }
            letter => term.push(letter),
        }
    }
    terms.push((term, quoted));
    terms.retain(|(term, _)| !matches!(term.as_str(), "" | "-"));
    terms
}

fn parse_term(text: &str, quoted: bool) -> Result<Term, String> {
    let (holds, text) = text.strip_prefix('-').map_or((true, text), |rest| (false, rest));
    let word = || Ok(Term { holds, test: Test::Word(lowercase(text)) });
    if quoted {
        return word();
    }
    let Some(end) = text.find([':', '<', '>', '=']) else { return word() };
    let (name, rest) = text.split_at(end);
    let name = lowercase(name);
    let Some(field) = FIELDS.iter().find(|field| field.name == name) else {
        let known: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        return Err(format!("there is no field `{name}`; known: {}; or put quotation marks around it", known.join(", ")));
    };
    let operators = [
        (">=", Operator::GreaterOrEqual),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        ("<", Operator::Less),
        (":", Operator::Equal),
        ("=", Operator::Equal),
    ];
    let found = operators.iter().find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?)));
    let (operator, value) = found.ok_or("it has no value")?;
    let test = parse_value(field, operator, value)?;
    Ok(Term { holds, test })
}

fn parse_value(field: &Field, operator: Operator, value: &str) -> Result<Test, String> {
    let Field { name, example, value: kind, .. } = *field;
    if value.is_empty() {
        return Err(format!("a value is missing, such as in `{example}`"));
    }
    let is_number = matches!(kind, Value::Number(..) | Value::Eps);
    if operator != Operator::Equal && !is_number {
        return Err(format!("`{name}` is no number; write it with a colon, such as `{example}`"));
    }
    Ok(match kind {
        Value::Name(of, known) => {
            let plain = |text: &str| lowercase(text).replace(['-', '_'], "");
            let is = known().into_iter().find(|known| plain(known) == plain(value));
            let is = is.ok_or_else(|| format!("`{value}` is no {name}; known: {}", known().join(", ")))?;
            Test::Name { of, is }
        }
        Value::Text(of) => Test::Text { of, holds: lowercase(value) },
        Value::Tag => Test::Tag(lowercase(value)),
        Value::Number(of, tolerance) => {
            let text = value.trim_end_matches('%').replace('−', "-");
            let number = number(&text).ok_or_else(|| format!("`{value}` is no number, such as in `{example}`"))?;
            Test::Number { of, operator, number, tolerance }
        }
        Value::Eps => {
            let read = |norm| Eps::read(value, Some(norm));
            // In ℓ∞, `Eps::read` refuses `1`. A query means 1/255, since no run uses the whole pixel range as
            // radius.
            let linf = if value == "1" { Ok(Eps::of_255(1.0)) } else { read(Norm::Linf) };
            let [linf, l2] = [linf.map_err(|error| error.to_string())?, read(Norm::L2).map_err(|error| error.to_string())?];
            Test::Eps { operator, linf: linf.fraction(), l2: l2.fraction() }
        }
    })
}

fn best(run: &RunRow) -> Option<&crate::api::EpochSummary> {
    run.best.as_ref()
}

fn last(run: &RunRow) -> Option<&crate::api::EpochSummary> {
    run.last.as_ref()
}

fn percent(fraction: Option<f64>) -> Option<f64> {
    fraction.map(|fraction| fraction * 100.0)
}

/// CAS of the best checkpoint, or of the matrix measured by the run.
pub fn cas(run: &RunRow) -> Option<f64> {
    run.best.as_ref().and_then(|epoch| epoch.cas).or(run.cas)
}

fn ids<T: Copy>(all: &[T], id: fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| id(*one)).collect()
}

/// Such as `a, b or c`.
fn alternatives(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EpochSummary, Run, RunSummary};
    use crate::fixtures;
    use crate::preset;

    fn run() -> RunRow {
        let epoch = |epoch, robust, cas| EpochSummary {
            epoch,
            clean_accuracy: Some(0.8),
            robust_accuracy: Some(robust),
            cas: Some(cas),
            signs: Vec::new(),
        };
        let config = preset::all().into_iter().find(|preset| preset.id == "cifar10").unwrap().config;
        let summary =
            RunSummary { epochs: 200, best: Some(epoch(108, 0.478, 25.6)), last: Some(epoch(200, 0.425, 9.0)), ..RunSummary::default() };
        let run = Run {
            title: "The paper's Run".into(),
            state: RunState::Failed,
            config,
            tags: vec!["Paper".into(), "two words".into()],
            notes: "Learning rate too high".into(),
            summary,
            ..fixtures::run("at-cifar10-7f3a")
        };
        RunRow { sweep: Some("radius-00ff".parse().unwrap()), ..RunRow::of(run, "cuda:0".into(), 1) }
    }

    #[test]
    fn the_help_lists_the_names_of_a_field() {
        let what = |name: &str| FIELDS.iter().find(|field| field.name == name).unwrap().what();
        assert_eq!(what("state"), "queued, running, paused, succeeded, failed or canceled");
        assert!(Method::ALL.iter().all(|method| what("method").contains(method.id())));
        assert_eq!(what("dataset"), "the data set");
        assert!(FIELDS.iter().all(|field| !field.what().contains('{')));
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let (query, errors) = Query::parse(text);
        assert_eq!(errors, [], "{text}");
        let run = run();
        assert_eq!(query.matches(&run, &words(&run)), expected, "{text}");
    }

    #[track_caller]
    fn refused(text: &str, part: &str) {
        let (query, errors) = Query::parse(text);
        assert!(query.is_empty(), "{query:?}");
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().contains(part), "{}", errors[0]);
    }

    #[test]
    fn words_are_looked_for_in_title_name_sweep_tags_and_notes() {
        for found in ["", "  ", "paper", "PAPER's run", "7f3a", "00ff", "two", "\"rate too\"", "-trades", "-\"rate high\""] {
            check(found, true);
        }
        for missed in ["trades", "paper trades", "\"rate high\"", "-paper"] {
            check(missed, false);
        }
    }

    #[test]
    fn fields_are_compared_as_what_they_are() {
        for found in [
            "state:failed",
            "kind:train method:pgd_at",
            "method:PGD-AT",
            "dataset:CIFAR-10",
            "model:preactresnet18",
            "eps:8",
            "eps=8/255",
            "eps:0.0314",
            "normcas:0.284",
            "normcas>0.28 normcas<0.29",
            "eps>=8 eps<9",
            "tag:paper",
            "tag:\"two words\"",
            "-tag:two",
            "sweep:radius",
            "device:cuda",
            "notes:\"too high\"",
            "best>45 best<=47.8",
            "best:47.8%",
            "last:42.5",
            "clean>79",
            "gap>5 gap<5.5",
            "cas>20 lastcas:9 deltacas<0",
            "epochs:200",
            "seed>=0",
        ] {
            check(found, true);
        }
        for missed in ["state:running", "-state:failed", "dataset:cifar100", "eps:4", "tag:two", "best>48", "gap<5", "cas<20", "epochs>200"]
        {
            check(missed, false);
        }
    }

    #[test]
    fn a_run_without_a_number_is_not_below_it() {
        let (query, _) = Query::parse("best<45");
        let run = RunRow { best: None, ..run() };
        assert!(!query.matches(&run, ""));
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_would_be() {
        refused("color:red", "`color:red`: there is no field `color`; known: state, kind");
        refused("state:done", "`done` is no state; known: queued, running, paused, succeeded, failed, canceled");
        refused("best>", "`best>`: a value is missing, such as in `best>45`");
        refused("best>high", "`high` is no number");
        refused("method>trades", "`method` is no number; write it with a colon, such as `method:trades`");
        refused("eps:wide", "`wide` is not a size");
    }

    #[test]
    fn the_terms_that_are_understood_hold_beside_those_that_are_not() {
        let (query, errors) = Query::parse("state:failed best>");
        assert_eq!(errors.len(), 1);
        let run = run();
        assert!(query.matches(&run, "") && !query.matches(&RunRow { state: RunState::Running, ..run }, ""));
    }

    #[test]
    fn every_example_is_a_query() {
        for field in FIELDS {
            assert_eq!(Query::parse(field.example).1, [], "{}", field.name);
        }
    }
}
