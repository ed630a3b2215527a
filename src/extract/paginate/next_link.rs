//! `next_link`: the server gives the URL of the next page, in its answer or in a `Link` header (RFC 8288).

use serde_json::Value;
use url::Url;

use super::foresee::{foresee, unknown};
use super::given::{Ends, Given, Trail, Way, within};
use super::{Decision, Edit, EndRules, PaginateError, Paginator, Seen};
use crate::model::EndReason;

const ENDS: Ends =
    Ends { what: "link", empty: EndReason::LinkEmpty, gone: EndReason::LinkGone, none: EndReason::NoLink };

/// Moves by the link that the server gave.
#[derive(Debug, Clone)]
pub struct NextLink {
    rules: EndRules,
    trail: Trail,
}

impl NextLink {
    /// Begins with the request as it stands.
    #[must_use]
    pub fn new(rules: EndRules) -> Self {
        Self { rules, trail: Trail::default() }
    }
}

impl Paginator for NextLink {
    fn first(&self) -> Vec<Edit> {
        Vec::new()
    }

    fn next(&mut self, seen: &Seen) -> Result<Decision, PaginateError> {
        match self.trail.take(seen, ENDS, "the link", &self.rules)? {
            Way::End(end) => Ok(Decision::Done(end)),
            Way::On(Value::String(link)) => {
                within(&self.rules, seen)?;
                Ok(Decision::Follow(link))
            }
            Way::On(other) => Err(PaginateError::LinkType { page: seen.page, found: other.to_string() }),
        }
    }

    fn foresee(&self, seen: &Seen, count: usize) -> Vec<Decision> {
        foresee(self, seen, count, unknown)
    }
}

/// Resolves a link against the URL of the request that it came with. It must stay at the same origin, for the credential goes along.
pub fn resolve(link: &str, request: &Url, page: u64) -> Result<Url, PaginateError> {
    let refuse = |reason: String| PaginateError::Link { page, reason };
    let mut url = request.join(link.trim()).map_err(|error| refuse(error.to_string()))?;
    if url.origin() != request.origin() {
        let [to, from] = [&url, request].map(|url| match url.origin() {
            url::Origin::Opaque(_) => format!("{}:", url.scheme()),
            origin @ url::Origin::Tuple(..) => origin.ascii_serialization(),
        });
        return Err(PaginateError::ForeignLink { page, to, from });
    }
    // A user in the link would be a credential of the server's choice.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| refuse("it names a user".to_owned()))?;
    url.set_fragment(None);
    Ok(url)
}

/// Reads the link of the relation `next` from the header `name` of a page; `headers` is an object with names in lower case. Several
/// lines of one header are one list.
///
/// # Errors
/// Where the header can't be read up to such a link, or to its end: it may name a next page all the same.
pub fn from_header(headers: &Value, name: &str, page: u64) -> Result<Given, PaginateError> {
    let name = name.to_ascii_lowercase();
    let text = headers.get(&name).and_then(Value::as_str).unwrap_or_default();
    given(text).map_err(|reason| PaginateError::LinkHeader { page, name, reason })
}

/// Relations that say where a page stands in a list: a header that has one of them, and no `next`, says that it is the last.
const PLACES: [&str; 4] = ["prev", "previous", "first", "last"];

