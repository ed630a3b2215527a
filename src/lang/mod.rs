//! The languages that a pipeline file speaks. None of them is our own: this module binds the crates that implement them.

pub mod jq;
pub mod selector;

pub use selector::{PlainPath, Selector, SelectorError};
