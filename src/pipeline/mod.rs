//! Pipeline files: as typed ([`file`]), loaded ([`load`]), and as meant ([`check`]).

pub mod file;
pub mod load;
