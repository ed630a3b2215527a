//! The judgement of an answer: pure. In this order: `empty`, `auth_failed`, the status, `success`.

use http::StatusCode;
use serde_json::Value;
use thiserror::Error;

use super::again::NOW;
use crate::lang::jq::{Jq, JqError, JqInput, JqRunError};

/// The jq texts of a source or job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleTexts {
    /// True for an answer that is a page with no rows, whatever its status.
    pub empty: Option<String>,
    /// True for an answer that refuses the credential; by default `$status == 401`.
    pub auth_failed: Option<String>,
    /// True for an answer with a 2xx status that is what was asked for.
    pub success: Option<String>,
    /// The server's words on an error.
    pub error_message: Option<String>,
    /// True for an answer that is no success and refuses for good what was sent.
    pub refused: Option<String>,
    /// True for an answer that is worth another try, beside those whose status says so.
    pub retry_when: Option<String>,
    /// Seconds to wait before the next try, where `Retry-After` doesn't say; it also sees `$now`.
    pub retry_after: Option<String>,
}

/// A rule that isn't jq.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{field}: {source}")]
pub struct RulesError {
    /// The field: `empty`, `auth_failed`, `success`, `error_message`, `refused`, `retry.when` or `retry.after`.
    pub field: &'static str,
    /// What is wrong, and where in the text.
    pub source: JqError,
}

/// The rules, compiled.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) empty: Option<Jq>,
    pub(super) auth_failed: Option<Jq>,
    success: Option<Jq>,
    error_message: Option<Jq>,
    refused: Option<Jq>,
    pub(super) retry_when: Option<Jq>,
    pub(super) retry_after: Option<Jq>,
}

/// What an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// A page with no rows.
    Empty,
    /// A page.
    Page,
    /// The credential was refused.
    Refused {
        /// What was judged wrong, with the server's words.
        reason: String,
    },
    /// An error.
    Failed {
        /// What was judged wrong, with the server's words.
        reason: String,
    },
    /// An error that refuses for good what was sent.
    Unwanted {
        /// What was judged wrong, with the server's words.
        reason: String,
    },
    /// It can't be told: a rule fails on the answer.
    Broken {
        /// Which rule and why, with the server's words.
        reason: String,
    },
}

/// What the rules look at.
pub(super) struct Answer<'a> {
    status: StatusCode,
    pub(super) envelope: JqInput<'a>,
    pub(super) vars: Vec<Value>,
}

impl Rules {
    /// Returns the rules for answers that aren't pages: those but `empty`.
    #[must_use]
    pub fn without_empty(&self) -> Self {
        Self { empty: None, ..self.clone() }
    }

