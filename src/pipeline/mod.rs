//! The pipeline file: how it is loaded, and what it may say.

pub mod load;
