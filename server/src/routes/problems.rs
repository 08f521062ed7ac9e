//! What the `type` of a problem leads to: a few lines of Markdown.

use axum::extract::Path;
use axum::http::header::{CONTENT_TYPE, HeaderName};

use crate::problem::{self, ApiError, Kind};

type Markdown = ([(HeaderName, &'static str); 1], String);

pub async fn list_problems() -> Markdown {
    markdown(problem::catalogue())
}

pub async fn get_problem(Path(name): Path<String>) -> Result<Markdown, ApiError> {
    let kind = Kind::named(&name).ok_or_else(|| ApiError::new(Kind::RouteNotFound, format!("there is no kind of problem `{name}`")))?;
    Ok(markdown(kind.to_string()))
}

fn markdown(text: String) -> Markdown {
    ([(CONTENT_TYPE, "text/markdown; charset=utf-8")], text)
}
