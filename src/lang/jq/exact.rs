//! Values with the digits that their input has: jaq keeps a decimal's own text, until a program works with it.

use std::borrow::Cow;

use super::{Jq, JqRunError, convert};

impl Jq {
    /// Runs the program on a JSON text, with JSON texts for its variables, and returns its first output as a JSON text, `null` where it has
    /// none. Numbers keep all their digits on the way, also those that become a part of a text.
    ///
    /// # Errors
    /// Where a text isn't JSON, and as [`Jq::values`].
    pub fn one_exact(&self, input: &str, vars: &[Cow<'_, str>]) -> Result<String, JqRunError> {
        let vars = vars.iter().map(|text| convert::parse(text.as_bytes())).collect::<Result<_, _>>()?;
        let mut first = "null".to_owned();
        self.each_until(&self.0.filter, [convert::parse(input.as_bytes())], vars, |output| {
            first = convert::to_text(&output)?;
            Ok(false)
        })?;
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_until_a_program_works_with_them() {
        let run = |program: &str, input: &str, edge: &str| {
            Jq::compile(program, &["last"]).unwrap().one_exact(input, &[edge.into()]).unwrap()
        };
        assert_eq!(run(".n", r#"{"n": 1.10}"#, "null"), "1.10");
        assert_eq!(
            run(".n | tostring", r#"{"n": 123456789012345678901234567890}"#, "null"),
            r#""123456789012345678901234567890""#
        );
        assert_eq!(run(r#""at \($last.n)""#, "{}", r#"{"n": 1e3}"#), r#""at 1e3""#);
        assert_eq!(run("[$last.n, .n]", r#"{"n": 2.50}"#, r#"{"n": 1.0}"#), "[1.0,2.50]");
        assert_eq!(run(".n + 1", r#"{"n": 1.10}"#, "null"), "2.1");
        assert_eq!(run("empty", "{}", "null"), "null");
    }
}
