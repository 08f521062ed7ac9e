//! Printing, forced colors, long names, and the first screen of a page.

use anyhow::Result;
use serde_json::{Value, json};
use tests::{App, Browser, small_run, until, write_pictures};

/// Brightness of a corner of each canvas, from 0 to 255; canvases with a transparent corner are left out.
const CORNERS: &str = "
    return [...document.querySelectorAll('main canvas')].filter(canvas => canvas.width > 100).map(canvas => {
        const [red, green, blue, opacity] = canvas.getContext('2d').getImageData(2, 2, 1, 1).data;
        return opacity === 0 ? null : (red + green + blue) / 3;
    }).filter(light => light !== null);";

#[tokio::test]
async fn pages_print_light_where_the_screen_is_dark_and_figures_stay_whole() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?.id;
    browser.prefers("dark").await?;
    browser.goto(&app.url(&format!("/runs/{run}"))).await?;
    browser.find("[role=application]").await?;
    let corners = async || -> Result<Vec<f64>> { Ok(serde_json::from_value(browser.script(CORNERS).await?)?) };
    until("the charts are dark", async || {
        let corners = corners().await?;
        Ok((!corners.is_empty() && corners.iter().all(|light| *light < 100.0)).then_some(()))
    })
    .await?;

    // Like the browser's own print command: the event, after which the page must be redrawn before printing
    // goes on.
    browser.script("dispatchEvent(new Event('beforeprint'))").await?;
    until("the charts are light", async || {
        let corners = corners().await?;
        Ok((!corners.is_empty() && corners.iter().all(|light| *light > 200.0)).then_some(()))
    })
    .await?;
    browser.script("dispatchEvent(new Event('afterprint'))").await?;
    until("the charts are dark again", async || Ok(corners().await?.iter().all(|light| *light < 100.0).then_some(()))).await?;

    browser.script("document.documentElement.dataset.theme = 'dark'").await?;
    browser.prints().await?;
    let ground = browser.script("return getComputedStyle(document.documentElement).backgroundColor").await?;
    assert_eq!(ground, "rgb(245, 246, 248)", "the ground is that of the light theme");
    until("the charts are light", async || Ok(corners().await?.iter().all(|light| *light > 200.0).then_some(()))).await?;
    let split = "
        return [...document.querySelectorAll('.heatmap, .curves-plot, .class-bars, .figures')]
            .filter(figure => getComputedStyle(figure).breakInside !== 'avoid').length;";
    assert_eq!(browser.script(split).await?, 0, "no figure is on two pages");
    let shown = browser
        .script(
            "return [...document.querySelectorAll('header.top, .actions, .lens-row')].filter(element => element.checkVisibility()).length",
        )
        .await?;
    assert_eq!(shown, 0, "what one presses is of no use on paper");
    Ok(())
}

/// The style properties that show the state of an element.
async fn look(browser: &Browser, selector: &str) -> Result<Value> {
    let script = format!(
        "const style = getComputedStyle(document.querySelector(`{selector}`));
         return ['backgroundColor', 'color', 'borderTopColor', 'borderBottomColor', 'outlineStyle', 'outlineColor'].map(name => style[name]);"
    );
    browser.script(&script).await
}

#[tokio::test]
async fn with_forced_colors_what_is_current_or_pressed_differs_from_the_rest() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?.id;
    browser.forces_colors().await?;
    let differ = async |page: &str, on: &str, off: &str| -> Result<()> {
        browser.goto(&app.url(page)).await?;
        browser.settles().await?;
        browser.find(on).await?;
        browser.find(off).await?;
        assert_ne!(look(&browser, on).await?, look(&browser, off).await?, "{on} and {off} of {page}");
        Ok(())
    };
    differ("/", ".nav a[aria-current]", ".nav a:not([aria-current])").await?;
    differ("/new?kind=evaluate", ".tab[aria-current]", ".tab:not([aria-current])").await?;
    differ("/new?preset=demo", ".nav a[aria-current]", ".nav a:not([aria-current])").await?;
    differ(&format!("/runs/{run}"), ".segment:has(:checked)", ".segment:not(:has(:checked))").await?;
    differ("/?q=state%3Asucceeded", ".state-switch[aria-pressed=true]", ".palette-button").await?;
    // If all entries of the menu looked the same, there would be a single border color.
    browser.goto(&app.url("/")).await?;
    browser.settles().await?;
    let lines = "return new Set([...document.querySelectorAll('.nav a')].map(link => getComputedStyle(link).borderBottomColor)).size";
    assert_eq!(browser.script(lines).await?, 2);
    browser.find(".bar, .spark").await?;
    browser.is_quiet().await?;
    Ok(())
}

