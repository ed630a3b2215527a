//! The well-known languages of a pipeline file, each behind a small type: jq, SQL, templates, and the places that values go to. None
//! of them is our own: this module binds the crates that implement them.

pub mod jq;
pub mod place;
pub mod selector;
pub mod sql;
pub mod template;
pub mod tree;

pub use selector::{PlainPath, Selector, SelectorError};
