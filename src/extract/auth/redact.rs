//! Scrubs known secrets from any text before it goes into an error, a log or a report.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::escapes;
use crate::lang::foreign::held_in_place;
use crate::lang::template::URL_ESCAPED;
use crate::secret::{SHORTEST_WITHIN_WORDS, Secret};

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Characters of a body that an error shows.
const EXCERPT: usize = 200;

/// Bytes of a body that are looked at for an excerpt: enough that no secret is cut before it is known as one.
const LOOKED_AT: usize = 16 * 1024;

/// Base64 shorter than this would be found in innocent texts.
const SHORTEST_BASE64: usize = 6;

/// Secrets shorter than this aren't looked for in other escapes than the usual ones.
const SHORTEST_ESCAPED: usize = 6;

/// Secrets shorter than this are left in data.
const SHORTEST_IN_DATA: usize = 8;

/// Secrets shorter than this are left in what is kept for good.
const SHORTEST_KEPT: usize = 6;

/// Learned secrets that are remembered: what is said is about the last few sessions, and a process may live through thousands.
const REMEMBERED: usize = 64;

const ALL_ESCAPED: &AsciiSet = NON_ALPHANUMERIC;

/// Knows the secrets of a source, in all the forms in which they travel. Clones share what they learn.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    /// Whether texts are kept for good, rows among them: then words of a secret are none, nor are short ones.
    for_good: bool,
    /// Those that were known from the start, never forgotten.
    secrets: Vec<Secret>,
    /// Their forms.
    given: Vec<String>,
    /// Those that came later, such as tokens, the oldest first: each with its forms.
    learned: VecDeque<(Secret, Vec<String>)>,
    /// All forms. Longest first, so that no part of a longer form is left standing.
    forms: Vec<String>,
    /// The secrets as they are, where a server may escape them in a way of its own. Longest first.
    plain: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Redactor({} forms)", known.forms.len())
    }
}

impl Redactor {
    /// Learns `secrets`: as they are, percent-encoded, escaped in JSON, and in base64, also as a part of a longer text.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let secrets: Vec<Secret> = secrets.into_iter().cloned().collect();
        Self::of(Known { secrets, ..Known::default() })
    }

    /// As [`Redactor::new`], for what is kept for good, rows among it: a word of a secret may stand there by chance, but for the token behind
    /// the name of a scheme, and so may a secret that is shorter than six bytes.
    #[must_use]
    pub fn for_good(secrets: Vec<Secret>) -> Self {
        Self::of(Known { secrets, for_good: true, ..Known::default() })
    }

    fn of(mut known: Known) -> Self {
        known.given = known.secrets.iter().flat_map(|secret| forms(&known.plain(secret.expose()))).collect();
        known.sort();
        Self(Arc::new(RwLock::new(known)))
    }

    /// Learns more secrets that are never to be forgotten; an empty one is none.
    pub fn know<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let secrets: Vec<Secret> = secrets.into_iter().filter(|secret| !secret.expose().is_empty()).cloned().collect();
        let given: Vec<_> = secrets.iter().flat_map(|secret| forms(&known.plain(secret.expose()))).collect();
        if given.iter().any(|form| !known.given.contains(form)) {
            known.secrets.extend(secrets);
            known.given.extend(given);
            known.sort();
        }
    }

    /// Returns what it knows.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.secrets.iter().chain(known.learned.iter().map(|(secret, _)| secret)).cloned().collect()
    }

    /// Learns secrets that came up later. Of these it forgets the oldest, once there are many.
    pub fn learn<'a>(&self, secrets: impl IntoIterator<Item = &'a Secret>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.learned.len();
        for secret in secrets {
            let is_known = |(old, _): &(Secret, Vec<String>)| old.expose() == secret.expose();
            if !known.learned.iter().any(is_known) {
                let forms = forms(&known.plain(secret.expose()));
                known.learned.push_back((secret.clone(), forms));
            }
        }
        if known.learned.len() == before {
            return;
        }
        let forgotten = known.learned.len().saturating_sub(REMEMBERED);
        known.learned.drain(..forgotten);
        known.sort();
    }

    /// Returns `text` with every secret replaced by [`REDACTED`].
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        self.scrub_from(0, text)
    }

    /// As [`Redactor::scrub`], for data: a secret that is shorter than eight bytes may stand there by chance, and stays.
    #[must_use]
    pub fn scrub_data(&self, text: &str) -> String {
        self.scrub_from(SHORTEST_IN_DATA, text)
    }

    fn scrub_from(&self, shortest: usize, text: &str) -> String {
        let mut clean = text.to_owned();
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let shortest = if known.for_good { SHORTEST_KEPT } else { shortest };
        for form in known.forms.iter().take_while(|form| form.len() >= shortest) {
            if clean.contains(form.as_str()) {
                clean = if form.len() < SHORTEST_WITHIN_WORDS {
                    without_word(&clean, form)
                } else {
                    clean.replace(form.as_str(), REDACTED)
                };
            }
        }
        if escapes::may_escape(&clean) {
            for plain in known.plain.iter().filter(|plain| plain.len() >= shortest) {
                if let Some(cleaner) = escapes::replace(&clean, plain, REDACTED) {
                    clean = cleaner;
                }
            }
        }
        clean
    }
}

