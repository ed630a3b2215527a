//! The tests that look at Tidegate from outside: its binary, its files, its manners. One test binary, so that it is linked once.

mod architecture;
mod help;
mod schema;
mod support;
mod validate;
