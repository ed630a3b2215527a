//! A place in a request: a jq path without its first dot, such as `query.start` or `body.filter[0].range["@timestamp"].gte`.

use serde_json::Value;
use thiserror::Error;

use super::tree::Tree;

/// The parts of a request that a place can begin with.
pub const ROOTS: [&str; 5] = ["path", "query", "headers", "body", "form"];

/// Why a text is no place. `offset` counts bytes from the start of the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (at byte {offset} of the place '{text}')")]
pub struct PlaceError {
    /// The text that was read.
    pub text: String,
    /// Where in it the mistake is.
    pub offset: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why a value couldn't be put into a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetError {
    /// The place leads through a scalar, or by a key into a list.
    #[error("the place '{place}' needs {wanted} at '{at}', but the request has {found} there")]
    Shape {
        /// The place.
        place: String,
        /// The path so far.
        at: String,
        /// What the next step needs.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// The place leads past the end of a list.
    #[error(
        "the place '{place}' names item {index} at '{at}', but the list has {length} items; write the list's items into the request"
    )]
    Index {
        /// The place.
        place: String,
        /// The path so far.
        at: String,
        /// The index asked for, from 0.
        index: usize,
        /// Items in the list.
        length: usize,
    },
    /// A `$variable` has no value that can be a key or an index.
    #[error("the place '{place}' uses ${name}, which is {found}; it must be a text or a whole number")]
    Variable {
        /// The place.
        place: String,
        /// The variable's name, without `$`.
        name: String,
        /// What the variable holds.
        found: &'static str,
    },
}

/// A place in a request, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    text: String,
    root: &'static str,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Index(usize),
    Variable(String),
}

impl Place {
    /// Reads a place. `vars` are the names, without `$`, that `[$name]` may use.
    pub fn compile(text: &str, vars: &[&str]) -> Result<Self, PlaceError> {
        let mut reader = Reader { text, at: 0, vars };
        let root = reader.root()?;
        let mut steps = Vec::new();
        while let Some(step) = reader.step()? {
            steps.push(step);
        }
        check_depth(root, &steps).map_err(|message| reader.error_at(root.len(), message))?;
        Ok(Self { text: text.to_owned(), root, steps })
    }

    /// Returns the place as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the part of the request that the place is in, one of [`ROOTS`].
    #[must_use]
    pub const fn root(&self) -> &'static str {
        self.root
    }

    /// Returns the one name below the root, where that is all: `limit` of `query.limit`.
    #[must_use]
    pub fn sole_key(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step::Key(key)] => Some(key),
            _ => None,
        }
    }

    /// Puts `value` into `request`, an object of [`ROOTS`]. Objects that are missing on the way are made; a list can be appended
    /// to. `vars` is an object that holds the values of `$` variables.
    pub fn set(&self, request: &mut Tree, vars: &Value, value: Value) -> Result<(), SetError> {
        let mut at = self.root.to_owned();
        let mut target = self.enter(request, self.root, "the request")?;
        for step in &self.steps {
            let step = self.resolve(step, vars)?;
            target = match (&step, &*target) {
                (Step::Index(index), Tree::List(_)) => self.enter_list(target, *index, &at)?,
                (Step::Index(index), Tree::Null) => {
                    *target = Tree::List(Vec::new());
                    self.enter_list(target, *index, &at)?
                }
                // A number as a key of an object: `[$id]` where ids are keys.
                (Step::Index(index), _) => self.enter(target, &index.to_string(), &at)?,
                (Step::Key(key) | Step::Variable(key), _) => self.enter(target, key, &at)?,
            };
            at.push_str(&step.text());
        }
        *target = Tree::from(value);
        Ok(())
    }

    fn enter<'a>(&self, target: &'a mut Tree, key: &str, at: &str) -> Result<&'a mut Tree, SetError> {
        if matches!(target, Tree::Null) {
            *target = Tree::Map(indexmap::IndexMap::new());
        }
        let found = target.kind();
        match target {
            Tree::Map(entries) => Ok(entries.entry(key.to_owned()).or_default()),
            _ => Err(SetError::Shape { place: self.text.clone(), at: at.to_owned(), wanted: "an object", found }),
        }
    }

    fn enter_list<'a>(&self, target: &'a mut Tree, index: usize, at: &str) -> Result<&'a mut Tree, SetError> {
        let found = target.kind();
        let Tree::List(items) = target else {
            return Err(SetError::Shape { place: self.text.clone(), at: at.to_owned(), wanted: "a list", found });
        };
        let length = items.len();
        if index == length {
            items.push(Tree::Null);
        }
        items.get_mut(index).ok_or_else(|| SetError::Index {
            place: self.text.clone(),
            at: at.to_owned(),
            index,
            length,
        })
    }

    fn resolve(&self, step: &Step, vars: &Value) -> Result<Step, SetError> {
        let Step::Variable(name) = step else { return Ok(step.clone()) };
        let value = vars.get(name).unwrap_or(&Value::Null);
        let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
        match (value, index) {
            (Value::String(key), _) => Ok(Step::Key(key.clone())),
            (_, Some(index)) => Ok(Step::Index(index)),
            _ => Err(SetError::Variable {
                place: self.text.clone(),
                name: name.clone(),
                found: Tree::from(value.clone()).kind(),
            }),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.text)
    }
}

