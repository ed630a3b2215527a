//! The languages of a pipeline file: what is syntax only, with no data at hand.

pub mod sql;
