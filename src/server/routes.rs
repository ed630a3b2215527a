//! What is where.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use futures::future::join_all;
use minijinja::Environment;
use serde_json::{Value, json};

use super::exposition::Exposition;
use super::known::{BRIEFLY, Known, Ledgers};
use super::{Site, actions, detail, guard, home, metrics, pages, pipeline};
use crate::lang::template::to_template;
use crate::model::PipelineName;
use crate::schedule::{PipelineView, View};

/// The largest form that is read, in bytes.
const FORM: usize = 16 * 1024;

/// How old what a scrape says of the ledgers may be, unless a run has ended since.
const SCRAPED: Duration = Duration::from_secs(30);

/// The site with what it keeps.
pub(super) struct App {
    pub(super) site: Site,
    pub(super) ledgers: Ledgers,
    pub(super) plans: pipeline::Plans,
    templates: Environment<'static>,
}

/// A page that can't be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// There is no such thing.
    #[error("{0}")]
    Gone(String),
    /// A template is wrong.
    #[error("the page can't be made: {0}")]
    Template(#[from] minijinja::Error),
}

impl App {
    pub(super) fn new(site: Site) -> Result<Self, minijinja::Error> {
        let ledgers = Ledgers::new(site.env.clone(), site.state.clone());
        Ok(Self { ledgers, plans: pipeline::Plans::default(), templates: pages::environment()?, site })
    }

    /// Renders a template, with what all pages show.
    pub(super) fn render(&self, template: &str, page: &Value) -> Result<Html<String>, PageError> {
        let shown = json!({
            "page": page,
            "now": self.site.env.clock.now(),
            "version": env!("CARGO_PKG_VERSION"),
            "draining": self.site.handle.view().draining,
            "alive": self.site.handle.is_alive(),
            "actions": self.site.token.is_some(),
        });
        let text = self.templates.get_template(template)?.render(to_template(&shown))?;
        Ok(Html(text))
    }

    /// Renders a page that says one thing.
    pub(super) fn message(&self, status: StatusCode, title: &str, text: &str, back: &str) -> Response {
        match self.render("message.html", &json!({"title": title, "text": text, "back": back})) {
            Ok(page) => (status, page).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }

    /// Finds a pipeline of the daemon.
    pub(super) fn pipeline(&self, name: &str) -> Result<PipelineView, PageError> {
        let view = self.site.handle.view();
        let found = view.pipeline(&PipelineName::new(name)).cloned();
        found.ok_or_else(|| PageError::Gone(format!("there is no pipeline `{name}` in the folder")))
    }

    /// Returns what the ledgers of all pipelines say.
    pub(super) async fn all_known(&self, view: &View, most: Duration) -> Vec<Arc<Known>> {
        self.ledgers.keep(|name| view.pipeline(name).is_some());
        join_all(view.pipelines.iter().map(|one| self.ledgers.known(one, most, BRIEFLY))).await
    }

    fn failed(&self, error: &PageError) -> Response {
        match error {
            PageError::Gone(what) => self.message(StatusCode::NOT_FOUND, "Not found", what, "/"),
            PageError::Template(_) => {
                tracing::error!(%error, "a page can't be made");
                (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
            }
        }
    }
}

/// Makes the router.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(|State(app): State<Arc<App>>| async move { shown(&app, home::page(&app).await) }))
        .route("/p/{name}", get(pipeline::get))
        .route("/p/{name}/runs/{run}", get(run))
        .route("/p/{name}/do/{action}", post(actions::act))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/style.css", get(|| async { asset("text/css; charset=utf-8", pages::STYLE) }))
        .route("/live.js", get(|| async { asset("text/javascript; charset=utf-8", pages::SCRIPT) }))
        .route("/icon.svg", get(|| async { asset("image/svg+xml", pages::ICON) }))
        .fallback(|State(app): State<Arc<App>>| async move {
            app.message(StatusCode::NOT_FOUND, "Not found", "There is no such page.", "/")
        })
        .layer(DefaultBodyLimit::max(FORM))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

/// Returns a page, or says why there is none.
pub(super) fn shown(app: &App, page: Result<Html<String>, PageError>) -> Response {
    page.map_or_else(|error| app.failed(&error), IntoResponse::into_response)
}

async fn run(State(app): State<Arc<App>>, Path((name, run)): Path<(String, String)>) -> Response {
    shown(&app, detail::page(&app, &name, &run).await)
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind)], text)
}

/// Alive: the daemon goes on.
async fn livez(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.site.handle.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the daemon has ended\n")
    }
}

/// Ready: the folder has been looked at, and the process isn't about to end. A pipeline in trouble doesn't make it unready: the page
/// that shows the trouble would be gone, and the others run.
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    let view = app.site.handle.view();
    match (app.site.handle.is_alive(), view.draining, view.at) {
        (false, ..) => (StatusCode::SERVICE_UNAVAILABLE, "the daemon has ended\n"),
        (_, true, _) => (StatusCode::SERVICE_UNAVAILABLE, "the process is about to end\n"),
        (_, _, None) => (StatusCode::SERVICE_UNAVAILABLE, "the folder hasn't been looked at yet\n"),
        _ => (StatusCode::OK, "ok\n"),
    }
}

pub(super) async fn scrape(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let view = app.site.handle.view();
    let known = app.all_known(&view, SCRAPED).await;
    let stands = view.pipelines.iter().zip(&known).map(|(pipeline, known)| metrics::Stands {
        pipeline: &pipeline.pipeline.name,
        spec: Some(&*pipeline.pipeline),
        known,
        ends: pipeline.ended.iter().map(AsRef::as_ref).collect(),
    });
    // A list may stand in several headers of one name.
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let exposition = Exposition::accepted(&accept.join(","));
    match app.site.metrics.render(&stands.collect::<Vec<_>>(), Some(&view), exposition) {
        Ok(text) => ([(CONTENT_TYPE, exposition.content_type())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