impl Step {
    fn text(&self) -> String {
        match self {
            Self::Key(key) => format!("[{}]", Value::from(key.as_str())),
            Self::Index(index) => format!("[{index}]"),
            Self::Variable(name) => format!("[${name}]"),
        }
    }
}

fn check_depth(root: &str, steps: &[Step]) -> Result<(), String> {
    match (root, steps.len()) {
        ("path", 0) | ("headers", 1) | ("body", _) => Ok(()),
        ("path", _) => Err("the path has no parts to name; use a template in it".to_owned()),
        ("headers", 0) => Err("name the header, such as headers.x-offset".to_owned()),
        ("headers", _) => Err("a header is a plain text and has nothing inside".to_owned()),
        (_, 0) => Err(format!("name what to set, such as {root}.offset")),
        _ => Ok(()),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    vars: &'a [&'a str],
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error_at(&self, offset: usize, message: impl Into<String>) -> PlaceError {
        PlaceError { text: self.text.to_owned(), offset, message: message.into() }
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn word(&mut self) -> String {
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let rest = self.rest();
        let word = rest[..rest.find(|c| !plain(c)).unwrap_or(rest.len())].to_owned();
        self.at += word.len();
        word
    }

    fn root(&mut self) -> Result<&'static str, PlaceError> {
        if self.text.starts_with('.') {
            return Err(self.error_at(0, "a place is a jq path without its first dot"));
        }
        let word = self.word();
        ROOTS
            .into_iter()
            .find(|root| *root == word)
            .ok_or_else(|| self.error_at(0, format!("a place begins with one of {}, not '{word}'", ROOTS.join(", "))))
    }

    fn step(&mut self) -> Result<Option<Step>, PlaceError> {
        if self.rest().is_empty() {
            return Ok(None);
        }
        let start = self.at;
        let dotted = self.eat(".");
        if self.eat("[") {
            return self.bracket(start).map(Some);
        }
        if dotted && self.rest().starts_with('"') {
            return self.quoted().map(|key| Some(Step::Key(key)));
        }
        let key = if dotted { self.word() } else { String::new() };
        if key.is_empty() {
            let message = "expected .name, [\"name\"], [0] or [$name]; quote a name with other characters";
            return Err(self.error_at(start, message));
        }
        Ok(Some(Step::Key(key)))
    }

    fn bracket(&mut self, start: usize) -> Result<Step, PlaceError> {
        let step = if self.rest().starts_with('"') {
            Step::Key(self.quoted()?)
        } else if self.eat("$") {
            Step::Variable(self.variable()?)
        } else {
            let digits = self.word();
            let index = digits.parse();
            Step::Index(
                index.map_err(|_| self.error_at(start + 1, "expected \"name\", a number from 0 or $name in [ ]"))?,
            )
        };
        if self.eat("]") { Ok(step) } else { Err(self.error_at(self.at, "expected ]")) }
    }

    fn variable(&mut self) -> Result<String, PlaceError> {
        let start = self.at;
        let name = self.word();
        if self.vars.contains(&name.as_str()) {
            return Ok(name);
        }
        let known: Vec<_> = self.vars.iter().map(|var| format!("${var}")).collect();
        let known =
            if known.is_empty() { "there are none here".to_owned() } else { format!("known: {}", known.join(", ")) };
        Err(self.error_at(start, format!("the variable ${name} isn't known; {known}")))
    }

    /// Reads a JSON string.
    fn quoted(&mut self) -> Result<String, PlaceError> {
        let rest = self.rest();
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        match stream.next() {
            Some(Ok(key)) => {
                let length = stream.byte_offset();
                self.at += length;
                Ok(key)
            }
            _ => Err(self.error_at(self.at, "the name in quotes isn't a JSON string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(place: &str, request: Value, vars: &Value, value: Value) -> String {
        let mut request = Tree::from(request);
        match Place::compile(place, &["direction", "id"]).unwrap().set(&mut request, vars, value) {
            Ok(()) => request.to_json(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_form_of_a_place_is_set() {
        let none = json!({});
        assert_eq!(set("query.start", json!({}), &none, json!(5)), r#"{"query":{"start":5}}"#);
        assert_eq!(
            set(r#"query["created[gte]"]"#, json!({"query": {"a": 1}}), &none, json!("x")),
            r#"{"query":{"a":1,"created[gte]":"x"}}"#
        );
        assert_eq!(
            set(
                r#"body.filter[0].range["@timestamp"].gte"#,
                json!({"body": {"filter": [{"range": {"@timestamp": {"gte": 0}}}]}}),
                &none,
                json!([1, null])
            ),
            r#"{"body":{"filter":[{"range":{"@timestamp":{"gte":[1,null]}}}]}}"#
        );
        assert_eq!(set("headers.x-offset", json!({}), &none, json!(1)), r#"{"headers":{"x-offset":1}}"#);
        assert_eq!(set(r#"form."a b".c"#, json!({}), &none, json!(1)), r#"{"form":{"a b":{"c":1}}}"#);
        assert_eq!(set("body", json!({"body": {"old": 1}}), &none, json!({})), r#"{"body":{}}"#);
    }

    #[test]
    fn variables_are_keys_or_indices() {
        let vars = json!({"direction": "inbound", "id": 1, "direction2": null});
        let request = json!({"form": {"data_requested": {"inbound": {"x": 0}}}});
        assert_eq!(
            set("form.data_requested[$direction].x", request, &vars, json!(9)),
            r#"{"form":{"data_requested":{"inbound":{"x":9}}}}"#
        );
        assert_eq!(set("body.l[$id]", json!({"body": {"l": [0]}}), &vars, json!(9)), r#"{"body":{"l":[0,9]}}"#);
        assert_eq!(set("body.m[$id]", json!({"body": {"m": {"1": 0}}}), &vars, json!(9)), r#"{"body":{"m":{"1":9}}}"#);
        assert!(set("body.m[$id]", json!({}), &json!({"id": null}), json!(9)).contains("$id, which is null"));
    }

    #[test]
    fn a_place_that_does_not_fit_the_request_is_an_error() {
        let error = set("body.a.b", json!({"body": {"a": "text"}}), &json!({}), json!(1));
        assert_eq!(error, r#"the place 'body.a.b' needs an object at 'body["a"]', but the request has a text there"#);
        let error = set("body.a[3]", json!({"body": {"a": [1]}}), &json!({}), json!(1));
        assert!(error.contains("names item 3") && error.contains("has 1 items"), "{error}");
    }

    #[test]
    fn mistakes_are_named_with_their_offset() {
        let error = |text| Place::compile(text, &["direction"]).unwrap_err();
        assert_eq!(
            error("params.x").message,
            "a place begins with one of path, query, headers, body, form, not 'params'"
        );
        assert_eq!(error(".query.x").message, "a place is a jq path without its first dot");
        assert_eq!(error("query.a[$dir]").message, "the variable $dir isn't known; known: $direction");
        assert_eq!(error("query.a[$dir]").offset, 9);
        assert_eq!(error("query").message, "name what to set, such as query.offset");
        for bad in
            ["query.", "query.a[", "query.a[\"x]", "query.a[-1]", "query.a b", "headers.a.b", "path.x", "query.a[0"]
        {
            assert!(Place::compile(bad, &[]).is_err(), "{bad}");
        }
    }
}
