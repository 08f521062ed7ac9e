//! Share links: a view under a secret name that can be revoked.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use shared::api::{NewLink, NewShare, Share, SharedView};
use shared::id::{ShareId, ShareToken};
use shared::view::View;

use crate::extract::{self, Name, Named};
use crate::figures;
use crate::problem::{ApiError, Kind};
use crate::shared_views;
use crate::state::AppState;

/// More than a person makes; limits a script that makes too many.
const MOST_SHARES: u32 = 10_000;
const LONGEST_TITLE: usize = 120;
const LONGEST_NOTE: usize = 2000;
const MOST_DAYS: u32 = 3650;

/// Makes a share link for a view
#[utoipa::path(post, path = "/api/shares", tag = "shares", request_body = NewShare, responses((status = 201, body = NewLink), ApiError))]
pub async fn create_share(
    State(state): State<AppState>,
    extract::Json(new): extract::Json<NewShare>,
) -> Result<impl IntoResponse, ApiError> {
    for (field, text, most) in [("title", &new.title, LONGEST_TITLE), ("note", &new.note, LONGEST_NOTE)] {
        let length = text.chars().count();
        if length > most {
            let detail = format!("the {field} has {length} characters; at most {most}");
            return Err(ApiError::on_field(Kind::InvalidShare, field, detail));
        }
    }
    if let Some(days) = new.expires_in_days.filter(|days| !(1..=MOST_DAYS).contains(days)) {
        let detail = format!("a link cannot work for {days} days; 1 to {MOST_DAYS}, or leave it out for a link without an end");
        return Err(ApiError::on_field(Kind::InvalidShare, "expires_in_days", detail));
    }
    let view: View = new.view.parse().map_err(|error| ApiError::on_field(Kind::InvalidShare, "view", format!("{error}")))?;
    let (content, _) = shared_views::content(&state, &view).await.map_err(|error| error.moved_to("view"))?;
    state.shares.sweep().await?;
    if state.shares.count().await? >= MOST_SHARES {
        return Err(ApiError::new(Kind::TooManyShares, format!("there are {MOST_SHARES} share links; revoke some first")));
    }
    let title = match new.title.trim() {
        "" => shared_views::title(&content),
        title => title.to_owned(),
    };
    // Store the view as this server writes it, so that only a view is ever returned.
    let new = NewShare { view: view.to_string(), title, note: new.note.trim().to_owned(), ..new };
    let link = state.shares.insert(&new, &view.runs()).await?;
    Ok((StatusCode::CREATED, Json(link)))
}

/// All share links, newest first
#[utoipa::path(get, path = "/api/shares", tag = "shares", responses((status = 200, body = Vec<Share>), ApiError))]
pub async fn list_shares(State(state): State<AppState>) -> Result<Json<Vec<Share>>, ApiError> {
    Ok(Json(state.shares.all().await?))
}

/// What a share link shows; needs no token other than that of the link
#[utoipa::path(
    get, path = "/api/shares/{share}", tag = "shares",
    params(("share" = String, Path, description = "The secret part of the link")),
    responses((status = 200, body = SharedView), ApiError), security(())
)]
pub async fn get_share(State(state): State<AppState>, Name(token): Name<ShareToken>) -> Result<Json<SharedView>, ApiError> {
    open(&state, &token).await.map(Json)
}

/// Revokes a share link
#[utoipa::path(
    delete, path = "/api/shares/{share}", tag = "shares",
    params(("share" = u32, Path, description = "Id of the share")),
    responses((status = 204, description = "Revoked"), ApiError)
)]
pub async fn delete_share(State(state): State<AppState>, Name(id): Name<ShareId>) -> Result<StatusCode, ApiError> {
    if state.shares.delete(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(ShareId::not_found(&id.to_string())) }
}

/// Replaces a share link by a new one to the same view; the former no longer works
#[utoipa::path(
    post, path = "/api/shares/{share}/link", tag = "shares",
    params(("share" = u32, Path, description = "Id of the share")),
    responses((status = 201, body = NewLink), ApiError)
)]
pub async fn renew_share(State(state): State<AppState>, Name(id): Name<ShareId>) -> Result<impl IntoResponse, ApiError> {
    let link = state.shares.renew(id).await?.ok_or_else(|| ShareId::not_found(&id.to_string()))?;
    Ok((StatusCode::CREATED, Json(link)))
}

/// A picture of what a share link shows, 1200×630 pixels, for link previews
#[utoipa::path(
    get, path = "/api/shares/{share}/preview.png", tag = "shares",
    params(("share" = String, Path, description = "The secret part of the link")),
    responses((status = 200, content_type = "image/png", body = Vec<u8>), ApiError), security(())
)]
pub async fn get_share_preview(State(state): State<AppState>, Name(token): Name<ShareToken>) -> Result<impl IntoResponse, ApiError> {
    let mut shared = open(&state, &token).await?;
    // A generated title repeats what the picture shows. Without it there is room for the name of the run.
    if shared.share.title == shared_views::title(&shared.content) {
        shared.share.title.clear();
    }
    Ok(([(header::CONTENT_TYPE, "image/png")], figures::preview(shared).await?))
}

/// Looks up a share and what it shows.
pub async fn open(state: &AppState, token: &ShareToken) -> Result<SharedView, ApiError> {
    let not_found = || ShareToken::not_found(token.as_str());
    let share = state.shares.of(token).await?.ok_or_else(not_found)?;
    if let Some(end) = share.expires_at.as_deref().filter(|_| share.expired) {
        let minute = end.get(..16).unwrap_or(end).replace('T', " ");
        let detail = format!("this link worked until {minute} UTC; ask whoever sent it for a new one");
        return Err(ApiError::on_field(Kind::ShareExpired, "share", detail));
    }
    let view: View = share.view.parse().map_err(|error| ApiError::internal(format!("share {}: {error}", share.view)))?;
    match shared_views::content(state, &view).await {
        Ok((content, answers)) => {
            Ok(SharedView { share, content, as_of: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), answers })
        }
        Err(error) if error.kind() == Kind::RunInTrash => {
            let detail = "what this link showed was deleted; the link works again if its owner restores it";
            Err(ApiError::on_field(Kind::ShareDeleted, "token", detail))
        }
        Err(error) if matches!(error.kind(), Kind::RunNotFound | Kind::AttributionNotFound) => Err(not_found()),
        Err(error) => Err(error),
    }
}
