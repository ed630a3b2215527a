//! What the daemon asks ledgers, and tells them. Each is asked one thing at a time, so that what is told last is what holds.

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::daemon::{CommandError, Daemon, Event};
use super::looks::{Of, SILENT, Seen, silence};
use super::pipelines::Entry;
use super::starts::Stage;
use super::{Skip, Step, Turn};
use crate::ledger::{Ledger, LedgerError, Pause, Settled};
use crate::model::PipelineName;
use crate::objects;
use crate::pipeline::file::CatchUp;

/// How many ledgers are asked at once, those that are slow apart.
const AT_ONCE: usize = 16;

/// What a ledger said.
pub(super) enum Answer {
    /// Where the schedule stands, and whether it is paused.
    Stands(Result<(Option<Settled>, Option<Pause>), LedgerError>),
    /// Whether the pipeline is paused, whose time has come.
    Due(Result<Option<Pause>, LedgerError>),
    /// Whether the pipeline is paused, whose run has a place.
    Begins(Result<Option<Pause>, LedgerError>),
    /// That a pause was switched.
    Switched(Switch, Result<(), LedgerError>),
}

impl Answer {
    /// Tells whether the ledger answered.
    const fn is_one(&self) -> bool {
        match self {
            Self::Stands(said) => said.is_ok(),
            Self::Due(said) | Self::Begins(said) => said.is_ok(),
            Self::Switched(_, done) => done.is_ok(),
        }
    }
}

/// A pause that is to be switched.
pub(super) struct Switch {
    /// Since when; none where it ends.
    pub(super) pause: Option<DateTime<Utc>>,
    /// Who asked for it; none who still waits where it took too long.
    pub(super) answer: Option<oneshot::Sender<Result<(), CommandError>>>,
}

impl Switch {
    pub(super) fn answer(&mut self, done: Result<(), CommandError>) {
        if let Some(answer) = self.answer.take() {
            // Who asked may have gone.
            let _ = answer.send(done);
        }
    }
}

impl Daemon {
    /// Asks the ledgers what is to be known next.
    pub(super) fn ask_ledgers(&mut self) {
        let now = self.env.clock.now();
        for (name, entry) in &mut self.entries {
            if self.looks.ledgers() >= AT_ONCE {
                return;
            }
            let of = Of::Ledger(name.clone());
            if self.looks.is_on(&of) {
                continue;
            }
            let begins = self.starts.preparing.iter().any(|one| one.ask.pipeline == *name && one.stage == Stage::Pause);
            let goes_on = entry.running.is_some() || self.starts.waits(name);
            let (ledger, name) = (entry.ledger.clone(), name.clone());
            if let Some(switch) = entry.switches.pop_front() {
                self.looks.begin(of, async move { Seen::Ledger(name, switched(&ledger, switch).await) });
            } else if entry.turn.is_none() && entry.unasked && !goes_on {
                entry.unasked = false;
                self.looks.begin(of, async move { Seen::Ledger(name, Answer::Stands(stands(&ledger).await)) });
            } else if begins {
                self.looks.begin(of, async move { Seen::Ledger(name, Answer::Begins(ledger.paused().await)) });
            } else if entry.due(now).is_some() {
                self.looks.begin(of, async move { Seen::Ledger(name, Answer::Due(ledger.paused().await)) });
            }
        }
    }

    /// Takes what a ledger said.
    pub(super) fn answered(&mut self, name: &PipelineName, answer: Answer) {
        let now = self.env.clock.now();
        let Some(entry) = self.entries.get_mut(name) else { return };
        entry.told_silent &= !answer.is_one();
        match answer {
            Answer::Stands(Ok((noted, pause))) => self.take_up(name, noted, pause),
            Answer::Stands(Err(error)) => {
                let trouble = objects::chain(&error);
                if entry.trouble.as_ref() != Some(&trouble) {
                    entry.trouble = Some(trouble.clone());
                    self.tell(Event::Trouble(name.clone(), trouble));
                }
            }
            Answer::Switched(mut switch, done) => {
                match &done {
                    Ok(()) => entry.paused = switch.pause.map(|at| entry.paused.unwrap_or(at)),
                    Err(error) => {
                        let error = objects::chain(error);
                        tracing::warn!(pipeline = %name, error, "a pause can't be switched");
                    }
                }
                switch.answer(done.map_err(CommandError::Ledger));
            }
            Answer::Due(pause) => {
                let paused = entry.take_pause(pause);
                let overlap = entry.pipeline.schedule.as_ref().map(|schedule| schedule.overlap).unwrap_or_default();
                // Meanwhile another instant may have come, or another schedule.
                let (Some(instant), Some(turn)) = (entry.due(now), &mut entry.turn) else { return };
                let (step, settled) = turn.fire(instant, paused, overlap);
                self.step(name, step, settled);
            }
            Answer::Begins(pause) => {
                let paused = entry.take_pause(pause);
                self.pause_is_known(name, paused);
            }
        }
    }

