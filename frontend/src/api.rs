//! Sends requests to the server. Paths are relative to the page's base; every failure is returned as a
//! [`Problem`].

use std::time::Duration;

use futures::future::try_join_all;
use gloo_net::http::{Request, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::api::{Attribution, path};
use shared::id::AttributionId;
use shared::problem::Problem;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, FormData, ProgressEvent, XmlHttpRequest};

pub async fn get<T: DeserializeOwned>(path: &str) -> Result<T, Problem> {
    parse(path, &get_text(path).await?)
}

/// Like [`get`], but gives up after `limit`.
pub async fn get_within<T: DeserializeOwned>(path: &str, limit: Duration) -> Result<T, Problem> {
    let signal = AbortSignal::timeout_with_u32(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
    let response = succeeded(accepted(Request::get(path).abort_signal(Some(&signal)).send().await)?).await?;
    parse(path, &body(path, &response).await?)
}

pub async fn get_text(path: &str) -> Result<String, Problem> {
    let response = succeeded(accepted(Request::get(path).send().await)?).await?;
    body(path, &response).await
}

/// The texts at several paths, asked for at once.
pub async fn get_texts(paths: &[String]) -> Result<Vec<String>, Problem> {
    try_join_all(paths.iter().map(|path| get_text(path))).await
}

/// Addresses of the two parts of an attribution: what is known of its run, and the matrix, which the browser
/// keeps.
pub fn attribution_paths(id: &AttributionId) -> Vec<String> {
    vec![path::attribution_context(id), format!("{}.json", path::attribution(id))]
}

/// Reads an attribution from its two parts.
pub fn parse_attribution(paths: &[String], bodies: &[String]) -> Result<Attribution, Problem> {
    Ok(Attribution { context: parse(&paths[0], &bodies[0])?, file: parse(&paths[1], &bodies[1])? })
}

pub async fn get_attribution(id: &AttributionId) -> Result<Attribution, Problem> {
    let paths = attribution_paths(id);
    parse_attribution(&paths, &get_texts(&paths).await?)
}

/// Returns a part of a text, and the values of two response headers as numbers (0 where a header is missing).
pub async fn get_part(path: &str, names: [&str; 2]) -> Result<(String, [u64; 2]), Problem> {
    let response = succeeded(accepted(Request::get(path).send().await)?).await?;
    let numbers = names.map(|name| response.headers().get(name).and_then(|value| value.parse().ok()).unwrap_or_default());
    Ok((body(path, &response).await?, numbers))
}

async fn body(path: &str, response: &Response) -> Result<String, Problem> {
    // Read bytes and convert them here: `Response::text` would first make a JavaScript string and copy it.
    let body = response.binary().await.map_err(|error| unreadable(path, &error.to_string()))?;
    String::from_utf8(body).map_err(|error| unreadable(path, &error.to_string()))
}

pub async fn post<T: DeserializeOwned>(path: &str, body: &impl Serialize) -> Result<T, Problem> {
    parse(path, &sent(path, Request::post(path), json!(body)).await?)
}

/// What is uploaded with a configuration.
#[derive(Clone, Copy)]
pub enum Sent<'a> {
    Files(&'a [web_sys::File]),
    /// Identifier of an upload that the server has kept.
    Kept(&'a str),
}

/// The name of a chosen file, after that of the folder that was chosen, if one was: `prn18/epoch_5.pth`.
pub fn name_in_folder(file: &web_sys::File) -> String {
    let path = js_sys::Reflect::get(file, &"webkitRelativePath".into()).ok().and_then(|path| path.as_string());
    path.filter(|path| !path.is_empty()).unwrap_or_else(|| file.name())
}

/// Posts a form with the configuration and files. Calls `progress` with the fraction sent so far.
pub async fn upload<T: DeserializeOwned>(path: &str, config: &str, sent: Sent<'_>, progress: impl Fn(f64) + 'static) -> Result<T, Problem> {
    let failed = |error: JsValue| unreachable(&format!("{error:?}"));
    let form = FormData::new().map_err(failed)?;
    form.append_with_str("config", config).map_err(failed)?;
    match sent {
        Sent::Files(files) => {
            for file in files {
                form.append_with_blob_and_filename("file", file, &name_in_folder(file)).map_err(failed)?;
            }
        }
        Sent::Kept(id) => form.append_with_str("upload", id).map_err(failed)?,
    }
    // Only `XMLHttpRequest` reports the progress of an upload; `fetch` does not.
    let request = XmlHttpRequest::new().map_err(failed)?;
    request.open("POST", path).map_err(failed)?;
    let on_progress = Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| {
        if event.length_computable() {
            progress(event.loaded() / event.total());
        }
    });
    request.upload().map_err(failed)?.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
    let ended = js_sys::Promise::new(&mut |resolve, _| request.set_onloadend(Some(&resolve)));
    request.send_with_opt_form_data(Some(&form)).map_err(failed)?;
    JsFuture::from(ended).await.map_err(failed)?;
    let (status, body) = (request.status().unwrap_or_default(), request.response_text().ok().flatten().unwrap_or_default());
    match status {
        0 => Err(unreachable("the upload broke off")),
        200..300 => parse(path, &body),
        _ => Err(problem(status, &request.status_text().unwrap_or_default(), &body)),
    }
}

pub async fn put<T: DeserializeOwned>(path: &str, body: &impl Serialize) -> Result<T, Problem> {
    parse(path, &sent(path, Request::put(path), json!(body)).await?)
}

pub async fn patch<T: DeserializeOwned>(path: &str, body: &impl Serialize) -> Result<T, Problem> {
    parse(path, &sent(path, Request::patch(path), json!(body)).await?)
}

/// Posts without a body and ignores the body of the response.
pub async fn post_empty(path: &str) -> Result<(), Problem> {
    succeeded(accepted(Request::post(path).send().await)?).await.map(drop)
}

pub async fn delete(path: &str) -> Result<(), Problem> {
    succeeded(accepted(Request::delete(path).send().await)?).await.map(drop)
}

fn accepted(answer: Result<Response, gloo_net::Error>) -> Result<Response, Problem> {
    answer.map_err(|error| unreachable(&error.to_string()))
}

/// Sends a body as JSON and returns the text of the response.
async fn sent(path: &str, request: RequestBuilder, body: Value) -> Result<String, Problem> {
    let request = request.header("content-type", "application/json").body(body.to_string());
    let request = request.map_err(|error| unreachable(&error.to_string()))?;
    let response = succeeded(accepted(request.send().await)?).await?;
    response.text().await.map_err(|error| unreadable(path, &error.to_string()))
}

/// Parses the body of a response. `path` is named in the problem if that fails.
pub fn parse<T: DeserializeOwned>(path: &str, body: &str) -> Result<T, Problem> {
    serde_json::from_str(body).map_err(|error| unreadable(path, &error.to_string()))
}

async fn succeeded(response: Response) -> Result<Response, Problem> {
    if response.ok() {
        return Ok(response);
    }
    let body = response.text().await.unwrap_or_default();
    Err(problem(response.status(), &response.status_text(), &body))
}

/// Reads the problem from a body. If the body is none (an error page of a proxy), makes one from the status.
fn problem(status: u16, status_text: &str, body: &str) -> Problem {
    let detail = || format!("the server answered {status} {status_text}").trim_end().to_owned();
    serde_json::from_str(body).unwrap_or_else(|_| Problem::unnamed(status, status_text, detail()))
}

fn unreachable(cause: &str) -> Problem {
    Problem::unnamed(0, "No answer", format!("the server does not answer ({cause})"))
}

fn unreadable(path: &str, cause: &str) -> Problem {
    Problem::unnamed(0, "Unexpected answer", format!("the answer of {path} cannot be read: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_taken_from_the_body() {
        let body = r#"{"type":"/problems/run-not-found","title":"Not Found","status":404,"detail":"no run `at-1`"}"#;
        assert_eq!(problem(404, "Not Found", body).detail, "no run `at-1`");
    }

    #[test]
    fn an_answer_that_is_no_problem_is_named_by_its_status() {
        let made = problem(502, "Bad Gateway", "<html>nginx</html>");
        assert_eq!((made.status, made.detail.as_str()), (502, "the server answered 502 Bad Gateway"));
        assert_eq!(problem(599, "", "").detail, "the server answered 599");
    }
}
