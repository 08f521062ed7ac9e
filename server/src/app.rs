//! The map of addresses, and what every response carries.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate};
use tower_http::compression::{CompressionLayer, DefaultPredicate};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::ApiError;
use crate::routes::{
    actions, attributions, changes, checkpoints, comparisons, datasets, eps_curves, estimates, lanes, meta, pages, pairs, problems, queue,
    runs, session, shares, sweeps, system, theory, transfers, trash,
};
use crate::state::AppState;
use crate::{api_document, auth, base_path, guests, ranges, telemetry};

/// Longest pause while a body arrives; a client that is slower holds its connection and a temporary file.
const BODY_PAUSE: Duration = Duration::from_secs(60);
/// Header that names a request in the log and in the answer. Clients and proxies may choose the name.
const REQUEST_ID: &str = "x-request-id";

/// Longest body, or part of a body, that is no file.
pub const BODY_LIMIT_BYTES: usize = 1 << 20;
/// WideResNet-34-20 with its optimizer has 1.5 GiB.
const UPLOAD_LIMIT_BYTES: usize = 4 << 30;

/// Nothing from elsewhere, no frames, no inline scripts; WebAssembly needs its own word.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'self'";

#[derive(OpenApi)]
#[openapi(
    info(title = "CrossLens", description = "Adversarial training and class-wise feature attribution. Everything the pages do is in here."),
    components(schemas(shared::problem::Problem)),
    security(("token" = [])),
    tags(
        (name = "server", description = "What the server is and offers"),
        (name = "datasets", description = "Images to train and test on: folders, downloads, and what is in them"),
        (name = "runs", description = "Submitting, following and ending runs"),
        (name = "checkpoints", description = "Weights that runs have kept"),
        (name = "attributions", description = "Class-wise attribution matrices, alone and against each other"),
        (name = "theory", description = "The three-class model of the paper"),
        (name = "shares", description = "Views under unguessable, revocable links")
    )
)]
struct ApiDoc;

/// Builds the application: the API with its document, and the frontend for everything else.
pub fn router(state: AppState) -> anyhow::Result<Router> {
    let private = OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(meta::get_health))
        .routes(routes!(meta::get_telemetry))
        .routes(routes!(system::get_system))
        .routes(routes!(lanes::list_lanes))
        .routes(routes!(lanes::read_lanes))
        .routes(routes!(lanes::try_lane))
        .routes(routes!(meta::list_presets))
        .routes(routes!(datasets::list_datasets))
        .routes(routes!(datasets::set_dataset_folder, datasets::forget_dataset_folder))
        .routes(routes!(datasets::start_download, datasets::cancel_download))
        .routes(routes!(datasets::get_dataset_summary))
        .routes(routes!(runs::list_runs, runs::create_run))
        .routes(routes!(runs::get_run, runs::change_run, runs::delete_run))
        .routes(routes!(runs::list_rows))
        .routes(routes!(runs::cancel_run))
        .routes(routes!(runs::pause_run))
        .routes(routes!(runs::resume_run))
        .routes(routes!(runs::move_run))
        .routes(routes!(runs::restore_run))
        .routes(routes!(runs::get_disk))
        .routes(routes!(trash::get_trash))
        .routes(routes!(estimates::estimate_runs))
        .routes(routes!(actions::change_runs))
        .routes(routes!(queue::get_queue, queue::change_queue))
        .routes(routes!(runs::get_evaluation))
        .routes(routes!(eps_curves::get_eps_curve))
        .routes(routes!(runs::get_saliency))
        .routes(routes!(runs::get_pair))
        .routes(routes!(transfers::get_transfer))
        .routes(routes!(runs::get_config_toml))
        .routes(routes!(runs::get_metrics_tfevents))
        .routes(routes!(sweeps::list_sweeps, sweeps::create_sweep))
        .routes(routes!(sweeps::get_sweep, sweeps::change_sweep))
        .routes(routes!(sweeps::get_sweep_chart))
        .routes(routes!(theory::get_theory))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(checkpoints::import_checkpoint))
                .routes(routes!(checkpoints::inspect_checkpoint))
                .layer(DefaultBodyLimit::max(UPLOAD_LIMIT_BYTES)),
        )
        .routes(routes!(runs::get_metrics))
        .routes(routes!(runs::get_metrics_csv))
        .routes(routes!(runs::get_curves))
        .routes(routes!(runs::stream_events))
        .routes(routes!(changes::stream_changes))
        .routes(routes!(changes::get_records))
        .routes(routes!(runs::get_log))
        .routes(routes!(checkpoints::list_checkpoints))
        .routes(routes!(checkpoints::get_checkpoint_file))
        .routes(routes!(attributions::get_attribution))
        .routes(routes!(attributions::get_attribution_context))
        .routes(routes!(attributions::get_interference))
        .routes(routes!(comparisons::get_comparison))
        .routes(routes!(pairs::list_pairs))
        .routes(routes!(pairs::list_cells))
        .routes(routes!(pairs::list_interference))
        .routes(routes!(shares::list_shares, shares::create_share))
        .routes(routes!(shares::delete_share))
        .routes(routes!(shares::renew_share))
        .route_layer(from_fn_with_state(state.clone(), auth::require_token));
    // What whoever has a share link may ask, and nothing else.
    let public = OpenApiRouter::new()
        .routes(routes!(shares::get_share))
        .routes(routes!(shares::get_share_preview))
        .route_layer(from_fn_with_state(state.clone(), guests::limit));
    let probes = OpenApiRouter::new().routes(routes!(meta::get_live)).routes(routes!(meta::get_ready));

    let (api, document) = private.merge(public).merge(probes).split_for_parts();
    let document = api_document::complete(document, &state.settings.base_path)?;

    // Weights do not get smaller, and would lose their length; archives are as small as they get.
    let compressible = DefaultPredicate::new()
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("application/zip"));
    let base = state.settings.base_path.clone();
    let app = api
        .route("/api/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], document)))
        .route("/problems", get(problems::list_problems))
        .route("/problems/{name}", get(problems::get_problem))
        .route(session::SIGN_IN, post(session::sign_in).get(pages::get_page))
        .route(session::SIGN_OUT, post(session::sign_out))
        .fallback(pages::get_page)
        .method_not_allowed_fallback(pages::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(from_fn_with_state(state.clone(), auth::check_origin))
        .layer(from_fn_with_state(state.clone(), auth::check_host))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(ranges::check_if_range))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(from_fn(add_headers))
        .layer(from_fn_with_state(state.clone(), telemetry::observe))
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .with_state(state);
    if base.is_empty() {
        return Ok(app);
    }
    // Before any route is looked for.
    let inside = app.map_request(move |request: Request| base_path::strip(&base, request));
    Ok(Router::new().fallback_service(inside))
}

/// The span of a request in the log. Leaves out the query, which may hold the token.
fn span<B>(request: &Request<B>) -> Span {
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info_span!("request", id, method = %request.method(), path = request.uri().path())
}

async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Kept, but asked about each time: a new build or a new state shows at once.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    ApiError::internal(format!("a handler panicked: {}", message.unwrap_or("without a message"))).into_response()
}