    /// Takes up the schedule of a pipeline that is new: its ledger has told where it stands.
    fn take_up(&mut self, name: &PipelineName, noted: Option<Settled>, pause: Option<Pause>) {
        let goes_on = self.starts.waits(name);
        let Some(entry) = self.entries.get_mut(name) else { return };
        // What a person asked for meanwhile ends first.
        if entry.turn.is_some() || entry.running.is_some() || goes_on {
            return;
        }
        entry.paused = pause.map(|pause| pause.at);
        let catch_up = entry.pipeline.schedule.as_ref().map(|schedule| schedule.catch_up).unwrap_or_default();
        let (table, now) = (entry.table.as_ref(), self.env.clock.now());
        let paused = entry.paused.is_some();
        let catch_up = if paused { CatchUp::None } else { catch_up };
        let (turn, step, settled) = Turn::begin(entry.believed(noted), now, table, catch_up);
        let step = match step {
            Some(Step::Skipped(instant, _)) if paused => Some(Step::Skipped(instant, Skip::Paused)),
            step => step,
        };
        entry.turn = Some(turn);
        entry.trouble = None;
        self.tell_of(name);
        self.go_on(name, step, settled);
    }

    /// Tells of a ledger that doesn't answer: once, until it does.
    pub(super) fn ledger_is_silent(&mut self, name: &PipelineName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if std::mem::replace(&mut entry.told_silent, true) {
            return;
        }
        let since = self.looks.silent(&Of::Ledger(name.clone())).unwrap_or(SILENT);
        self.tell(Event::Trouble(name.clone(), silence("the ledger", since)));
    }

    /// Has nobody wait for a ledger that doesn't answer.
    pub(super) fn answer_for_the_silent(&mut self) {
        for (name, entry) in &mut self.entries {
            if !entry.switches.is_empty() && self.looks.silent(&Of::Ledger(name.clone())).is_some() {
                entry.switches.drain(..).for_each(|mut switch| switch.answer(Err(CommandError::Silent(name.clone()))));
            }
        }
    }
}

impl Entry {
    /// Takes whether it is paused: another process may have switched it (`tidegate pause`). Where that can't be read, it is as it was.
    fn take_pause(&mut self, pause: Result<Option<Pause>, LedgerError>) -> bool {
        match pause {
            Ok(pause) => self.paused = pause.map(|pause| pause.at),
            Err(error) => {
                let error = objects::chain(&error);
                tracing::warn!(pipeline = %self.pipeline.name, error, "whether the pipeline is paused can't be read");
            }
        }
        self.paused.is_some()
    }
}

async fn stands(ledger: &Ledger) -> Result<(Option<Settled>, Option<Pause>), LedgerError> {
    Ok((ledger.settled().await?, ledger.paused().await?))
}

/// Switches a pause. Who asked waits no longer than for anything else; it may still come to pass.
async fn switched(ledger: &Ledger, mut switch: Switch) -> Answer {
    let pause = switch.pause;
    let write = async {
        match pause {
            Some(at) => ledger.pause(&Pause::new(at)).await,
            None => ledger.resume().await,
        }
    };
    tokio::pin!(write);
    let done = if let Ok(done) = tokio::time::timeout(SILENT, &mut write).await {
        done
    } else {
        switch.answer(Err(CommandError::Silent(ledger.pipeline().clone())));
        write.await
    };
    Answer::Switched(switch, done)
}