impl Known {
    fn sort(&mut self) {
        let learned = self.learned.iter().flat_map(|(_, forms)| forms);
        let mut forms: Vec<_> = self.given.iter().chain(learned).cloned().collect();
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let learned = self.learned.iter().map(|(secret, _)| secret);
        let texts = self.secrets.iter().chain(learned).flat_map(|secret| self.plain(secret.expose()));
        let may_be =
            |text: &&str| text.len() >= SHORTEST_ESCAPED && text.contains(|c: char| !c.is_ascii_alphanumeric());
        let mut texts: Vec<String> = texts.filter(may_be).map(str::to_owned).collect();
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        self.plain = texts;
        self.forms = forms;
    }

    /// Returns a secret as it is, and what of it is one by itself.
    fn plain<'s>(&self, secret: &'s str) -> [&'s str; 3] {
        let trimmed = secret.trim();
        // `Token abc` as the value of a header: the token alone is the secret.
        let bare = match trimmed.rsplit_once(' ') {
            Some((scheme, _)) if self.for_good && scheme.contains(' ') => trimmed,
            Some((_, bare)) => bare,
            None => trimmed,
        };
        [secret, trimmed, bare]
    }
}

/// Returns the beginning of a body for an error: scrubbed, at most 200 characters, those escaped that would leave their place.
#[must_use]
pub fn excerpt(redactor: &Redactor, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT)]);
    let clean = redactor.scrub(&text);
    let mut shown = held_in_place(&clean.chars().take(EXCERPT).collect::<String>());
    if clean.chars().nth(EXCERPT).is_some() || body.len() > LOOKED_AT {
        shown.push('…');
    }
    shown
}

/// Returns `text` with [`REDACTED`] in place of `word`, where that is no part of a longer word.
fn without_word(text: &str, word: &str) -> String {
    let (mut clean, mut copied) = (String::new(), 0);
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if !joined(text[..at].chars().next_back()) && !joined(text[end..].chars().next()) {
            clean.push_str(&text[copied..at]);
            clean.push_str(REDACTED);
            copied = end;
        }
    }
    clean + &text[copied..]
}

fn forms(plain: &[&str]) -> Vec<String> {
    let mut forms = Vec::new();
    for text in plain {
        if text.is_empty() {
            continue;
        }
        forms.push((*text).to_owned());
        let once = escaped(text);
        // An answer that is a text within another one: such as a row that is no object, and is quoted.
        forms.push(escaped(&once));
        forms.push(once);
        for set in [URL_ESCAPED, ALL_ESCAPED] {
            let upper = utf8_percent_encode(text, set).to_string();
            forms.push(upper.replace("%20", "+"));
            forms.push(lower_escapes(&upper));
            forms.push(upper);
        }
        forms.extend((0..3).flat_map(|before| base64_within(text, before)));
    }
    forms
}

/// Escapes a text as JSON does.
fn escaped(text: &str) -> String {
    let json = Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// Turns `%2F` into `%2f`, which some servers echo.
fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    let lower = |c: char| {
        if c == '%' {
            left = 2;
            return c;
        }
        if left == 0 {
            return c;
        }
        left -= 1;
        c.to_ascii_lowercase()
    };
    text.chars().map(lower).collect()
}

/// Returns the base64 digits that depend on `text` alone where `before` bytes (modulo 3) stand before it, as in `user:password`.
fn base64_within(text: &str, before: usize) -> Vec<String> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text.as_bytes());
    // Each digit holds six bits; the first and the last may hold bits of a neighbour.
    let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    let digits = |engine: &base64::engine::GeneralPurpose| {
        engine.encode(&bytes).get(first..last).filter(|digits| digits.len() >= SHORTEST_BASE64).map(str::to_owned)
    };
    [&STANDARD, &URL_SAFE].into_iter().filter_map(digits).collect()
}
