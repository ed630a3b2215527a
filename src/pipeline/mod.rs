//! Pipeline files: as typed ([`mod@file`]), loaded ([`load`]), checked ([`check`]) and as meant ([`spec`]).

pub mod check;
mod cron;
pub mod file;
pub mod load;
pub mod spec;
