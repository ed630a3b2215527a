//! Whether an answer is worth another try, and after how long: what the rules of a job say of it. Pure.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::judge::{Answer, Rules};
use super::retry::RetryPolicy;

/// The variable of `retry.after` beside those of the other rules: the present instant, in seconds since 1970-01-01T00:00Z.
pub const NOW: &str = "now";

/// What the rules say of another try.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Again {
    /// The answer stands.
    Settled,
    /// It is worth another try.
    Worth {
        /// How long `retry.after` says to wait.
        after: Option<Duration>,
        /// Why `retry.after` says nothing, though it should.
        broken: Option<String>,
    },
    /// It can't be told: `retry.when` doesn't fit an answer that has a 2xx status.
    Unknown(String),
}

impl Rules {
    /// Tells whether [`Rules::again`] can say more of an answer with `status` than the status itself does. `asks_to_wait` says that it has
    /// `Retry-After`.
    pub(super) fn speak_of_retries(&self, status: StatusCode, asks_to_wait: bool) -> bool {
        let transient = RetryPolicy::may_pass(status, asks_to_wait);
        self.retry_when.is_some()
            || status == StatusCode::FORBIDDEN && asks_to_wait
            || transient && (self.retry_after.is_some() || self.empty.is_some() || self.auth_failed.is_some())
    }

    /// Tells whether an answer that is no success means what its status says, though its body isn't whole: a refused credential is one,
    /// whatever the body would have said. One that `empty` takes doesn't, since that may have looked at what is missing. It uses the CPU:
    /// call it off the async threads.
    pub(super) fn stand_without_the_body(
        &self,
        status: StatusCode,
        headers: &Value,
        envelope: &Value,
        extra: &[Value],
    ) -> bool {
        let (answer, mut ignored) = (Answer::new(status, headers, envelope, extra), Vec::new());
        self.refuses(&answer, &mut ignored)
            || !self.empty.as_ref().is_some_and(|rule| answer.says("empty", rule, &mut ignored))
    }

    /// Tells whether an answer is worth another try. `envelope` and `extra` are as for [`Rules::judge`]; `now` is the present
    /// instant in seconds. It uses the CPU: call it off the async threads.
    ///
    /// An answer that `empty` takes, or that refuses the credential, is not: sent again, a wrong password would lock the account.
    pub(super) fn again(
        &self,
        status: StatusCode,
        headers: &Value,
        envelope: &Value,
        extra: &[Value],
        now: f64,
    ) -> Again {
        let answer = Answer::new(status, headers, envelope, extra);
        let mut ignored = Vec::new();
        if self.empty.as_ref().is_some_and(|rule| answer.says("empty", rule, &mut ignored))
            || self.refuses(&answer, &mut ignored)
        {
            return Again::Settled;
        }
        let mut broken = Vec::new();
        let wanted = self.retry_when.as_ref().is_some_and(|rule| answer.says("retry.when", rule, &mut broken));
        match broken.pop() {
            Some(broken) if status.is_success() => return Again::Unknown(broken),
            _ if !wanted && !RetryPolicy::may_pass(status, headers.get("retry-after").is_some()) => {
                return Again::Settled;
            }
            _ => {}
        }
        match self.wait(&answer, now) {
            Ok(after) => Again::Worth { after, broken: None },
            Err(broken) => Again::Worth { after: None, broken: Some(broken) },
        }
    }

