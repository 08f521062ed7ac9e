//! What the benchmark of the engine has measured: its table, and what is slower than in an earlier one.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The file that `bench/turns.py` writes.
#[derive(Debug, Deserialize)]
pub struct Results {
    date: String,
    machine: Machine,
    versions: Map<String, Value>,
    quick: bool,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Machine {
    processor: String,
    features: Vec<String>,
    threads: u32,
    device: String,
    clock: String,
}

#[derive(Debug, Deserialize)]
struct Case {
    case: String,
    contenders: Vec<Contender>,
}

/// A program with its measurements. All of a case have as many, in the same turns.
#[derive(Debug, Deserialize)]
struct Contender {
    name: String,
    seconds: Vec<f64>,
    /// Of the last repetition; `None` where nothing is classified.
    loss: Option<f64>,
    accuracy: Option<f64>,
    memory_bytes: Option<u64>,
}

const ENGINE: &str = "engine";
/// The peer that later measurements are compared by, because it does not change.
const PUBLISHED: &str = "published";

impl Results {
    /// Returns a table in Markdown: for each case and contender the median, the range, and how many times as long it
    /// takes as the engine.
    pub fn table(&self) -> String {
        let Machine { processor, features, threads, device, clock } = &self.machine;
        let versions: Vec<String> = self.versions.iter().map(|(name, value)| format!("{name} {}", value.as_str().unwrap_or("?"))).collect();
        let mut lines = vec![
            format!(
                "{}; {processor} ({}), {device}, threads: {threads}, {clock} time; {}",
                self.date,
                features.join(", "),
                versions.join(", ")
            ),
            String::new(),
        ];
        if self.quick {
            lines.push("Tiny sizes: nothing is measured.\n".to_owned());
        }
        lines.push("| case | | median | range | engine is | loss | accuracy | memory |".to_owned());
        lines.push("|---|---|---|---|---|---|---|---|".to_owned());
        for Case { case, contenders } in &self.cases {
            let engine = contenders.iter().find(|contender| contender.name == ENGINE);
            for contender in contenders {
                let Contender { name, seconds, loss, accuracy, memory_bytes } = contender;
                let (low, high) = (quantile(seconds, 0.0), quantile(seconds, 1.0));
                let factor = match engine {
                    Some(engine) if name != ENGINE => format!("{:.2}×", median(&ratios(contender, engine))),
                    _ => String::new(),
                };
                let loss = loss.map(|loss| format!("{loss:.4}")).unwrap_or_default();
                let accuracy = accuracy.map(|accuracy| format!("{:.1} %", 100.0 * accuracy)).unwrap_or_default();
                let memory = memory_bytes.map(|bytes| format!("{:.1} GB", bytes as f64 / 1e9)).unwrap_or_default();
                lines.push(format!(
                    "| {} | {name} | {} | {} to {} | {factor} | {loss} | {accuracy} | {memory} |",
                    if name == ENGINE { case } else { "" },
                    duration(median(seconds)),
                    duration(low),
                    duration(high)
                ));
            }
        }
        lines.join("\n")
    }

