//! How an API pages, as one answer of it shows.

use serde_json::Value;

use super::answer::{Answer, Key, jq, plain, scalar};

/// Names of what asks for a page by how many rows lie before it, by [`plain`].
const OFFSETS: [&str; 6] = ["offset", "start", "skip", "startat", "startindex", "from"];

/// Names of what asks for a page by its number.
const PAGES: [&str; 7] = ["page", "pagenumber", "pageno", "pageindex", "currentpage", "pagenum", "p"];

/// Names of how many rows a page has.
const SIZES: [&str; 14] = [
    "limit",
    "perpage",
    "pagesize",
    "size",
    "length",
    "count",
    "max",
    "maxresults",
    "top",
    "rows",
    "itemsperpage",
    "resultsperpage",
    "take",
    "pagelimit",
];

/// Names of a token that leads to the next page.
const CURSORS: [&str; 15] = [
    "nextcursor",
    "nextpagetoken",
    "nexttoken",
    "endcursor",
    "continuationtoken",
    "continuation",
    "scrollid",
    "bookmark",
    "nextmarker",
    "paginationtoken",
    "after",
    "cursor",
    "nextpage",
    "next",
    "offset",
];

/// Names of how many rows there are in all, the surest first.
const TOTALS: [&str; 15] = [
    "recordsfiltered",
    "recordstotal",
    "total",
    "totalcount",
    "totalresults",
    "totalrecords",
    "totalitems",
    "totalelements",
    "totalhits",
    "totalsize",
    "numfound",
    "odatacount",
    "totalvalue",
    "xtotalcount",
    "count",
];

/// Names of whether there is another page.
const MORE: [&str; 7] = ["hasmore", "hasnextpage", "hasnext", "more", "moreresults", "moreavailable", "istruncated"];

/// Names of whether this page is the last.
const LAST: [&str; 4] = ["islast", "islastpage", "last", "done"];

/// A number above that is no position in a list, but a time.
const MOST: u64 = 10_000_000;

/// What `paginate` says, and why.
#[derive(Debug)]
pub(super) struct Paging {
    /// What stands behind `paginate:`.
    pub(super) yaml: String,
    /// What in the answer shows it.
    pub(super) because: String,
    /// What of it is a guess, or has to be done.
    pub(super) checks: Vec<String>,
    /// The parameters that it sends by itself, which `query` so doesn't have.
    pub(super) sends: Vec<String>,
}

/// A way from a page to the next.
struct Way {
    entry: String,
    because: String,
    checks: Vec<String>,
    sends: Vec<String>,
}

/// Says how to page through what `answer` is the first page of. `key` is the column that tells its rows apart.
pub(super) fn of(answer: &Answer<'_>, key: Option<Key<'_>>) -> Paging {
    if !answer.records.is_list {
        let because = "the answer is one record".to_owned();
        return Paging { yaml: "none".to_owned(), because, checks: Vec::new(), sends: Vec::new() };
    }
    let way = [link_header, next_link, cursor, by_query, by_answer].into_iter().find_map(|way| way(answer));
    let more = more(answer);
    let way = way.or_else(|| after_key(key?.name, more.as_ref()));
    // As many as there are here aren't all where there are more.
    let total =
        total(answer).filter(|(_, count)| *count > answer.rows || more.as_ref().is_none_or(|more| !more.is_more));
    let mut entries: Vec<String> = way.iter().map(|way| way.entry.clone()).collect();
    let (mut because, mut checks, sends) = match way {
        Some(way) => (way.because, way.checks, way.sends),
        None => lone(&mut entries, answer, total.as_ref(), more.as_ref()),
    };
    if let Some((path, count)) = &total {
        entries.push(format!("total: {}", scalar(path)));
        because.push_str(&format!("; {path} is {count}"));
        checks.extend((*count == answer.rows).then(|| {
            format!("whether {path} counts all rows there are: it might count those of the page, and others would be missing")
        }));
    }
    if let Some(More { text, is_more, check }) = &more {
        entries.push(format!("more: {}", scalar(text)));
        because.push_str(&format!("; {text} is {is_more}"));
        checks.extend(check.clone());
    }
    if total.is_none() && more.is_none() && checks.is_empty() && entries != ["none"] {
        let states = "whether an answer says how many rows there are in all, or whether more follow: name it as `total` or `more`";
        checks.push(states.to_owned());
    }
    let yaml = if entries == ["none"] { "none".to_owned() } else { format!("{{{}}}", entries.join(", ")) };
    Paging { yaml, because, checks, sends }
}

