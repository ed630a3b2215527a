//! Tidegate exports data from paginated REST APIs into a data lake, on a schedule, without losing or doubling a row.

pub mod appliance;
pub mod clock;
pub mod ledger;
pub mod model;
pub mod secret;
