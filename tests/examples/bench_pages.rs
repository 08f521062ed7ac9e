//! Measures how fast the application responds in a browser. `cargo xtask bench pages` builds and runs it.
//!
//! It acts like a person (opens, points, drags, scrolls) through the Chrome DevTools Protocol. For each
//! action it reports how long the main thread ran script (with WebAssembly and calls made from it), and how
//! long it was busy in total, with layout, style and painting. It asserts nothing, because machines differ.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::{App, Browser, small_run, until, write_pictures, write_runs};

const CLASSES: u32 = 200;
const RUNS: u32 = 10_000;
const STEPS: usize = 60;
/// Number of checkpoints to scrub through, one per epoch.
const SAVED: u32 = 10;

#[tokio::main]
async fn main() -> Result<()> {
    let pictures = tempfile::tempdir()?;
    for class in 0..CLASSES {
        for part in ["train", "val"] {
            write_pictures(&pictures.path().join(part).join(format!("class {class:03}")), (class % 250) as u8)?;
        }
    }
    eprintln!("training on {CLASSES} classes");
    let app = App::start().await?;
    let run = app.succeeded(&many_classes(pictures.path())?).await?.id;
    let browser = Browser::open().await?;
    browser.devtools("Performance.enable", json!({"timeDomain": "threadTicks"})).await?;
    let mut rows = vec![transfer(&browser, &app).await?];

    eprintln!("opening matrices");
    let matrices: Vec<String> = (1..=4).map(|epoch| format!("/attributions/{run}.e{epoch}.adversarial")).collect();
    let mut opened = Vec::new();
    for matrix in matrices.iter().chain(&matrices) {
        opened.push(opening(&browser, &app, matrix).await?);
    }
    rows.push(Row::of("200×200 matrix: asked for, read, page built, drawn", f64::INFINITY, opened));
    rows.push(Row::of("200×200 matrix: every layer drawn, as in another theme", 50.0, drawing(&browser).await?));

    eprintln!("pointing at cells");
    rows.push(Row::of("hover step over a 200×200 matrix", 8.0, hovering(&browser).await?));
    rows.push(Row::of("arrow key over a 200×200 matrix", 8.0, keys(&browser, "[role=application]", "ArrowRight", STEPS).await?));

    eprintln!("dragging through checkpoints");
    browser.goto(&app.url(&format!("/runs/{run}"))).await?;
    browser.settles().await?;
    rest(&browser).await?;
    let scrubber = "input[type=range][aria-label=Checkpoint]";
    if browser.script(&format!("return document.querySelector('{scrubber}') !== null")).await? == json!(true) {
        keys(&browser, scrubber, "Home", 1).await?;
        rows.push(Row::of(
            "scrub step, checkpoints seen for the first time",
            8.0,
            keys(&browser, scrubber, "ArrowRight", SAVED as usize - 1).await?,
        ));
        keys(&browser, scrubber, "Home", 1).await?;
        rows.push(Row::of("scrub step, checkpoints seen before", 8.0, keys(&browser, scrubber, "ArrowRight", SAVED as usize - 1).await?));
    } else {
        eprintln!("the page of a run has no scrubber");
    }

    eprintln!("scrolling through {RUNS} runs");
    let app = App::start_with(|data| write_runs(data, RUNS)).await?;
    rows.extend(scrolling(&browser, &app).await?);

    println!("{:<56} {:>16} {:>16} {:>10}", "median to largest", "script", "main thread", "goal");
    for row in rows {
        println!("{row}");
    }
    Ok(())
}

/// How long the main thread of a page was busy, in milliseconds.
#[derive(Clone, Copy)]
struct Busy {
    script: f64,
    all: f64,
}

impl std::ops::Sub for Busy {
    type Output = Busy;

    fn sub(self, other: Busy) -> Busy {
        Busy { script: self.script - other.script, all: self.all - other.all }
    }
}

