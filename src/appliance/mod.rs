//! The simulated appliances, for `tidegate demo` and the tests.
//!
//! Each simulator answers on the wire as the real system does, oddities included, and knows the truth that a client ought to end up
//! with. [`server`] is the small HTTP server under all of them, [`faults`] what goes wrong on purpose, [`dice`] their seeded chance.

pub mod dice;
pub mod faults;
pub mod lastline;
pub mod ntopng;
pub mod scrutinizer;
pub mod secure_workload;
pub mod server;
