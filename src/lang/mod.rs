//! The languages of a pipeline file: what is syntax only, with no data at hand.

pub mod sql;
//! The well-known languages of a pipeline file, each behind a small type: jq, templates, and the places that values go to.

pub mod jq;
pub mod place;
pub mod template;
pub mod tree;