#[tokio::test]
async fn the_matrices_begin_on_the_first_screen() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(4)).await?.id;
    browser.is_as_large_as(1440, 900).await?;
    for page in [format!("/runs/{run}"), format!("/compare?a={run}.e2.adversarial&b={run}.e4.adversarial")] {
        browser.goto(&app.url(&page)).await?;
        browser.find("[role=application]").await?;
        browser.settles().await?;
        let shown = "
            const box = document.querySelector('[role=application]').getBoundingClientRect();
            return (Math.min(box.bottom, innerHeight) - box.top) / box.height;";
        until(&format!("most of a matrix of {page} is in sight"), async || {
            Ok(browser.script(shown).await?.as_f64().filter(|shown| *shown > 0.75))
        })
        .await?;
    }
    Ok(())
}

/// Opens all disclosures. Returns the tables whose first number in a row is out of sight, and `the page` if
/// it scrolls sideways.
const OUT_OF_SIGHT: &str = "
    document.querySelectorAll('details').forEach(details => details.open = true);
    const out = [...document.querySelectorAll('.table-box')].flatMap(box => {
        const number = box.querySelector('tbody tr td.number, tbody tr td.class-cell');
        const beyond = number && number.getBoundingClientRect().right > box.getBoundingClientRect().right + 1;
        return beyond ? [box.ariaLabel] : [];
    });
    if (!document.body.textContent.includes(NAME)) out.push('no class yet');
    return document.documentElement.scrollWidth > innerWidth ? [...out, 'the page'] : out;";

#[tokio::test]
async fn long_names_of_classes_leave_the_numbers_in_sight() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let folder = tempfile::tempdir()?;
    let long = [
        "antidisestablishmentarianism-of-a-class-whose-name-never-seems-to-end",
        "a class of many short words that are written one after the other",
    ];
    for part in ["train", "val"] {
        for (class, gray) in long.iter().zip([40, 200]) {
            write_pictures(&folder.path().join(part).join(class), gray)?;
        }
    }
    let mut config = small_run(2);
    config["data"] = json!({"dataset": "image_folder", "image_size": 8, "path": folder.path()});
    let run = app.succeeded(&config).await?.id;
    let evaluation = json!({"kind": "evaluate", "device": "cpu", "checkpoint": format!("{run}.e2"), "autoattack": ["apgd_ce"]});
    let evaluation = app.succeeded(&evaluation).await?.id;
    let pages = [
        format!("/runs/{run}"),
        format!("/runs/{evaluation}"),
        format!("/attributions/{run}.e2.adversarial?cell=0,1"),
        format!("/compare?a={run}.e2.adversarial&b={run}.e2.clean&cell=0,1"),
    ];
    for width in [1440, 390, 320] {
        browser.is_as_large_as(width, 900).await?;
        for page in &pages {
            browser.goto(&app.url(page)).await?;
            browser.settles().await?;
            until(&format!("{page} has its numbers in sight at {width}"), async || {
                let script = OUT_OF_SIGHT.replace("NAME", &json!(long[1]).to_string());
                Ok((browser.script(&script).await? == json!([])).then_some(()))
            })
            .await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_run_that_failed_does_not_speak_as_if_it_went_on() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let folder = tempfile::tempdir()?;
    for (class, gray) in [("dark", 40), ("light", 200)] {
        for part in ["train", "val"] {
            write_pictures(&folder.path().join(part).join(class), gray)?;
        }
    }
    // The run waits in the queue while its training images are removed, so that the worker finds none.
    let running = app.submit(&small_run(10_000)).await?.id;
    let mut config = small_run(2);
    config["data"] = json!({"dataset": "image_folder", "image_size": 8, "path": folder.path()});
    let run = app.submit(&config).await?.id;
    std::fs::remove_dir_all(folder.path().join("train"))?;
    app.ask("/api/run-actions", &json!({"action": "cancel", "ids": [running]})).await?;
    app.finished(&run).await?;
    browser.goto(&app.url(&format!("/runs/{run}"))).await?;
    browser.sees("This run failed").await?;
    browser.sees("None was kept.").await?;
    let text = browser.text().await?;
    assert!(!text.contains(" yet"), "{text}");
    let curves = browser.find(".curves-plot").await?.attr("aria-label").await?.unwrap_or_default();
    assert!(curves.contains("no robust test accuracy.") && !curves.contains("yet"), "{curves}");
    Ok(())
}
