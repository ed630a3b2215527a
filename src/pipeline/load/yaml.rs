//! From text to a tree that knows where each value stands and how it was written.
//!
//! Stricter than YAML where YAML surprises: only `true` and `false` are booleans, only what JSON calls a number is one,
//! a duplicate key is an error, and tags, merge keys and second documents are refused.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, StructureStyle};

use super::de::MAX_DIAGNOSTICS;
use super::diagnostic::{Diagnostic, Span, position};
use super::syntax;
use super::tree::{Entry, Key, Kind, Node, Scalar, Style};

/// The largest file that is read, in bytes: a pipeline file is written by people.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting: below it, walking a tree by recursion can't exhaust the stack.
pub const MAX_DEPTH: usize = 64;
/// The most values in a tree, copies made by aliases included.
pub const MAX_NODES: usize = 100_000;
/// The most bytes that aliases may copy: ten aliases of ten aliases of a long text are a bomb.
pub const MAX_ALIAS_BYTES: usize = 4 * 1024 * 1024;
/// The key that YAML 1.1 merges maps by.
pub(super) const MERGE: &str = "<<";
/// The most syntax errors that are covered up to look at the rest of the file.
const MAX_COVERS: usize = 20;

/// Reads the text of a file into a tree.
///
/// There is no tree where the syntax is so broken that nothing can be said about the rest.
#[must_use]
pub fn parse(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    if text.len() > MAX_BYTES {
        let size = text.len();
        let message = format!("the file has {size} bytes, and {MAX_BYTES} are the most that is read");
        return (None, vec![Diagnostic::error(Span::default(), message)]);
    }
    let mut covered_text = text.to_owned();
    let mut covers: Vec<Span> = Vec::new();
    let mut found = Vec::new();
    loop {
        let mut builder = Builder::new(&covered_text, &covers);
        let stop = match builder.document() {
            Ok(root) => {
                found.append(&mut builder.found);
                return (root, found);
            }
            Err(stop) => stop,
        };
        let fault = match stop {
            Stop::Refused(refused) => syntax::Fault { diagnostic: *refused, cover: None },
            Stop::Scan(error) => syntax::explain(&covered_text, &error, &covers),
        };
        // After a cover, an error on its line that nothing explains is most likely an effect of the cover.
        let line = |offset| position(text, offset).0;
        if fault.cover.is_some() || !covers.iter().any(|cover| line(cover.start) == line(fault.diagnostic.span.start)) {
            found.push(fault.diagnostic);
        }
        match fault.cover.filter(|cover| covers.len() < MAX_COVERS && !covers.contains(cover)) {
            None => {
                found.append(&mut builder.found);
                return (None, found);
            }
            Some(cover) => {
                covered_text = syntax::cover(&covered_text, cover);
                covers.push(cover);
            }
        }
    }
}