/// Returns the target of the first link with the relation `next` that is about the page itself (has no `anchor`).
fn given(header: &str) -> Result<Given, &'static str> {
    let mut given = Given::Absent;
    let is_between = |c: char| c == ',' || c.is_whitespace();
    let mut rest = header.trim_start_matches(is_between);
    while !rest.is_empty() {
        let after = rest.strip_prefix('<').ok_or("a link begins with `<`, and it has something else there")?;
        let (target, after) = after.split_once('>').ok_or("the target of a link has no `>` at its end")?;
        let (params, after) = params(after)?;
        rest = after.trim_start_matches(is_between);
        // Only the first `rel` counts (RFC 8288, section 3.3).
        let rel = params.iter().find(|(name, _)| name == "rel").map_or("", |(_, value)| value);
        if !rel.split_ascii_whitespace().all(|relation| relation.starts_with(|c: char| c.is_ascii_alphabetic())) {
            return Err("a `rel` names no relation: it stands in double quotes, or in none");
        }
        let has = |name: &str| rel.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case(name));
        if params.iter().any(|(name, _)| name == "anchor") {
            continue;
        }
        if has("next") {
            let target = target.trim();
            return if target.is_empty() {
                Err("the next link is empty")
            } else {
                Ok(Given::Next(Value::from(target)))
            };
        }
        if PLACES.into_iter().any(has) {
            given = Given::Empty;
        }
    }
    Ok(given)
}

/// Names and values.
type Params = Vec<(String, String)>;

/// Reads the parameters of a link, up to the comma that ends it; returns them, names in lower case, and what follows.
fn params(text: &str) -> Result<(Params, &str), &'static str> {
    let mut params = Vec::new();
    let mut rest = text.trim_start();
    while let Some(after) = rest.strip_prefix(';') {
        let after = after.trim_start();
        let end = after.find(['=', ';', ',']).unwrap_or(after.len());
        let name = after[..end].trim().to_ascii_lowercase();
        let (value, after) = match after[end..].strip_prefix('=') {
            Some(after) => value(after.trim_start())?,
            None => (String::new(), &after[end..]),
        };
        params.push((name, value));
        rest = after.trim_start();
    }
    if rest.is_empty() || rest.starts_with(',') { Ok((params, rest)) } else { Err("a `;` or `,` is missing") }
}

