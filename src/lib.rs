//! Tidegate exports data from paginated REST APIs into a data lake, on a schedule, without losing or doubling a row.

pub mod appliance;
pub mod clock;
pub mod extract;
pub mod decode;
pub mod lang;
pub mod ledger;
pub mod model;
pub mod pipeline;
pub mod plan;
pub mod secret;
pub mod sink;
pub mod transform;