/// Why building a tree stopped.
enum Stop {
    Scan(ScanError),
    Refused(Box<Diagnostic>),
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

fn refuse<T>(diagnostic: Diagnostic) -> Result<T, Stop> {
    Err(Stop::Refused(Box::new(diagnostic)))
}

struct Builder<'t> {
    text: &'t str,
    covers: &'t [Span],
    events: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    found: Vec<Diagnostic>,
    nodes: u32,
    alias_bytes: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, covers: &'t [Span]) -> Self {
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            simple_key_max_lookahead: MAX_BYTES,
            flow_nesting_limit: MAX_DEPTH + 1,
            block_nesting_limit: MAX_DEPTH + 1,
        };
        let events = Parser::new_from_str_with_options(text, options);
        Self { text, covers, events, anchors: HashMap::new(), found: Vec::new(), nodes: 0, alias_bytes: 0 }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                let range = span.byte_range().unwrap_or_default();
                Ok((event, Span::new(range.start, range.end.max(range.start))))
            }
            Some(Err(error)) => Err(Stop::Scan(error)),
            None => Ok((Event::StreamEnd, Span::new(self.text.len(), self.text.len()))),
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < MAX_DIAGNOSTICS {
            self.found.push(diagnostic);
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd if root.is_none() => {
                    return refuse(
                        Diagnostic::error(span, "the file is empty")
                            .help("begin with `version: 1`, `name:`, `source:` and `jobs:`"),
                    );
                }
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    let message = "a second document starts here";
                    return refuse(Diagnostic::error(span, message).help("write each pipeline in a file of its own"));
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            return refuse(Diagnostic::error(span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let anchor = event.anchor_id().unwrap_or_default();
        let tag = event.tag().map(ToString::to_string);
        let mut node = match event {
            Event::Alias(id) => return self.copy(id, span, depth),
            Event::UnresolvedAlias(name) => return self.unknown_alias(&name, span),
            Event::Scalar(text, style, ..) => {
                let scalar = Scalar { raw: text.into_owned(), style: style_of(style), filled: None };
                self.fresh(span, Kind::Scalar(scalar))?
            }
            Event::SequenceStart(style, ..) => self.sequence(style, span, depth)?,
            Event::MappingStart(style, ..) => self.mapping(style, span, depth)?,
            _ => self.fresh(span, Kind::Hole)?,
        };
        if let Some(tag) = tag {
            self.report(syntax::tag_refused(self.text, &tag, node.span));
            node.kind = Kind::Hole;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn fresh(&mut self, span: Span, kind: Kind) -> Result<Node, Stop> {
        self.nodes += 1;
        if self.nodes as usize > MAX_NODES {
            return refuse(Diagnostic::error(span, format!("the file has more than {MAX_NODES} values")));
        }
        Ok(Node { id: self.nodes, span, alias: None, kind })
    }

    fn sequence(&mut self, style: StructureStyle, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let end = collection_end(style, span, items.last().map(|item: &Node| item.span), start);
                return self.fresh(Span::new(start.start, end), Kind::Seq(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, style: StructureStyle, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<String, Span> = HashMap::new();
        let mut broken_key = None;
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let end = collection_end(style, span, entries.last().map(|entry| entry.value.span), start);
                let whole = Span::new(start.start, end);
                let Some(key) = broken_key else { return self.fresh(whole, Kind::Map(entries)) };
                self.report(syntax::key_refused(self.text, whole, key));
                return self.fresh(whole, Kind::Hole);
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            match key.kind {
                Kind::Scalar(scalar) => {
                    let key = Key { text: scalar.raw, span: key.span };
                    let merges = key.text == MERGE && scalar.style == Style::Plain;
                    if self.accepts(&key, scalar.style, &mut lines) {
                        entries.push(Entry { key, value });
                    } else if merges {
                        // What it would have brought isn't missed.
                        entries.push(Entry { key, value: Node { kind: Kind::Hole, ..value } });
                    }
                }
                _ => broken_key = Some(key.span),
            }
        }
    }

    /// Reports a merge key or a key seen before in the same map; `seen` holds the places of the keys so far.
    fn accepts(&mut self, key: &Key, style: Style, seen: &mut HashMap<String, Span>) -> bool {
        if key.text == MERGE && style == Style::Plain {
            let message = "merge keys (`<<`) aren't supported";
            let help = "repeat the fields, or put what jobs share under `source`";
            self.report(Diagnostic::error(key.span, message).help(help));
            return false;
        }
        let Some(first) = seen.get(&key.text).copied() else {
            seen.insert(key.text.clone(), key.span);
            return true;
        };
        if self.found.len() >= MAX_DIAGNOSTICS {
            return false;
        }
        let line = |span: Span| position(self.text, span.start).0;
        let message =
            format!("the key `{}` stands on line {} and again on line {}", key.text, line(first), line(key.span));
        self.report(
            Diagnostic::error(key.span, message)
                .label("the second one")
                .related(first, "the first one")
                .help("remove one of them, or give it another name"),
        );
        false
    }

    fn unknown_alias(&mut self, name: &str, span: Span) -> Result<Node, Stop> {
        if !self.covers.iter().any(|cover| cover.start == span.start) {
            self.report(syntax::unknown_alias(self.text, name, span));
        }
        self.fresh(span, Kind::Hole)
    }

    fn copy(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&anchor) else {
            self.report(Diagnostic::error(span, "this alias stands inside the value that it refers to"));
            return self.fresh(span, Kind::Hole);
        };
        let mut bytes = 0;
        node.each_scalar(&mut |scalar| bytes += scalar.raw.len());
        self.alias_bytes += bytes;
        if self.alias_bytes > MAX_ALIAS_BYTES {
            let message = format!("the aliases of this file copy more than {MAX_ALIAS_BYTES} bytes");
            return refuse(Diagnostic::error(span, message));
        }
        if depth + node.height() > MAX_DEPTH {
            return refuse(Diagnostic::error(span, format!("this alias nests deeper than {MAX_DEPTH} levels")));
        }
        let mut node = node.clone();
        self.renumber(&mut node, span)?;
        node.alias = Some(span);
        Ok(node)
    }

    fn renumber(&mut self, node: &mut Node, alias: Span) -> Result<(), Stop> {
        node.id = self.fresh(alias, Kind::Hole)?.id;
        node.alias = None;
        match &mut node.kind {
            Kind::Map(entries) => entries.iter_mut().try_for_each(|entry| self.renumber(&mut entry.value, alias)),
            Kind::Seq(items) => items.iter_mut().try_for_each(|item| self.renumber(item, alias)),
            Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => Ok(()),
        }
    }
}

/// The end event of a block collection stands where the next token is, so its last value says where it ends.
fn collection_end(style: StructureStyle, end: Span, last: Option<Span>, start: Span) -> usize {
    let end = if style == StructureStyle::Flow { end.end } else { last.map_or(start.end, |span| span.end) };
    end.max(start.start)
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}