    /// Compiles the rules. They see `$status` and `$headers` (names in lower case), and the variables `extra`.
    pub fn compile(texts: &RuleTexts, extra: &[&str]) -> Result<Self, RulesError> {
        let vars: Vec<_> = ["status", "headers"].into_iter().chain(extra.iter().copied()).collect();
        let with_now: Vec<_> = vars.iter().copied().chain([NOW]).collect();
        let compile_with = |field: &'static str, text: &Option<String>, vars: &[&str]| {
            let compiled = text.as_deref().map(|text| Jq::compile(text, vars)).transpose();
            compiled.map_err(|source| RulesError { field, source })
        };
        let compile = |field, text| compile_with(field, text, &vars);
        Ok(Self {
            empty: compile("empty", &texts.empty)?,
            auth_failed: compile("auth_failed", &texts.auth_failed)?,
            success: compile("success", &texts.success)?,
            error_message: compile("error_message", &texts.error_message)?,
            refused: compile("refused", &texts.refused)?,
            retry_when: compile("retry.when", &texts.retry_when)?,
            retry_after: compile_with("retry.after", &texts.retry_after, &with_now)?,
        })
    }

    /// Judges an answer. `envelope` is its body, or what the decoder left of it; null where it isn't JSON. `extra` are the values
    /// of the further variables, in their order. The CPU is used for as long as jq runs: call it off the async threads.
    ///
    /// A rule that fails on a status other than 2xx is as if it said no, for the status is an error already; the failure is told
    /// with it. On a 2xx status it is an error, so that a rule which doesn't fit the answers is found.
    #[must_use]
    pub fn judge(&self, status: StatusCode, headers: &Value, envelope: &Value, extra: &[Value]) -> Judged {
        let answer = Answer::new(status, headers, envelope, extra);
        let mut broken = Vec::new();
        if self.empty.as_ref().is_some_and(|rule| answer.says("empty", rule, &mut broken)) {
            return Judged::Empty;
        }
        if self.refuses(&answer, &mut broken) {
            return Judged::Refused { reason: self.words("the server refused the credential", &answer, &broken) };
        }
        if !status.is_success() {
            return self.failed(&status_text(status, headers), &answer, broken);
        }
        let success = self.success.as_ref().is_none_or(|rule| answer.says("success", rule, &mut broken));
        match (broken.is_empty(), success) {
            (true, true) => Judged::Page,
            (false, _) => Judged::Broken { reason: self.words("the answer can't be judged", &answer, &broken) },
            (true, false) => self.failed("'success' is not true", &answer, broken),
        }
    }

    /// Tells of an answer that is no success whether it refuses for good what was sent.
    fn failed(&self, judged: &str, answer: &Answer<'_>, mut broken: Vec<String>) -> Judged {
        let unwanted = self.refused.as_ref().is_some_and(|rule| answer.says("refused", rule, &mut broken));
        let reason = self.words(judged, answer, &broken);
        if unwanted { Judged::Unwanted { reason } } else { Judged::Failed { reason } }
    }

    pub(super) fn refuses(&self, answer: &Answer<'_>, broken: &mut Vec<String>) -> bool {
        match &self.auth_failed {
            Some(rule) => answer.says("auth_failed", rule, broken),
            None => answer.status == StatusCode::UNAUTHORIZED,
        }
    }

    /// Joins what was judged with the server's words and the rules that failed.
    fn words(&self, judged: &str, answer: &Answer<'_>, broken: &[String]) -> String {
        let mut words = judged.to_owned();
        let said = self.error_message.as_ref().map(|rule| rule.one_of(&answer.envelope, &answer.vars));
        match said {
            None | Some(Ok(Value::Null) | Err(_)) => {}
            Some(Ok(Value::String(said))) => words.push_str(&format!("; it says: {said}")),
            Some(Ok(said)) => words.push_str(&format!("; it says: {said}")),
        }
        for broken in broken {
            words.push_str("; ");
            words.push_str(broken);
        }
        words
    }
}

impl<'a> Answer<'a> {
    pub(super) fn new(status: StatusCode, headers: &Value, envelope: &'a Value, extra: &[Value]) -> Self {
        let mut vars = vec![Value::from(status.as_u16()), headers.clone()];
        vars.extend_from_slice(extra);
        Self { status, envelope: JqInput::new(envelope), vars }
    }

    pub(super) fn says(&self, field: &str, rule: &Jq, broken: &mut Vec<String>) -> bool {
        rule.truthy_of(&self.envelope, &self.vars).unwrap_or_else(|error: JqRunError| {
            broken.push(format!("'{field}' can't be evaluated on the answer: {error}"));
            false
        })
    }
}