    /// Evaluates `retry.after`: a number of seconds, also as a text; null says nothing, and what has passed is no wait.
    fn wait(&self, answer: &Answer<'_>, now: f64) -> Result<Option<Duration>, String> {
        let Some(rule) = &self.retry_after else { return Ok(None) };
        let vars: Vec<Value> = answer.vars.iter().cloned().chain([now.into()]).collect();
        let given = rule.one_of(&answer.envelope, &vars);
        let given = given.map_err(|error| format!("'retry.after' can't be evaluated on the answer: {error}"))?;
        let seconds = match &given {
            Value::Null => return Ok(None),
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let wait = seconds.filter(|seconds: &f64| seconds.is_finite());
        let wait = wait.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        let shown = || given.to_string().chars().take(40).collect::<String>();
        wait.map(Some).ok_or_else(|| format!("'retry.after' gives {}, which is no number of seconds", shown()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::extract::http::RuleTexts;

    fn rules(when: Option<&str>, after: Option<&str>) -> Rules {
        let texts = RuleTexts {
            auth_failed: Some(".error == \"login\"".to_owned()),
            empty: Some("$status == 503 and .error == \"nothing\"".to_owned()),
            retry_when: when.map(str::to_owned),
            retry_after: after.map(str::to_owned),
            ..RuleTexts::default()
        };
        Rules::compile(&texts, &["site"]).unwrap()
    }

    fn again(rules: &Rules, status: u16, headers: &Value, envelope: &Value) -> Again {
        rules.again(StatusCode::from_u16(status).unwrap(), headers, envelope, &[json!({"id": 7})], 1000.0)
    }

    const fn worth(seconds: Option<u64>) -> Again {
        let after = match seconds {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => None,
        };
        Again::Worth { after, broken: None }
    }

    #[test]
    fn a_transient_status_or_the_rule_is_worth_another_try() {
        let rules = rules(Some(".busy and $site.id == 7"), None);
        assert_eq!(again(&rules, 200, &json!({}), &json!({"busy": true})), worth(None));
        assert_eq!(again(&rules, 200, &json!({}), &json!({"busy": false})), Again::Settled);
        assert_eq!(again(&rules, 404, &json!({}), &Value::Null), Again::Settled);
        assert_eq!(again(&rules, 502, &json!({}), &Value::Null), worth(None));
        assert_eq!(again(&rules, 403, &json!({"retry-after": "7"}), &Value::Null), worth(None), "a limit");
        assert_eq!(again(&rules, 403, &json!({}), &Value::Null), Again::Settled, "a lack of rights");
        assert_eq!(again(&rules, 403, &json!({"retry-after": "7"}), &json!({"error": "login"})), Again::Settled);
    }

    #[test]
    fn a_refused_credential_is_never_worth_another_try() {
        let rules = rules(Some("true"), None);
        for status in [200, 403, 429, 500, 503] {
            assert_eq!(again(&rules, status, &json!({}), &json!({"error": "login"})), Again::Settled, "{status}");
        }
        assert_eq!(again(&rules, 503, &json!({}), &json!({"error": "nothing"})), Again::Settled);
    }

    #[test]
    fn a_rule_that_does_not_fit_a_success_is_told() {
        let rules = rules(Some(".busy"), None);
        let Again::Unknown(why) = again(&rules, 200, &json!({}), &json!([1])) else { panic!("not told") };
        assert!(why.starts_with("'retry.when' can't be evaluated on the answer"), "{why}");
        assert_eq!(again(&rules, 404, &json!({}), &json!([1])), Again::Settled);
        assert_eq!(again(&rules, 502, &json!({}), &json!([1])), worth(None));
    }

    #[test]
    fn the_wait_may_stand_anywhere_in_the_answer() {
        let reset = rules(None, Some(r#"$headers["x-ratelimit-reset"] | tonumber - $now"#));
        let wait = |at: &str| again(&reset, 429, &json!({"x-ratelimit-reset": at}), &Value::Null);
        assert_eq!(wait("1042"), worth(Some(42)));
        assert_eq!(wait("900"), worth(Some(0)), "what has passed is no wait");
        let Again::Worth { after: None, broken: Some(broken) } = again(&reset, 429, &json!({}), &Value::Null) else {
            panic!("not told")
        };
        assert!(broken.starts_with("'retry.after' can't be evaluated on the answer"), "{broken}");
        let body = rules(None, Some(".wait"));
        assert_eq!(
            again(&body, 500, &json!({}), &json!({"wait": "2.5"})),
            Again::Worth { after: Some(Duration::from_millis(2500)), broken: None }
        );
        assert_eq!(again(&body, 500, &json!({}), &json!({"wait": null})), worth(None));
        assert_eq!(
            again(&body, 500, &json!({}), &json!({"wait": 1e300})),
            Again::Worth { after: Some(Duration::MAX), broken: None }
        );
        for odd in [json!([]), json!("soon"), json!(true), json!("NaN")] {
            let Again::Worth { after: None, broken: Some(broken) } =
                again(&body, 500, &json!({}), &json!({"wait": odd}))
            else {
                panic!("{odd} is taken")
            };
            assert!(broken.contains("no number of seconds"), "{broken}");
        }
    }

    #[test]
    fn the_body_is_looked_at_only_where_it_may_matter() {
        let (none, when) = (Rules::compile(&RuleTexts::default(), &[]).unwrap(), rules(Some(".busy"), None));
        assert!(!none.speak_of_retries(StatusCode::OK, true) && !none.speak_of_retries(StatusCode::BAD_GATEWAY, false));
        assert!(
            none.speak_of_retries(StatusCode::FORBIDDEN, true) && !none.speak_of_retries(StatusCode::FORBIDDEN, false)
        );
        assert!(when.speak_of_retries(StatusCode::OK, false));
        let custom = rules(None, None);
        assert!(
            !custom.speak_of_retries(StatusCode::OK, true) && custom.speak_of_retries(StatusCode::BAD_GATEWAY, false)
        );
    }
}
