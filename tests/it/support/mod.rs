//! What the tests share.

pub(crate) mod api;
pub(crate) mod bench;
pub(crate) mod duck;
pub(crate) mod python;
pub(crate) mod source;
pub(crate) mod workspace;