/// A row of the table.
struct Row {
    what: String,
    unit: &'static str,
    /// Median and largest value.
    script: (f64, f64),
    all: (f64, f64),
    /// Goal for the script time; infinite if there is none.
    goal: f64,
}

impl Row {
    /// Summarizes measurements in milliseconds.
    fn of(what: &str, goal: f64, values: Vec<Busy>) -> Self {
        let summed_up = |part: fn(&Busy) -> f64| {
            let mut values: Vec<f64> = values.iter().map(part).collect();
            values.sort_by(f64::total_cmp);
            let largest = values.last().copied().unwrap_or(f64::NAN);
            (values.get(values.len() / 2).copied().unwrap_or(f64::NAN), largest)
        };
        Row { what: what.to_owned(), unit: "ms", script: summed_up(|busy| busy.script), all: summed_up(|busy| busy.all), goal }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { what, unit, script, all, goal } = self;
        let shown = |(median, largest): &(f64, f64)| format!("{median:.1} to {largest:.1}");
        write!(
            f,
            "{what:<56} {:>16} {:>16} {:>10}",
            shown(script),
            shown(all),
            if goal.is_finite() { format!("{goal} {unit}") } else { String::new() }
        )
    }
}

/// The configuration of a run that takes a few seconds and has a matrix for every epoch.
fn many_classes(folder: &Path) -> Result<Value> {
    let mut config = small_run(SAVED);
    config["name"] = json!("200 classes");
    config["data"] = json!({"dataset": "image_folder", "path": folder.to_str().context("the folder's name is UTF-8")?, "image_size": 8});
    config["training"]["batch_size"] = json!(100);
    config["checkpoints"] = json!({"every": 1});
    Ok(config)
}

/// How long the page's main thread has been busy so far.
async fn busy(browser: &Browser) -> Result<Busy> {
    let metrics = browser.devtools("Performance.getMetrics", json!({})).await?;
    let milliseconds = |name: &str| {
        let metrics = metrics["metrics"].as_array().into_iter().flatten();
        metrics.filter(|metric| metric["name"] == name).filter_map(|metric| metric["value"].as_f64()).sum::<f64>() * 1000.0
    };
    Ok(Busy { script: milliseconds("ScriptDuration"), all: milliseconds("TaskDuration") })
}

/// Waits until the page is idle, and returns how long it has been busy so far.
async fn rest(browser: &Browser) -> Result<Busy> {
    // The measurement itself costs a fraction of this.
    const IDLE_MS: f64 = 1.0;
    let mut before = busy(browser).await?;
    until("the page rests", async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let former = std::mem::replace(&mut before, busy(browser).await?);
        Ok(((before - former).all < IDLE_MS).then_some(before))
    })
    .await
}

/// How long one action keeps the page busy.
async fn cost(browser: &Browser, action: impl AsyncFnOnce() -> Result<()>) -> Result<Busy> {
    let before = busy(browser).await?;
    action().await?;
    // Effects run in the next frames.
    tokio::time::sleep(Duration::from_millis(80)).await;
    Ok(busy(browser).await? - before)
}

/// Redraws the matrix of the page several times, in dark and light theme alternately.
async fn drawing(browser: &Browser) -> Result<Vec<Busy>> {
    let mut costs = Vec::new();
    for theme in ["dark", "light"].into_iter().cycle().take(10) {
        rest(browser).await?;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        costs.push(cost(browser, async || browser.devtools("Emulation.setEmulatedMedia", features).await.map(drop)).await?);
    }
    Ok(costs)
}

/// Bytes that a browser with an empty cache downloads for the application.
async fn transfer(browser: &Browser, app: &App) -> Result<Row> {
    browser.goto(&app.url("/")).await?;
    browser.settles().await?;
    let bytes = browser
        .script(
            "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                .filter(entry => !new URL(entry.name).pathname.startsWith('/api/'))
                .reduce((sum, entry) => sum + entry.encodedBodySize, 0)",
        )
        .await?;
    let kilobytes = bytes.as_f64().context("sizes are numbers")? / 1000.0;
    Ok(Row {
        what: "transfer of the whole application".into(),
        unit: "kB",
        script: (kilobytes, kilobytes),
        all: (kilobytes, kilobytes),
        goal: 900.0,
    })
}