/// Says what is to be done where no way to another page shows: its reason, and what to check.
fn lone(
    entries: &mut Vec<String>,
    answer: &Answer<'_>,
    total: Option<&(String, u64)>,
    more: Option<&More>,
) -> (String, Vec<String>, Vec<String>) {
    let is_stated = total.is_some() || more.is_some();
    entries.push(if is_stated { "none: true" } else { "none" }.to_owned());
    let is_part = total.is_some_and(|(_, count)| *count > answer.rows) || more.is_some_and(|more| more.is_more);
    let (because, check) = if is_part {
        (
            "there are more rows",
            Some(
                "how to ask for the next page, which the answer doesn't show: until it is written here each run fails",
            ),
        )
    } else if is_stated {
        ("all rows are in one answer", None)
    } else {
        (
            "nothing in the answer tells of another page",
            Some("whether the API has pages, and say how to ask for them: rows behind the first page would be missing"),
        )
    };
    (because.to_owned(), check.map(str::to_owned).into_iter().collect(), Vec::new())
}

/// A `Link` header with the relation `next` (RFC 8288).
fn link_header(answer: &Answer<'_>) -> Option<Way> {
    let link = answer.headers.get("link")?.as_str()?.to_ascii_lowercase();
    let has_next = link.contains("rel=\"next\"") || link.contains("rel=next");
    has_next.then(|| Way {
        entry: "next_link: {header: link}".to_owned(),
        because: "the header `Link` leads to the next page".to_owned(),
        checks: Vec::new(),
        sends: Vec::new(),
    })
}

/// A link to the next page in the body.
fn next_link(answer: &Answer<'_>) -> Option<Way> {
    let is_link =
        |text: &str| text.starts_with("http://") || text.starts_with("https://") || text.starts_with(['/', '?']);
    let leads_on = |path: &[String]| path.iter().rev().take(2).any(|name| plain(name).contains("next"));
    let (path, _) =
        answer.scalars.iter().find(|(path, value)| leads_on(path) && value.as_str().is_some_and(is_link))?;
    let path = jq(path);
    Some(Way {
        entry: format!("next_link: {{url: {}}}", scalar(&path)),
        because: format!("{path} is a link to the next page"),
        checks: Vec::new(),
        sends: Vec::new(),
    })
}

/// A token for the next page in the body.
fn cursor(answer: &Answer<'_>) -> Option<Way> {
    // An `offset` that is a number is a position.
    let is_token = |name: &str, value: &Value| {
        value.as_str().is_some_and(|text| !text.is_empty()) || (value.is_u64() && name != "offset")
    };
    let found = CURSORS.iter().find_map(|name| {
        let is_it = |path: &[String]| path.last().is_some_and(|last| plain(last) == *name);
        answer.scalars.iter().find(|(path, value)| is_it(path) && is_token(name, value))
    });
    let (path, _) = found?;
    let name = path.last()?;
    let known = answer.query.iter().map(|(name, _)| name).find(|given| {
        let given = plain(given);
        CURSORS.contains(&given.as_str()) || CURSORS.contains(&format!("next{given}").as_str())
    });
    let param = known.cloned().unwrap_or_else(|| asked_by(name));
    let path = jq(path);
    let guess = format!("that the next page is asked for by the parameter `{param}`: a guess by the name of {path}");
    Some(Way {
        entry: format!("cursor: {{into: {}, value: {}}}", scalar(&place(&param)), scalar(&path)),
        because: format!("{path} is a token for the next page"),
        checks: known.is_none().then_some(guess).into_iter().collect(),
        sends: vec![param],
    })
}

