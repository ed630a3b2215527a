//! What becomes of instants, of runs that end, and of what a person asks for.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::daemon::{Command, CommandError, Daemon, Event};
use super::ledgers::Switch;
use super::looks::Of;
use super::starts::Ask;
use super::{Settled, Step, Turn};
use crate::ledger;
use crate::model::{Exit, PipelineName, RunEnd};

impl Daemon {
    /// Goes on from now where the clock was put back.
    pub(super) fn set_back(&mut self) {
        let now = self.env.clock.now();
        let mut back = Vec::new();
        for (name, entry) in &mut self.entries {
            let (was, settled) = entry.turn.as_mut().map(|turn| turn.set_back(now)).unwrap_or_default();
            if was {
                tracing::warn!(pipeline = %name, %now, "the clock was put back; the schedule goes on from now");
                back.push((name.clone(), settled));
            }
        }
        for (name, settled) in back {
            self.settle(&name, settled);
        }
    }

    /// Does what a turn says.
    pub(super) fn step(&mut self, name: &PipelineName, step: Step, settled: Settled) {
        match step {
            Step::Run(instant) => self.starts.ask(Ask::due(name.clone(), Some(instant))),
            Step::Queued(_) => {}
            Step::Skipped(instant, why) => {
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.skipped += 1;
                }
                tracing::info!(pipeline = %name, %instant, ?why, "an instant is skipped");
                self.tell(Event::Skipped(name.clone(), instant, why));
            }
        }
        self.settle(name, settled);
    }

    /// Does what a turn says, where it says anything.
    pub(super) fn go_on(&mut self, name: &PipelineName, next: Option<Step>, settled: Settled) {
        match next {
            Some(step) => self.step(name, step, settled),
            None => self.settle(name, settled),
        }
    }

    pub(super) fn settle(&self, name: &PipelineName, settled: Settled) {
        if let (Some(entry), Some(until)) = (self.entries.get(name), settled) {
            let schedule = Some(entry.schedule.clone());
            self.notes.settle(entry.ledger.clone(), ledger::Settled { until, schedule });
        }
    }

    /// Takes the end of a run, which has been told.
    pub(super) fn take(&mut self, end: Arc<RunEnd>) {
        let name = end.pipeline.clone();
        let Some(entry) = self.entries.get_mut(&name) else { return };
        // A run that was broken off isn't done with its instant: the next daemon makes up for it.
        let broken_off = self.draining && (end.exit_code.is_interruption() || end.exit_code == Exit::Stopped);
        entry.keep(end);
        let after = entry.turn.as_mut().map(Turn::ended).filter(|_| !broken_off);
        let gone = entry.gone;
        if let Some((next, settled)) = after {
            let next = next.filter(|_| !self.draining && !gone);
            self.go_on(&name, next, settled);
        }
        if gone {
            self.entries.remove(&name);
        }
    }

    /// Does what a person asked for.
    pub(super) fn command(&mut self, command: Command, answer: oneshot::Sender<Result<(), CommandError>>) {
        let name = command.pipeline().clone();
        let pause = match &command {
            Command::Pause(_) => Some(self.env.clock.now()),
            _ => None,
        };
        let mut switch = Switch { pause, answer: Some(answer) };
        let is_silent = self.looks.silent(&Of::Ledger(name.clone())).is_some();
        match (self.entries.get_mut(&name), command) {
            (None, _) => switch.answer(Err(CommandError::Unknown(name))),
            (Some(_), Command::RunNow(_)) => switch.answer(self.by_hand(Ask::due(name, None))),
            (Some(_), Command::Backfill { backfill, jobs, .. }) => {
                let ask = Ask { backfill: Some((backfill, jobs)), ..Ask::due(name, None) };
                switch.answer(self.by_hand(ask));
            }
            (Some(_), Command::Pause(_) | Command::Resume(_)) if is_silent => {
                switch.answer(Err(CommandError::Silent(name)));
            }
            (Some(entry), Command::Pause(_) | Command::Resume(_)) => entry.switches.push_back(switch),
        }
    }

    fn by_hand(&mut self, ask: Ask) -> Result<(), CommandError> {
        let (name, waits) = (ask.pipeline.clone(), self.starts.waits(&ask.pipeline));
        let Some(entry) = self.entries.get_mut(&name) else { return Err(CommandError::Unknown(name)) };
        let is_free = entry.turn.as_mut().map_or(entry.running.is_none() && !waits, Turn::begin_by_hand);
        if !is_free {
            return Err(CommandError::Running(name));
        }
        self.starts.ask(ask);
        Ok(())
    }
}