/// Reads a token, or a quoted string with its escapes; returns what follows too.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let token = text[..end].trim();
        if token.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>')) {
            return Err("a value without quotes has a blank, a quote or `<` in it");
        }
        return Ok((token.to_owned(), &text[end..]));
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((value, &quoted[at + 1..])),
            _ => value.push(c),
        }
    }
    Err("a quote is never closed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn header(text: &str) -> Option<String> {
        match from_header(&json!({"link": text}), "Link", 1) {
            Ok(Given::Next(Value::String(target))) => Some(target),
            _ => None,
        }
    }

    #[test]
    fn a_link_header_is_read_as_rfc_8288_writes_it() {
        let next = Some("/b".to_owned());
        for text in [
            r#"</b>; rel="next""#,
            "</b>;rel=next",
            r#"</a,x;rel="next">; rel="prev", </b>; rel="last next"; title="a, <c>; rel=\"next\"""#,
            r#"</a>; title="</x>; rel=next", </b>; REL = "NEXT""#,
            "</a>; rel=prev; rel=next, </b>; rel=next",
            r#"</a>; rel=next; anchor="/other", </b>; foo; rel=next"#,
            ", </a>; rel=first,,</b>;rel=next, </c>;rel=next",
        ] {
            assert_eq!(header(text), next, "{text}");
        }
        for text in [
            "",
            " ,, ",
            "</b>; rel=preload",
            "</b>; rel=nextpage;",
            "</b>; rel=prev; anchor=\"/c\"",
            "</b>",
            "<>; rel=self",
            r#"</b>; title="rel=next""#,
        ] {
            assert_eq!(from_header(&json!({"link": text}), "link", 1), Ok(Given::Absent), "{text}");
        }
        assert_eq!(from_header(&json!({}), "link", 1), Ok(Given::Absent));
        for last in ["</b>; rel=prev", "</a>; rel=\"First\", </b>; rel=previous", "</c>; rel=\"last\""] {
            assert_eq!(from_header(&json!({"link": last}), "link", 1), Ok(Given::Empty), "{last}");
        }
    }

    #[test]
    fn a_link_header_that_cannot_be_read_is_no_missing_link() {
        for text in [
            r#"</b> rel="next""#,
            r#"/b; rel="next""#,
            r#"</b; rel="next""#,
            "</b>; rel='next'",
            r#"foo, </b>; rel="next""#,
            r#"; </b>; rel="next""#,
            r#"</a>; rel="prev" </b>; rel="next""#,
            "</a>; rel=prev </b>; rel=next",
            "</a>; rel=prev</b>; rel=next",
            r#"</a>; rel="prev"; title="x, </b>; rel=next"#,
            r#"</a>; rel="prev", </b"#,
            r#"<>; rel="next""#,
            r#"< >; rel="next""#,
        ] {
            let error = from_header(&json!({"link": text}), "Link", 2).unwrap_err();
            assert!(matches!(&error, PaginateError::LinkHeader { page: 2, .. }), "{text}: {error}");
            assert!(error.to_string().starts_with("the header 'link' of page 2 can't be read: "), "{error}");
        }
    }

    #[test]
    fn a_link_stays_at_its_origin() {
        let request = Url::parse("https://host:8443/api/list?page=1").unwrap();
        let good = |link: &str| resolve(link, &request, 1).unwrap().to_string();
        assert_eq!(good("?page=2"), "https://host:8443/api/list?page=2");
        assert_eq!(good("next?x=%2F+a"), "https://host:8443/api/next?x=%2F+a");
        assert_eq!(good("/v2/list"), "https://host:8443/v2/list");
        assert_eq!(good(" https://HOST:8443/z#part "), "https://host:8443/z");
        assert_eq!(good("//host:8443/z"), "https://host:8443/z");
        assert_eq!(good("https://user:pw@host:8443/z"), "https://host:8443/z");
        for link in
            ["https://host/z", "http://host:8443/z", "//evil:8443/z", "https://host.evil:8443/", "javascript:alert(1)"]
        {
            let error = resolve(link, &request, 3).unwrap_err();
            assert!(matches!(&error, PaginateError::ForeignLink { page: 3, .. }), "{link}: {error}");
            assert!(error.to_string().contains("https://host:8443"), "{error}");
        }
        assert!(matches!(resolve("https://[", &request, 1), Err(PaginateError::Link { .. })));
    }

    #[test]
    fn no_link_is_an_end_that_proves_something_only_after_another() {
        let seen = |given| Seen { rows: 2, new_rows: 2, page: 1, given, ..Seen::default() };
        let link = |text: &str| Given::of(json!(text), true);
        let mut paginator = NextLink::new(EndRules::default());
        assert_eq!(paginator.clone().next(&seen(Given::Absent)), Ok(Decision::Done(EndReason::NoLink)));
        assert_eq!(paginator.clone().next(&seen(link(""))), Ok(Decision::Done(EndReason::LinkEmpty)));
        assert_eq!(paginator.next(&seen(link("/b"))), Ok(Decision::Follow("/b".to_owned())));
        assert_eq!(paginator.next(&seen(Given::Absent)), Ok(Decision::Done(EndReason::LinkGone)));
        let last = Seen { more: Some(false), ..seen(link("/c")) };
        assert_eq!(paginator.next(&last), Ok(Decision::Done(EndReason::MoreFalse)));
        assert!(matches!(paginator.next(&seen(Given::of(json!(7), true))), Err(PaginateError::LinkType { .. })));
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(text in r#"[<>;,="\\ a-zé]{0,60}"#) {
            let _ = header(&text);
        }

        #[test]
        fn the_next_link_is_found_among_others(
            target in "/[a-z0-9,;=?&]{0,12}", title in r"[ -!#-\[\]-~]{0,20}", before in prop::collection::vec("/[a-z,;]{0,8}", 0..4)
        ) {
            let others: String = before.iter().map(|target| format!("<{target}>; rel=\"prev\"; title=\"{title}\", ")).collect();
            prop_assert_eq!(header(&format!("{others}<{target}>; title=\"{title}\"; rel=\"next\", </z>; rel=next")), Some(target));
        }
    }
}
