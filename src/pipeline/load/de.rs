//! Reads a typed value from a tree, and goes on after each mistake.
//!
//! A derived `Deserialize` stops at its first error. So the tree is read again after each one, with the mistake taken
//! out: an unknown field is renamed to what was most likely meant or removed, a bad value becomes a hole, which is
//! skipped as if absent, and the complaint that a hole is missing isn't shown.

use serde::de::DeserializeOwned;

use super::diagnostic::{Diagnostic, Span};
use super::explain::{explain, nearest};
use super::node_de::NodeDe;
use super::problem::{Problem, Site, What};
use super::tree::{Entry, Key, Kind, Node};
use super::wild::GUESSES;

/// The most mistakes that are reported: nobody reads on after a hundred.
pub const MAX_DIAGNOSTICS: usize = 100;
/// The most times that a tree is read. Every pass repairs one thing, so this only bounds the time.
const MAX_PASSES: usize = 1000;

/// Reads a value from the tree of the file `text`.
///
/// Where mistakes were found, the value is what is left without them: refused values are absent, missing ones made up, at the
/// empty span. Holes are skipped and not reported. The tree is repaired on the way, so it is of no further use then.
pub fn from_node<T: DeserializeOwned>(root: &mut Node, text: &str) -> (Option<T>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    for _ in 0..MAX_PASSES {
        let problem = match T::deserialize(NodeDe { node: root, text }) {
            Ok(value) => return (Some(value), found),
            Err(problem) => problem,
        };
        let site = problem.site.unwrap_or(Site::Value(root.id));
        let silent = is_effect(root, site, &problem.what);
        let repair = repair_of(root, site, &problem.what);
        if !silent {
            found.extend(diagnose(root, site, problem));
        }
        if found.len() >= MAX_DIAGNOSTICS || !apply(root, site, repair) {
            break;
        }
    }
    (None, found)
}

