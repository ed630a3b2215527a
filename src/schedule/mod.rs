//! The daemon: every pipeline of a folder on its own schedule, for years.
//!
//! What is decided is pure: when a pipeline is due ([`Timetable`]), and what becomes of an instant ([`Turn`]). [`Daemon`] does what
//! they say: it reads the folder, starts runs, and drains them. [`Handle`] is what others see of it: a view that is cheap to take,
//! and commands.

mod begin;
mod daemon;
mod drain;
mod files;
mod fire;
mod hooks;
mod ledgers;
mod looks;
mod notes;
mod pipelines;
mod reload;
mod starts;
#[cfg(test)]
pub(crate) mod tests;
mod timetable;
mod turn;
mod view;

pub use daemon::{Command, CommandError, Config, Daemon, Event, Handle};
pub use files::{Loader, Refusal};
pub use starts::Runner;
pub use timetable::Timetable;
pub use turn::{Settled, Skip, Step, Turn, after_pause};
pub use view::{FileError, JobProgress, LiveProgress, PipelineView, RunningView, View};