/// Returns the parameter that a token of that name most likely goes into: `cursor` of `next_cursor`, `pageToken` of `nextPageToken`.
fn asked_by(name: &str) -> String {
    match plain(name).as_str() {
        "endcursor" => return "after".to_owned(),
        "next" => return "cursor".to_owned(),
        // So Amazon's own APIs have it: what comes is sent under the same name.
        "nexttoken" | "nextmarker" => return name.to_owned(),
        _ => {}
    }
    match name.strip_prefix("next_").or_else(|| name.strip_prefix("next")) {
        Some(rest) if !rest.is_empty() => {
            let (first, others) = rest.split_at(rest.chars().next().map_or(0, char::len_utf8));
            first.to_ascii_lowercase() + others
        }
        _ => name.to_owned(),
    }
}

/// Parameters of the request itself.
fn by_query(answer: &Answer<'_>) -> Option<Way> {
    let named = |names: &[&str]| {
        let is_it = |name: &str| {
            names.contains(&plain(name).as_str()) || names.contains(&plain(name).trim_start_matches("page"))
        };
        answer
            .query
            .iter()
            .find_map(|(name, value)| Some((name.clone(), value.parse::<u64>().ok().filter(|_| is_it(name))?)))
    };
    let size = named(&SIZES);
    let (how, (name, first)) = match (named(&OFFSETS).filter(|(_, at)| *at < MOST), named(&PAGES)) {
        (Some(offset), _) => ("offset", offset),
        (None, page) => ("page", page?),
    };
    let because = format!("the request has `{name}`");
    Some(counted(answer, how, &name, first, size, because, None))
}

/// Numbers in the body that tell which page it is.
fn by_answer(answer: &Answer<'_>) -> Option<Way> {
    let named = |names: &[&str]| {
        answer.scalars.iter().find_map(|(path, value)| {
            let name = path.last().filter(|name| names.contains(&plain(name).as_str()))?;
            Some((name.clone(), value.as_u64()?))
        })
    };
    let size = answer.query.iter().find_map(|(name, value)| {
        Some((name.clone(), value.parse().ok().filter(|_| SIZES.contains(&plain(name).as_str()))?))
    });
    let size = size.or_else(|| named(&SIZES).filter(|(name, _)| plain(name) != "count"));
    let (how, (name, first)) =
        match (named(&OFFSETS).filter(|(_, at)| *at < MOST), named(&PAGES).filter(|(_, page)| *page <= 1)) {
            (Some(offset), _) => ("offset", offset),
            (None, page) => ("page", page?),
        };
    let check = format!("that a page is asked for by the parameter `{name}`: a guess by what the answer calls it");
    let because = format!("the answer has `{name}`");
    Some(counted(answer, how, &name, first, size, because, Some(check)))
}