/// How the tree is changed so that the next pass gets further.
#[derive(Debug)]
enum Repair {
    /// The key gets another name.
    Rename(String),
    /// The entry of the key is removed.
    Remove,
    /// The value becomes a hole.
    Hole,
    /// The map gets some value for a field.
    Supply(&'static str),
    /// A refused value that its map can't do without, by its id, becomes some value, so that the rest of the map is read.
    Refill(u32),
    /// The value that was supplied is replaced by another guess.
    GuessAgain(usize),
}

fn value_at(root: &Node, id: u32) -> Option<&Node> {
    if root.id == id {
        return Some(root);
    }
    match &root.kind {
        Kind::Map(entries) => entries.iter().find_map(|entry| value_at(&entry.value, id)),
        Kind::Seq(items) => items.iter().find_map(|item| value_at(item, id)),
        Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => None,
    }
}

fn entry_at(root: &Node, id: u32) -> Option<(&[Entry], &Entry)> {
    match &root.kind {
        Kind::Map(entries) => entries
            .iter()
            .find(|entry| entry.value.id == id)
            .map(|entry| (entries.as_slice(), entry))
            .or_else(|| entries.iter().find_map(|entry| entry_at(&entry.value, id))),
        Kind::Seq(items) => items.iter().find_map(|item| entry_at(item, id)),
        Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => None,
    }
}

/// Whether a problem only follows from one that was reported before.
fn is_effect(root: &Node, site: Site, what: &What) -> bool {
    let Site::Value(id) = site else { return false };
    let Some(node) = value_at(root, id) else { return false };
    match (&node.kind, what) {
        (Kind::Hole | Kind::Wild(_), _) | (_, What::Silent) => true,
        (Kind::Map(entries), What::Missing(name)) => {
            let brings = |key: &str| key == *name || key == super::yaml::MERGE;
            entries.iter().any(|entry| brings(&entry.key.text) && entry.value.is_hole())
        }
        // What a type says about the whole of a map or list can't be trusted while a part of it is missing.
        (Kind::Map(entries), What::Custom(_) | What::Length { .. }) => {
            entries.iter().any(|entry| matches!(entry.value.kind, Kind::Hole | Kind::Wild(_)))
        }
        (Kind::Seq(items), What::Custom(_) | What::Length { .. }) => items.iter().any(Node::is_hole),
        _ => false,
    }
}

fn repair_of(root: &Node, site: Site, what: &What) -> Repair {
    match site {
        Site::Key(id) => match (entry_at(root, id), what) {
            (Some((siblings, entry)), What::UnknownField { known, .. } | What::UnknownVariant { known, .. }) => {
                let near = nearest(&entry.key.text, known);
                match near.filter(|near| siblings.iter().all(|sibling| sibling.key.text != **near)) {
                    Some(near) => Repair::Rename(near.to_owned()),
                    None => Repair::Remove,
                }
            }
            _ => Repair::Remove,
        },
        Site::Value(id) => match (value_at(root, id).map(|node| &node.kind), what) {
            (Some(Kind::Wild(guess)), _) if guess + 1 < GUESSES.len() => Repair::GuessAgain(guess + 1),
            (Some(Kind::Map(entries)), What::Missing(name)) => {
                match entries.iter().find(|entry| entry.key.text == *name) {
                    None => Repair::Supply(name),
                    Some(entry) if entry.value.is_hole() => Repair::Refill(entry.value.id),
                    Some(_) => Repair::Hole,
                }
            }
            _ => Repair::Hole,
        },
    }
}

fn diagnose(root: &Node, site: Site, problem: Problem) -> Option<Diagnostic> {
    match site {
        Site::Key(id) => {
            let (_, entry) = entry_at(root, id)?;
            explain(problem, &entry.value, entry.key.span)
        }
        Site::Value(id) => {
            let node = value_at(root, id)?;
            let names_map = matches!(problem.what, What::Missing(_) | What::Custom(_) | What::Length { .. })
                && matches!(node.kind, Kind::Map(_) | Kind::Seq(_));
            let empty = node.span.start == node.span.end;
            let headline = if names_map || empty { root.headline(id) } else { None };
            explain(problem, node, headline.unwrap_or(node.span))
        }
    }
}

/// Changes the tree; `false` where nothing is left to repair.
fn apply(root: &mut Node, site: Site, repair: Repair) -> bool {
    let (Site::Key(id) | Site::Value(id)) = site;
    match repair {
        Repair::Rename(name) => with_entries(root, id, |entries, at| {
            if let Some(entry) = entries.get_mut(at) {
                entry.key.text = name;
            }
        }),
        // A removed variant leaves an empty map behind, so the map around it becomes a hole in the next pass.
        Repair::Remove => with_entries(root, id, |entries, at| {
            if let Some(entry) = entries.get_mut(at) {
                entry.value.kind = Kind::Hole;
            }
        }),
        Repair::Hole if root.id == id => false,
        Repair::Hole if value_at(root, id).is_some_and(|node| matches!(node.kind, Kind::Wild(_) | Kind::Hole)) => {
            parent_of(root, id).is_some_and(|parent| apply(root, Site::Value(parent), Repair::Hole))
        }
        Repair::Hole => set(root, id, Kind::Hole),
        Repair::Refill(hole) => set(root, hole, Kind::Wild(0)),
        Repair::GuessAgain(guess) => set(root, id, Kind::Wild(guess)),
        Repair::Supply(name) => {
            let fresh = largest_id(root) + 1;
            let Some(Node { kind: Kind::Map(entries), span, .. }) = root.find_mut(id) else { return false };
            let (span, kind) = (Span::new(span.start, span.start), Kind::Wild(0));
            let key = Key { text: name.to_owned(), span };
            entries.push(Entry { key, value: Node { id: fresh, span, alias: None, kind } });
            true
        }
    }
}

fn set(root: &mut Node, id: u32, kind: Kind) -> bool {
    match root.find_mut(id) {
        // The same repair twice would never end.
        Some(node) if !(node.is_hole() && matches!(kind, Kind::Hole)) => {
            node.kind = kind;
            true
        }
        _ => false,
    }
}

fn with_entries(root: &mut Node, id: u32, change: impl FnOnce(&mut Vec<Entry>, usize)) -> bool {
    let Some(parent) = parent_of(root, id) else { return false };
    let Some(Node { kind: Kind::Map(entries), .. }) = root.find_mut(parent) else { return false };
    let Some(at) = entries.iter().position(|entry| entry.value.id == id) else { return false };
    change(entries, at);
    true
}

fn parent_of(root: &Node, id: u32) -> Option<u32> {
    let children: Vec<&Node> = match &root.kind {
        Kind::Map(entries) => entries.iter().map(|entry| &entry.value).collect(),
        Kind::Seq(items) => items.iter().collect(),
        Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => return None,
    };
    if children.iter().any(|child| child.id == id) {
        return Some(root.id);
    }
    children.iter().find_map(|child| parent_of(child, id))
}

fn largest_id(root: &Node) -> u32 {
    let inside = match &root.kind {
        Kind::Map(entries) => entries.iter().map(|entry| largest_id(&entry.value)).max(),
        Kind::Seq(items) => items.iter().map(largest_id).max(),
        Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => None,
    };
    inside.unwrap_or_default().max(root.id)
}