/// Opens a page by a link, as from another page of the application.
async fn opening(browser: &Browser, app: &App, path: &str) -> Result<Busy> {
    browser.goto(&app.url("/data")).await?;
    browser.settles().await?;
    let before = rest(browser).await?;
    let click =
        "const link = document.createElement('a'); link.href = arguments[0]; document.body.append(link); link.click(); link.remove();";
    browser.script(&click.replace("arguments[0]", &json!(path).to_string())).await?;
    browser.find("[role=application] canvas").await?;
    Ok(rest(browser).await? - before)
}

/// Moves the pointer over the heatmap, from cell to cell.
async fn hovering(browser: &Browser) -> Result<Vec<Busy>> {
    let corner = browser
        .script(
            "const heatmap = document.querySelector('[role=application]'); heatmap.scrollIntoView();
             const { left, top, width, height } = heatmap.getBoundingClientRect(); return [left, top, width, Math.min(height, innerHeight - top)]",
        )
        .await?;
    let corner: Vec<f64> = serde_json::from_value(corner)?;
    let [left, top, width, height] = corner[..] else { anyhow::bail!("{corner:?} is no rectangle") };
    rest(browser).await?;
    let mut costs = Vec::new();
    for step in 0..STEPS {
        let part = 0.3 + 0.5 * step as f64 / STEPS as f64;
        let place = json!({"type": "mouseMoved", "x": left + width * part, "y": top + height * part});
        costs.push(cost(browser, async || browser.devtools("Input.dispatchMouseEvent", place).await.map(drop)).await?);
    }
    Ok(costs)
}

/// Presses a key several times on an element.
async fn keys(browser: &Browser, selector: &str, key: &str, times: usize) -> Result<Vec<Busy>> {
    browser.script(&format!("document.querySelector('{selector}').focus()")).await?;
    rest(browser).await?;
    let code = match key {
        "Home" => 36,
        _ => 39,
    };
    let mut costs = Vec::new();
    for _ in 0..times {
        let press = json!({"type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code});
        costs.push(cost(browser, async || browser.devtools("Input.dispatchKeyEvent", press).await.map(drop)).await?);
    }
    Ok(costs)
}

/// Scrolls the table of runs with the wheel. The longest task is what a person would notice.
async fn scrolling(browser: &Browser, app: &App) -> Result<Vec<Row>> {
    browser.goto(&app.url("/")).await?;
    browser.settles().await?;
    browser.find("table").await?;
    rest(browser).await?;
    browser
        .script("window.longTasks = []; new PerformanceObserver(list => window.longTasks.push(...list.getEntries())).observe({ type: 'longtask' })")
        .await?;
    let mut costs = Vec::new();
    for _ in 0..STEPS {
        let wheel = json!({"type": "mouseWheel", "x": 700, "y": 600, "deltaX": 0, "deltaY": 900});
        costs.push(cost(browser, async || browser.devtools("Input.dispatchMouseEvent", wheel).await.map(drop)).await?);
    }
    let longest = browser.script("return window.longTasks.map(task => task.duration)").await?;
    let longest: Vec<f64> = serde_json::from_value(longest)?;
    let scrolled = browser.script("return Math.max(...[...document.querySelectorAll('*')].map(element => element.scrollTop))").await?;
    eprintln!("scrolled by {scrolled} px; tasks over 50 ms: {longest:?}");
    let longest = longest.into_iter().fold(0.0, f64::max);
    Ok(vec![
        Row::of(&format!("turn of the wheel over a table of {RUNS} runs"), 50.0, costs),
        Row::of("longest task over 50 ms while scrolling, 0 for none", 50.0, vec![Busy { script: longest, all: longest }]),
    ])
}
