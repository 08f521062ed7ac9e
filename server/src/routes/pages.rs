//! Everything outside the API: the built frontend, one page for every address in it, and what a share link tells other programs.

use std::borrow::Cow;
use std::path::Path;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use percent_encoding::percent_decode_str;
use shared::api::{SharedView, path};
use shared::id::ShareToken;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::auth;
use crate::problem::{ApiError, Kind};
use crate::proxy::public_address;
use crate::routes::{session, shares};
use crate::sessions::Role;
use crate::shared_views;
use crate::state::{AppState, Settings};

/// What index.html holds for us to replace.
const BASE: &str = "<base href=\"/\">";
const HEAD: &str = "<!-- head -->";
/// Tells the page that there is a session to sign out from.
const SIGNED_IN: &str = "<meta name=\"crosslens-signed-in\" content=\"yes\">";

/// Tells the page that whoever opens it may change nothing.
const READ_ONLY: &str = "<meta name=\"crosslens-read-only\" content=\"yes\">";

/// Answers every address that no route answers: a file of the frontend, or its page.
pub async fn get_page(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    let path = request.uri().path().to_owned();
    if path == "/api" || path.starts_with("/api/") {
        return Err(ApiError::new(Kind::RouteNotFound, format!("the API has no route `{path}`")));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(method_not_allowed(request.method().clone(), request.uri().clone()).await);
    }
    // No file and no page has such a name, and the file system would take it for a mistake of ours.
    if percent_decode_str(&path).any(|byte| byte == 0) {
        return Err(ApiError::new(Kind::RouteNotFound, format!("there is nothing at `{path}`")));
    }
    let (parts, body) = request.into_parts();
    if has_token(&parts.uri)
        && let Some(response) = session::answer_page(&state, &parts.method, &parts.uri, &parts.headers).await
    {
        return Ok(response);
    }
    let request = Request::from_parts(parts, body);
    let Some(web) = state.settings.web.clone() else {
        return Err(ApiError::new(Kind::RouteNotFound, "this server serves only the API, because it was started without `--web`"));
    };
    if let Some(token) = path.strip_prefix("/s/") {
        return share_page(&state, &web, token, request.headers()).await;
    }
    let (parts, body) = request.into_parts();
    if path != "/" && path != "/index.html" {
        let files = ServeDir::new(&web).append_index_html_on_directories(false).precompressed_br().precompressed_gzip();
        let request = Request::from_parts(parts.clone(), body);
        let file = files.oneshot(request).await.map_err(ApiError::internal)?;
        if file.status() != StatusCode::NOT_FOUND {
            let mut file = file.map(Body::new);
            if is_immutable(&path) {
                file.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
            }
            return Ok(file);
        }
        if is_asset(&path) {
            return Err(ApiError::new(Kind::RouteNotFound, format!("the frontend has no file `{path}`")));
        }
    }
    if let Some(response) = session::answer_page(&state, &parts.method, &parts.uri, &parts.headers).await {
        return Ok(response);
    }
    let mut head = String::new();
    if !auth::sessions_of(&parts.headers, &state).is_empty() {
        head.push_str(SIGNED_IN);
    }
    if auth::credentials(&parts.headers, &state) == auth::Credentials::Right(Role::Reader) {
        head.push_str(READ_ONLY);
    }
    Ok(Html(index(&state.settings, &web, &head).await?).into_response())
}

/// Whether an address carries a token to sign in with.
fn has_token(uri: &Uri) -> bool {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).any(|(name, _)| name == "token")
}

/// Answers a method that a route does not know.
pub async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::new(Kind::MethodNotAllowed, format!("`{}` cannot be asked for with {method}", uri.path()))
}

/// Whether a file never changes: the folder it is in is named after its content, as `cargo xtask build` does.
fn is_immutable(path: &str) -> bool {
    path.strip_prefix("/app-").is_some_and(|rest| rest.contains('/'))
}

/// A file that is missing must not come as a page: the browser would take the page for a broken script.
fn is_asset(path: &str) -> bool {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["br", "css", "gz", "ico", "js", "map", "png", "svg", "txt", "wasm", "webmanifest", "woff2"].contains(&extension)
    })
}

/// The page with a share's title and picture for programs that show previews; 404 or 410 with the plain page when the link leads nowhere.
async fn share_page(state: &AppState, web: &Path, token: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let Ok(token) = token.parse::<ShareToken>() else {
        return Ok((StatusCode::NOT_FOUND, Html(index(&state.settings, web, "").await?)).into_response());
    };
    match shares::open(state, &token).await {
        Ok(shared) => {
            let head = share_head(&shared, &token, &public_address(headers, &state.settings));
            Ok(Html(index(&state.settings, web, &head).await?).into_response())
        }
        Err(error) if matches!(error.kind(), Kind::ShareNotFound | Kind::ShareExpired | Kind::ShareDeleted) => {
            let status = if error.kind() == Kind::ShareNotFound { StatusCode::NOT_FOUND } else { StatusCode::GONE };
            Ok((status, Html(index(&state.settings, web, "").await?)).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn index(settings: &Settings, web: &Path, head: &str) -> Result<String, ApiError> {
    let path = web.join("index.html");
    let page = match tokio::fs::read_to_string(&path).await {
        Ok(page) => page,
        Err(error) => return Err(ApiError::internal(format!("cannot read {}: {error}", path.display()))),
    };
    Ok(page.replacen(BASE, &format!("<base href=\"{}/\">", escape(&settings.base_path)), 1).replacen(HEAD, head, 1))
}

fn share_head(shared: &SharedView, token: &ShareToken, public_address: &str) -> String {
    let title = escape(&shared.share.title);
    // What the sender says tells more than what we can.
    let note = shared.share.note.split_whitespace().collect::<Vec<_>>().join(" ");
    let description = if note.is_empty() { shared_views::description(&shared.content) } else { note };
    let description = escape(&description);
    let address = format!("{public_address}/s/{token}");
    let address = escape(&address);
    let picture = format!("{public_address}/{}", path::share_preview(token));
    let picture = escape(&picture);
    // Whoever has the link may show it; search engines need not know it.
    format!(
        "<meta name=\"robots\" content=\"noindex\">\
         <meta name=\"description\" content=\"{description}\">\
         <meta property=\"og:type\" content=\"website\">\
         <meta property=\"og:site_name\" content=\"CrossLens\">\
         <meta property=\"og:title\" content=\"{title}\">\
         <meta property=\"og:description\" content=\"{description}\">\
         <meta property=\"og:url\" content=\"{address}\">\
         <meta property=\"og:image\" content=\"{picture}\">\
         <meta property=\"og:image:type\" content=\"image/png\">\
         <meta property=\"og:image:width\" content=\"1200\">\
         <meta property=\"og:image:height\" content=\"630\">\
         <meta name=\"twitter:card\" content=\"summary_large_image\">\
         <meta name=\"twitter:title\" content=\"{title}\">\
         <meta name=\"twitter:description\" content=\"{description}\">\
         <meta name=\"twitter:image\" content=\"{picture}\">"
    )
}

/// A text inside a quoted attribute.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;");
    Cow::Owned(escaped)
}
