//! What a person may ask for: run now, pause, resume, backfill. Only with the token, and only from a page of ours or by a program.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::Deserialize;

use super::guard::{self, Asker};
use super::routes::App;
use crate::model::{JobName, PipelineName, Window};
use crate::objects::chain;
use crate::pipeline::spec::{Pipeline, Slicing};
use crate::run::Backfill;
use crate::schedule::{Command, CommandError};

/// The fields of the forms.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    token: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    job: String,
    /// Whether windows that have landed are left out: there where the box is ticked.
    missing: Option<String>,
}

/// Why something isn't done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "this process has no token, so nobody may act here: start it with --token-file FILE, or with TIDEGATE_TOKEN in its environment"
    )]
    Off,
    #[error("this wasn't asked for by a page of this process: open the page anew, and try again there")]
    Stranger,
    #[error("the token isn't the one that this process was started with")]
    Token,
    #[error("there is no action `{0}`: run, pause, resume and backfill are known")]
    Unknown(String),
    #[error("{0}")]
    Field(String),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Off | Self::Stranger => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Unknown(_) | Self::Command(CommandError::Unknown(_)) => StatusCode::NOT_FOUND,
            Self::Field(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Command(CommandError::Running(_)) => StatusCode::CONFLICT,
            Self::Command(CommandError::Ledger(_) | CommandError::Silent(_) | CommandError::Ending) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// Does what a form asks for, and leads back to the pipeline's page.
pub(super) async fn act(
    State(app): State<Arc<App>>,
    Path((name, action)): Path<(String, String)>,
    headers: HeaderMap,
    fields: Result<Form<Fields>, FormRejection>,
) -> Response {
    let asker = guard::asker(&headers);
    let done = match allowed(&app, asker, &headers, fields) {
        Ok(fields) => perform(&app, &name, &action, &fields).await,
        Err(refusal) => Err(refusal),
    };
    match (done, asker) {
        (Ok(()), Asker::Program) => (StatusCode::ACCEPTED, "accepted\n").into_response(),
        (Ok(()), _) => {
            tracing::info!(pipeline = name, action, "asked for on the page");
            Redirect::to(&format!("/p/{name}?asked={action}")).into_response()
        }
        (Err(refusal), Asker::Program) => (refusal.status(), format!("{}\n", chain(&refusal))).into_response(),
        (Err(refusal), _) => {
            let back = format!("/p/{name}");
            app.message(refusal.status(), "This wasn't done", &chain(&refusal), &back)
        }
    }
}

/// Checks that whoever asks may, and returns what they typed.
fn allowed(
    app: &App,
    asker: Asker,
    headers: &HeaderMap,
    fields: Result<Form<Fields>, FormRejection>,
) -> Result<Fields, Refusal> {
    let token = app.site.token.as_ref().ok_or(Refusal::Off)?;
    let fields = match (asker, fields) {
        (Asker::Stranger, _) => return Err(Refusal::Stranger),
        (_, Ok(Form(fields))) => fields,
        // A program need send no form where there is nothing to say.
        (Asker::Program, Err(FormRejection::InvalidFormContentType(_))) => Fields::default(),
        (_, Err(rejection)) => return Err(Refusal::Field(rejection.to_string())),
    };
    let given = if asker == Asker::Program { guard::bearer(headers).unwrap_or_default() } else { &fields.token };
    if guard::is_token(token, given.trim()) { Ok(fields) } else { Err(Refusal::Token) }
}

async fn perform(app: &App, name: &str, action: &str, fields: &Fields) -> Result<(), Refusal> {
    let pipeline = PipelineName::new(name);
    let command = match action {
        "run" => Command::RunNow(pipeline),
        "pause" => Command::Pause(pipeline),
        "resume" => Command::Resume(pipeline),
        "backfill" => {
            let view = app.site.handle.view();
            let found = view.pipeline(&pipeline).ok_or_else(|| CommandError::Unknown(pipeline.clone()))?;
            let (backfill, jobs) = backfill(&found.pipeline, fields)?;
            Command::Backfill { pipeline, backfill, jobs }
        }
        other => return Err(Refusal::Unknown(other.to_owned())),
    };
    Ok(app.site.handle.ask(command).await?)
}

fn backfill(pipeline: &Pipeline, fields: &Fields) -> Result<(Backfill, Vec<JobName>), Refusal> {
    let window = Window { from: instant("from", &fields.from)?, to: instant("to", &fields.to)? };
    if window.from >= window.to {
        return Err(Refusal::Field("`from` must lie before `to`".to_owned()));
    }
    let jobs = match fields.job.as_str() {
        "" => Vec::new(),
        name => vec![JobName::new(name)],
    };
    let has_windows = |name: &JobName| pipeline.job(name).is_some_and(|job| matches!(job.slicing, Slicing::Window(_)));
    match jobs.iter().find(|job| !has_windows(job)) {
        Some(job) => Err(Refusal::Field(format!("the pipeline has no job `{job}` with windows"))),
        None if !pipeline.jobs.iter().any(|job| matches!(job.slicing, Slicing::Window(_))) => {
            Err(Refusal::Field("no job of the pipeline has windows, so there is nothing to backfill".to_owned()))
        }
        None => Ok((Backfill { window, missing: fields.missing.is_some() }, jobs)),
    }
}

/// Reads an instant as a browser's field gives it (`2026-01-31T00:00`, UTC), or a day, or RFC 3339.
fn instant(name: &str, text: &str) -> Result<DateTime<Utc>, Refusal> {
    let text = text.trim();
    let local = || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok();
    let day = || text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    let read = text.parse().ok().or_else(|| local().or_else(day).map(|naive| naive.and_utc()));
    read.ok_or_else(|| {
        Refusal::Field(format!("`{name}` must be an instant such as 2026-01-31T00:00 or 2026-01-31T00:00:00Z, in UTC"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_browsers_and_people_write_them() {
        for text in ["2026-01-31T00:00", "2026-01-31", "2026-01-31T00:00:00Z", " 2026-01-31T01:00:00+01:00 "] {
            assert_eq!(instant("from", text).unwrap().to_rfc3339(), "2026-01-31T00:00:00+00:00", "{text}");
        }
        for text in ["", "yesterday", "2026-02-30", "<script>"] {
            assert!(instant("to", text).unwrap_err().to_string().starts_with("`to` must be"), "{text}");
        }
    }
}
