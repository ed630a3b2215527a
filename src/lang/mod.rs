//! The well-known languages of a pipeline file, each behind a small type: jq, templates, and the places that values go to.

pub mod jq;
pub mod place;
pub mod template;
pub mod tree;
