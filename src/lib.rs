//! Tidegate exports data from paginated REST APIs into a data lake, on a schedule, without losing or doubling a row.
//!
//! The path of the data, each arrow a module: a pipeline file is read and checked ([`pipeline`]), its slices are planned
//! ([`plan`]), their pages fetched ([`extract`]) and decoded ([`decode`]), their rows transformed ([`transform`]) and written
//! ([`sink`]), and what was written is committed ([`ledger`]). [`run`] is the one place that knows the order.

#![cfg_attr(
    test,
    allow(
        clippy::inconsistent_struct_constructor,
        clippy::needless_for_each,
        clippy::needless_pass_by_value,
        clippy::too_many_lines,
        clippy::type_complexity,
        clippy::unnecessary_wraps,
        reason = "tests read as tables: what is short to call counts more than how it is passed"
    )
)]

pub mod appliance;
mod asking;
pub mod cli;
pub mod clock;
pub mod decode;
pub mod extract;
pub mod lang;
pub mod ledger;
pub mod model;
pub mod objects;
pub mod pipeline;
pub mod plan;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod sink;
pub mod telemetry;
pub mod transform;
