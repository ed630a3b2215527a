//! The tests that look at Tidegate from outside: its binary, its files, its manners. One test binary, so that it is linked once.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends by them; clippy knows only functions marked #[test]"
)]

mod architecture;
mod moving_on;
mod schema;
mod secure_workload;
mod support;
