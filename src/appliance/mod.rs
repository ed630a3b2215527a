//! The simulated appliances, for `tidegate demo` and the tests.
