//! The languages of a pipeline file: what is syntax only, with no data at hand.

pub mod sql;
//! The well-known languages of a pipeline file, each behind a small type: jq, templates, and the places that values go to.

pub mod jq;
pub mod place;
pub mod template;
pub mod tree;
//! The languages that a pipeline file speaks. None of them is our own: this module binds the crates that implement them.

pub mod jq;
pub mod selector;

pub use selector::{PlainPath, Selector, SelectorError};