pub(super) fn status_text(status: StatusCode, headers: &Value) -> String {
    let name = status.canonical_reason().unwrap_or("an unknown status");
    match headers.get("location").and_then(Value::as_str) {
        Some(location) if status.is_redirection() => {
            format!("the server redirects to {location}, and redirects aren't followed")
        }
        _ => format!("the server answered {} {name}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ntopng() -> Rules {
        let texts = RuleTexts {
            empty: Some("$status == 204 or ($status == 404 and .rc == -1)".to_owned()),
            auth_failed: Some(r#"$status == 302 and ($headers.location | contains("login.lua"))"#.to_owned()),
            success: Some(".rc == 0".to_owned()),
            error_message: Some(".rc_str_hr // .rc_str".to_owned()),
            ..RuleTexts::default()
        };
        Rules::compile(&texts, &[]).unwrap()
    }

    fn judge(rules: &Rules, status: u16, headers: &Value, envelope: &Value) -> Judged {
        rules.judge(StatusCode::from_u16(status).unwrap(), headers, envelope, &[])
    }

    fn failure(judged: Judged) -> String {
        match judged {
            Judged::Failed { reason } | Judged::Broken { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_redirect_to_the_login_is_a_refused_credential_before_it_is_a_status() {
        let login = json!({"location": "/lua/login.lua?referer=x"});
        assert!(matches!(judge(&ntopng(), 302, &login, &Value::Null), Judged::Refused { .. }));
        let error = json!({"location": "/lua/http_status_code.lua?message=internal_error"});
        let reason = failure(judge(&ntopng(), 302, &error, &Value::Null));
        assert!(reason.starts_with("the server redirects to /lua/http_status_code.lua"), "{reason}");
    }

    #[test]
    fn the_order_is_empty_then_auth_then_status_then_success() {
        assert_eq!(judge(&ntopng(), 200, &json!({}), &json!({"rc": 0})), Judged::Page);
        assert_eq!(judge(&ntopng(), 404, &json!({}), &json!({"rc": -1})), Judged::Empty);
        assert_eq!(judge(&ntopng(), 204, &json!({}), &Value::Null), Judged::Empty);
        let reason = failure(judge(&ntopng(), 400, &json!({}), &json!({"rc": -2, "rc_str": "INVALID_INTERFACE"})));
        assert_eq!(reason, "the server answered 400 Bad Request; it says: INVALID_INTERFACE");
        let reason = failure(judge(&ntopng(), 200, &json!({}), &json!({"rc": -6, "rc_str_hr": {"a": 1}})));
        assert_eq!(reason, r#"'success' is not true; it says: {"a":1}"#);
    }

    #[test]
    fn a_body_that_is_not_json_is_null_and_no_success() {
        assert_eq!(failure(judge(&ntopng(), 200, &json!({}), &Value::Null)), "'success' is not true");
    }

    #[test]
    fn a_rule_that_fails_is_told_and_never_taken_for_yes() {
        let reason = failure(judge(&ntopng(), 200, &json!({}), &json!([1])));
        assert!(reason.contains("'success' can't be evaluated"), "{reason}");
        let texts = RuleTexts { auth_failed: Some(".error_code == 3001".to_owned()), ..RuleTexts::default() };
        let rules = Rules::compile(&texts, &[]).unwrap();
        let reason = failure(judge(&rules, 500, &json!({}), &json!([1])));
        assert!(reason.starts_with("the server answered 500") && reason.contains("'auth_failed' can't"), "{reason}");
    }

    #[test]
    fn without_rules_401_refuses_and_2xx_is_a_page() {
        let rules = Rules::compile(&RuleTexts::default(), &[]).unwrap();
        assert!(matches!(judge(&rules, 401, &json!({}), &Value::Null), Judged::Refused { .. }));
        assert!(matches!(judge(&rules, 403, &json!({}), &Value::Null), Judged::Failed { .. }));
        assert_eq!(judge(&rules, 200, &json!({}), &Value::Null), Judged::Page);
    }

    #[test]
    fn an_answer_may_refuse_for_good_what_was_sent() {
        let texts = RuleTexts {
            refused: Some("$status == 400 or .error == \"bad\"".to_owned()),
            success: Some(".error == null".to_owned()),
            ..RuleTexts::default()
        };
        let rules = Rules::compile(&texts, &[]).unwrap();
        assert!(matches!(judge(&rules, 400, &json!({}), &Value::Null), Judged::Unwanted { .. }));
        assert!(matches!(judge(&rules, 201, &json!({}), &json!({"error": "bad"})), Judged::Unwanted { .. }));
        assert!(matches!(judge(&rules, 201, &json!({}), &json!({"error": "late"})), Judged::Failed { .. }));
        assert!(matches!(judge(&rules, 500, &json!({}), &Value::Null), Judged::Failed { .. }));
        assert!(matches!(judge(&rules, 401, &json!({}), &Value::Null), Judged::Refused { .. }));
        assert_eq!(judge(&rules, 201, &json!({}), &json!({})), Judged::Page);
    }

    #[test]
    fn a_rule_that_is_no_jq_names_its_field() {
        let texts = RuleTexts { success: Some(".rc == $nope".to_owned()), ..RuleTexts::default() };
        assert!(Rules::compile(&texts, &[]).unwrap_err().to_string().starts_with("success: "));
        assert!(Rules::compile(&texts, &["nope"]).is_ok());
    }
}