    /// Returns a sentence for each case in which the engine is slower than in `before` by more than the spread.
    ///
    /// Compares how long the engine takes beside the published loop in the same turn, so that another load of the
    /// machine is no slow-down. Without that peer, compares seconds.
    pub fn slower_than(&self, before: &Results) -> Vec<String> {
        let slower = |now: &Case| {
            let before = before.cases.iter().find(|case| case.case == now.case)?;
            let both = [before, now].map(|case| (case.find(ENGINE), case.find(PUBLISHED)));
            let [before, after] = match both {
                [(Some(engine), Some(peer)), (Some(engine_now), Some(peer_now))] => [ratios(engine, peer), ratios(engine_now, peer_now)],
                [(Some(engine), _), (Some(engine_now), _)] => [engine.seconds.clone(), engine_now.seconds.clone()],
                _ => return None,
            };
            let more = median(&after) / median(&before) - 1.0;
            let spread = spread(&before).max(spread(&after));
            (more > spread).then(|| format!("{}: by {:.0} % (the spread is {:.0} %)", now.case, 100.0 * more, 100.0 * spread))
        };
        self.cases.iter().filter_map(slower).collect()
    }
}

impl Case {
    fn find(&self, name: &str) -> Option<&Contender> {
        self.contenders.iter().find(|contender| contender.name == name)
    }
}

/// Returns how long `of` took as a multiple of `to`, turn by turn.
fn ratios(of: &Contender, to: &Contender) -> Vec<f64> {
    of.seconds.iter().zip(&to.seconds).map(|(of, to)| of / to).collect()
}

/// Returns the distance of the quartiles as a fraction of the median.
fn spread(values: &[f64]) -> f64 {
    (quantile(values, 0.75) - quantile(values, 0.25)) / median(values)
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns a quantile with linear interpolation, as numpy does; NaN if there are no values.
fn quantile(values: &[f64], fraction: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = fraction * last as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * position.fract()
}

fn duration(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", 1e3 * seconds) } else { format!("{seconds:.2} s") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOISE: [f64; 5] = [1.0, 1.03, 0.98, 1.01, 0.99];

    /// Makes results in which a machine that is `load` times as slow ran the engine, which takes `engine` times as
    /// long as before.
    fn results(engine: f64, load: f64, peers: &[&str]) -> Results {
        let contender = |name: &str, base: f64, noise: [f64; 5]| {
            let seconds = noise.map(|noise| base * load * noise);
            json!({ "name": name, "seconds": seconds, "loss": 2.3, "accuracy": 0.25, "memory_bytes": 500_000_000 })
        };
        let mut contenders = vec![contender(ENGINE, 0.05 * engine, NOISE)];
        contenders.extend(peers.iter().map(|peer| contender(peer, 0.15, [1.02, 1.0, 0.99, 0.98, 1.01])));
        let file = json!({
            "date": "2026-01-01",
            "machine": { "processor": "A processor", "features": ["avx2"], "threads": 2, "device": "cpu", "clock": "wall" },
            "versions": { "engine": "0.1.0", "torch": "2.11.0" },
            "quick": false,
            "cases": [{ "case": "demo/step", "contenders": contenders }],
        });
        serde_json::from_value(file).unwrap()
    }

    #[track_caller]
    fn check(now: &Results, expected: &[&str]) {
        for peers in [&[PUBLISHED][..], &[]] {
            assert_eq!(now.slower_than(&results(1.0, 1.0, peers)), expected, "{peers:?}");
        }
    }

    #[test]
    fn a_slow_down_of_a_fifth_is_seen() {
        let now = results(1.2, 1.0, &[PUBLISHED]).slower_than(&results(1.0, 1.0, &[PUBLISHED]));
        assert_eq!(now, ["demo/step: by 20 % (the spread is 5 %)"]);
        check(&results(1.2, 1.0, &[]), &["demo/step: by 20 % (the spread is 2 %)"]);
    }

    #[test]
    fn the_same_speed_and_a_faster_engine_are_no_slow_down() {
        check(&results(1.0, 1.0, &[]), &[]);
        check(&results(0.8, 1.0, &[]), &[]);
        check(&results(1.01, 1.0, &[]), &[]);
    }

    #[test]
    fn a_busier_machine_is_no_slow_down_of_the_engine() {
        let (before, now) = (results(1.0, 1.0, &[PUBLISHED]), results(1.0, 1.5, &[PUBLISHED]));
        assert_eq!(now.slower_than(&before), Vec::<String>::new());
        assert_eq!(results(1.2, 1.5, &[PUBLISHED]).slower_than(&before).len(), 1);
    }

    #[test]
    fn the_table_says_how_many_times_as_fast_the_engine_is() {
        let table = results(1.0, 1.0, &[PUBLISHED, "tuned"]).table();
        let rows: Vec<&str> = table.lines().skip(4).collect();
        assert_eq!(
            rows,
            [
                "| demo/step | engine | 50.0 ms | 49.0 ms to 51.5 ms |  | 2.3000 | 25.0 % | 0.5 GB |",
                "|  | published | 150.0 ms | 147.0 ms to 153.0 ms | 3.03× | 2.3000 | 25.0 % | 0.5 GB |",
                "|  | tuned | 150.0 ms | 147.0 ms to 153.0 ms | 3.03× | 2.3000 | 25.0 % | 0.5 GB |",
            ]
        );
    }
}
