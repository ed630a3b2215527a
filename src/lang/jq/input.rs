//! A value that several programs run on.

use std::cell::OnceCell;

use jaq_json::Val;
use serde_json::Value;

use super::convert;

/// A JSON value that several programs run on: it is made ready for them once, when the first one needs it.
#[derive(Debug)]
pub struct JqInput<'v> {
    value: &'v Value,
    made: OnceCell<Val>,
}

impl<'v> JqInput<'v> {
    /// Takes a value.
    #[must_use]
    pub const fn new(value: &'v Value) -> Self {
        Self { value, made: OnceCell::new() }
    }

    /// Returns the value.
    #[must_use]
    pub const fn value(&self) -> &'v Value {
        self.value
    }

    /// Returns jaq's value, which shares what it holds with those before.
    pub(super) fn get(&self) -> Val {
        self.made.get_or_init(|| convert::from_value(self.value)).clone()
    }
}
