//! The well-known languages of a pipeline file, each behind a small type: jq, SQL, templates, the places that values go to,
//! and formats of time. None of them is our own: this module binds the crates that implement them.

mod duration;
pub mod foreign;
pub mod jq;
pub mod place;
pub mod selector;
pub mod sql;
pub mod template;
pub mod tree;
pub mod wall_clock;

pub use duration::spell;
pub use selector::{PlainPath, Selector, SelectorError};
