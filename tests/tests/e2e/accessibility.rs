//! Checks every page by the rules of axe-core: light, dark, and on a phone.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use shared::api::{NewLink, Sweep};
use tests::{App, Browser, small_run};
use thirtyfour::Key;

/// Width of a phone in CSS pixels.
const PHONE: u32 = 390;
/// Width of a window of 1280 pixels zoomed to 400 %. WCAG 1.4.10 requires that no page scrolls sideways then.
const NARROWEST: u32 = 320;

#[tokio::test]
async fn no_page_breaks_a_rule_of_accessibility() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/")).await?;
    browser.sees("Start the demo").await?;
    browser.is_accessible().await?;

    let run = app.succeeded(&small_run(4)).await?.id;
    let checkpoint = |epoch: u32| format!("{run}.e{epoch}");
    let evaluation = json!({"kind": "evaluate", "device": "cpu", "checkpoint": checkpoint(4), "samples": 10, "autoattack": ["apgd_ce"]});
    let evaluation = app.succeeded(&evaluation).await?.id;
    let curve = json!({"kind": "eps_curve", "device": "cpu", "checkpoint": checkpoint(4), "samples": 10, "steps": 2, "bootstrap": 20});
    let curve = app.succeeded(&curve).await?.id;
    let transfer = json!({"kind": "transfer", "device": "cpu", "checkpoints": [checkpoint(2), checkpoint(4)], "samples": 10});
    let transfer = app.succeeded(&transfer).await?.id;
    let saliency = json!({"kind": "saliency", "device": "cpu", "checkpoints": [checkpoint(2), checkpoint(4)]});
    let saliency = app.succeeded(&saliency).await?.id;
    let axes = json!([{"field": "seed", "values": [1, 2]}]);
    let sweep: Sweep = app.create("/api/sweeps", &json!({"config": small_run(2), "axes": axes})).await?;
    for run in &sweep.runs {
        app.finished(&run.id).await?;
    }
    let deleted = app.succeeded(&small_run(2)).await?.id;
    app.send(Method::DELETE, &format!("/api/runs/{deleted}")).await?;
    let comparison = format!("/compare?a={run}.e2.adversarial&b={run}.e4.adversarial&cell=3,5");
    let share: NewLink = app.create("/api/shares", &json!({"view": comparison})).await?;

    let pages = [
        "/".to_owned(),
        "/new".to_owned(),
        "/new?preset=cifar10".to_owned(),
        "/new?kind=attribute".to_owned(),
        "/new?kind=evaluate".to_owned(),
        "/new?kind=eps_curve".to_owned(),
        "/new?kind=saliency".to_owned(),
        "/new?kind=pair".to_owned(),
        "/new?kind=transfer".to_owned(),
        "/new?kind=import".to_owned(),
        format!("/runs/{run}"),
        format!("/runs/{evaluation}"),
        format!("/runs/{curve}"),
        format!("/runs/{saliency}"),
        format!("/runs/{transfer}"),
        "/sweeps".to_owned(),
        format!("/sweeps/{}", sweep.id),
        "/queue".to_owned(),
        "/system".to_owned(),
        format!("/attributions/{run}.e4.adversarial?cell=3,5"),
        comparison.clone(),
        "/data".to_owned(),
        "/theory".to_owned(),
        "/shares".to_owned(),
        "/trash".to_owned(),
        format!("/s/{}", share.token),
        "/compare".to_owned(),
        // Error pages are pages too.
        "/runs/at-digits-0000".to_owned(),
        format!("/runs/{deleted}"),
        "/sweeps/none-0000".to_owned(),
        format!("/attributions/{run}.e3.adversarial"),
        format!("/compare?a={run}.e2.adversarial&b={run}.e3.adversarial"),
        "/s/unknown".to_owned(),
        "/nowhere".to_owned(),
    ];
    let forgotten = routes_without_page(&pages);
    anyhow::ensure!(forgotten.is_empty(), "no page of these routes is looked at: {forgotten:?}");
    // Collect all violations, so that one run of the test reports them all.
    let mut broken = Vec::new();
    for (scheme, width) in [("light", None), ("dark", None), ("light", Some(PHONE)), ("light", Some(NARROWEST))] {
        browser.prefers(scheme).await?;
        if let Some(width) = width {
            browser.is_as_wide_as(width).await?;
        }
        for page in &pages {
            browser.goto(&app.url(page)).await?;
            browser.settles().await?;
            broken.extend(browser.is_accessible().await.err().map(|error| format!("{scheme}, {width:?}: {error}")));
            if browser.script("return document.documentElement.scrollWidth > innerWidth").await? == json!(true) {
                broken.push(format!("{page} scrolls sideways at {width:?}"));
            }
        }
        // Dialogs on top of a page.
        browser.goto(&app.url(&comparison)).await?;
        browser.click("Share").await?;
        browser.sees("Works for").await?;
        broken.extend(browser.is_accessible().await.err().map(|error| format!("{scheme}, sharing: {error}")));
        browser.press(Key::Escape).await?;
        browser.press(Key::Control + "k").await?;
        browser.find("[role=listbox] > li").await?;
        broken.extend(browser.is_accessible().await.err().map(|error| format!("{scheme}, the palette: {error}")));
    }
    anyhow::ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

/// The routes of the application that none of `pages` is of.
fn routes_without_page(pages: &[String]) -> Vec<&'static str> {
    let routes = include_str!("../../../frontend/src/app.rs").split("path!(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let is_of = |route: &str, page: &str| {
        let (route, page) = (route.split('/'), page.split('?').next().unwrap_or_default().split('/'));
        route.clone().count() == page.clone().count() && route.zip(page).all(|(part, value)| part == value || part.starts_with(':'))
    };
    routes.filter(|route| !pages.iter().any(|page| is_of(route, page))).collect()
}