/// Pages that are counted. `size` is the parameter for how many rows a page has, and what was asked for.
fn counted(
    answer: &Answer<'_>,
    how: &str,
    name: &str,
    given: u64,
    size: Option<(String, u64)>,
    because: String,
    check: Option<String>,
) -> Way {
    let asked = size.as_ref().map_or(answer.rows, |(_, size)| *size);
    let has_more = total(answer).is_some_and(|(_, total)| total > answer.rows);
    let is_cut = has_more && answer.rows > 0 && answer.rows < asked;
    let rows = if is_cut || asked == 0 { answer.rows.max(1) } else { asked };
    let cut = is_cut.then(|| {
        format!(
            "`size`: the server sent {rows} rows where {asked} were asked for, and it must be what the server sends"
        )
    });
    let usual = u64::from(how == "page");
    // A list that begins with 1, or whose pages begin with 0, begins so; a later place is one in the middle.
    let first = if given > 1 { usual } else { given };
    let middle =
        (first != given).then(|| format!("the request asked for `{name}` {given}, and the file begins with {first}"));
    let begins = if first == usual { String::new() } else { format!(", first: {first}") };
    let into_size = size.as_ref().map(|(name, _)| format!(", size_into: {}", scalar(&place(name)))).unwrap_or_default();
    Way {
        entry: format!("{how}: {{into: {}{into_size}, size: {rows}{begins}}}", scalar(&place(name))),
        because,
        checks: [check, cut, middle].into_iter().flatten().collect(),
        sends: [name.to_owned()].into_iter().chain(size.map(|(name, _)| name)).collect(),
    }
}

/// Pages that begin after the last row of the one before, where all that shows is that there are more.
fn after_key(key: &str, more: Option<&More>) -> Option<Way> {
    more.filter(|more| more.is_more)?;
    Some(Way {
        entry: format!(
            "cursor: {{into: query.starting_after, value: {}}}",
            scalar(&format!("$last{}", jq(&[key.to_owned()])))
        ),
        because: "the answer says that there are more rows, and has no token".to_owned(),
        checks: vec![format!(
            "that the next page is asked for by the last row's `{key}`, in the parameter `starting_after`: a guess"
        )],
        sends: Vec::new(),
    })
}

/// Finds how many rows there are in all: where it stands, and the number. What is called `count`, and is as many as were asked for, is that of the page.
fn total(answer: &Answer<'_>) -> Option<(String, u64)> {
    let is_asked = |count: u64| {
        answer.query.iter().any(|(name, value)| SIZES.contains(&plain(name).as_str()) && value.parse() == Ok(count))
    };
    let is_total =
        |name: &str, count: u64| count >= answer.rows && !(name == "count" && count == answer.rows && is_asked(count));
    TOTALS.iter().find_map(|name| {
        let of_body = answer.scalars.iter().find_map(|(path, value)| {
            let (last, before) = path.split_last()?;
            let nested = before.last().map(|before| plain(before) + &plain(last));
            let is_it = plain(last) == *name || nested.as_deref() == Some(name);
            let count = value.as_u64().filter(|count| is_it && is_total(name, *count))?;
            Some((jq(path), count))
        });
        let of_header = || {
            let (header, value) = answer.headers.as_object()?.iter().find(|(header, _)| plain(header) == *name)?;
            let count: u64 = value.as_str()?.trim().parse().ok()?;
            is_total(name, count).then(|| (format!("$headers[\"{header}\"]"), count))
        };
        of_body.or_else(of_header)
    })
}

/// What says whether there is another page.
struct More {
    /// The jq for it.
    text: String,
    /// What it gives.
    is_more: bool,
    /// What of it is a guess.
    check: Option<String>,
}

/// Finds what says whether there is another page.
fn more(answer: &Answer<'_>) -> Option<More> {
    let named = |names: &[&str]| {
        answer.scalars.iter().find_map(|(path, value)| {
            let name = path.last().filter(|name| names.contains(&plain(name).as_str()))?;
            Some((jq(path), plain(name), value.as_bool()?))
        })
    };
    if let Some((text, _, is_more)) = named(&MORE) {
        return Some(More { text, is_more, check: None });
    }
    let (path, name, is_last) = named(&LAST)?;
    let guess = format!("that {path} tells of the last page: a guess by its name");
    Some(More {
        text: format!("{path} | not"),
        is_more: !is_last,
        check: (!name.starts_with("islast")).then_some(guess),
    })
}

/// Writes the place of a query parameter.
fn place(name: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if begins && name.chars().all(is_plain) { format!("query.{name}") } else { format!("query[{}]", Value::from(name)) }
}
