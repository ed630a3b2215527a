//! The working schema of a slice: what has been seen in each column, and the type that follows from it.
//!
//! A node gathers **facts**, and facts are only ever added, so neither the order of rows nor that of pages decides anything. The type
//! is a function of the facts (nulls fit every type):
//!
//! | seen | type |
//! |---|---|
//! | nothing but null, `[]`, `{}` | `null` |
//! | booleans only | `bool` |
//! | strings only | `string` |
//! | integers, all within 64 bits signed | `int64` |
//! | integers, some beyond 2^63, none negative | `uint64` |
//! | integers beyond 2^63 and negative ones; or integers and decimals | `float64` where a double holds every integer exactly, else `json` |
//! | decimals only | `float64` |
//! | an integer beyond 64 bits, or a number beyond the range of a double | `json` |
//! | lists (some may be `[]`) | `list` of what their items are |
//! | objects (some may be `{}`, or `[]`, as Lua prints an empty table) | `struct` |
//! | objects with more than 64 keys in all, or nested too deep | `json` |
//! | scalars of two kinds; scalars and lists, objects, `[]` or `{}`; lists and objects or `{}` | `json` |
//!
//! What an earlier slice has pinned keeps its type; only what was `null`, and new fields, are free.

use std::collections::BTreeMap;

use crate::model::{Column, ColumnType, HandType};

/// The most fields that an object below a record may have: beyond that its keys are data, not names.
pub(super) const MAX_FIELDS: usize = 64;

/// The most columns that records may have: a page that brings more is a map of ids, not a list of records.
pub(super) const MAX_COLUMNS: usize = 4096;

pub(super) const BOOL: u16 = 1;
pub(super) const NEGATIVE: u16 = 1 << 1;
pub(super) const INTEGER: u16 = 1 << 2;
/// An integer beyond 2^63 that 64 bits unsigned hold.
pub(super) const BIG: u16 = 1 << 3;
/// An integer that a double can't hold exactly.
pub(super) const INEXACT: u16 = 1 << 4;
pub(super) const DECIMAL: u16 = 1 << 5;
/// A number that no type of ours holds.
pub(super) const HUGE: u16 = 1 << 6;
pub(super) const STRING: u16 = 1 << 7;
pub(super) const LIST: u16 = 1 << 8;
pub(super) const EMPTY_LIST: u16 = 1 << 9;
pub(super) const OBJECT: u16 = 1 << 10;
pub(super) const EMPTY_OBJECT: u16 = 1 << 11;
/// An object with more than [`MAX_FIELDS`] fields, or one nested too deep.
pub(super) const WIDE: u16 = 1 << 12;

const NUMBER: u16 = NEGATIVE | INTEGER | BIG | DECIMAL | HUGE;

/// How far a node's type is settled already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pin {
    /// It follows from the facts.
    Free,
    /// It is this scalar or `json`, for ever.
    Type(ColumnType),
    /// It is a struct; fields may join it unless it is frozen.
    Struct,
    /// It is a list; its items may have a free type.
    List,
}

/// A column, a field or the items of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) pin: Pin,
    /// Typed by hand: no field may join, here or below.
    pub(super) frozen: bool,
    /// How values are written, where that was said by hand.
    pub(super) hand: Option<HandType>,
    pub(super) facts: u16,
    pub(super) item: Option<Box<Node>>,
    pub(super) fields: BTreeMap<String, Node>,
}

impl Node {
    pub(super) fn free() -> Self {
        Self { pin: Pin::Free, frozen: false, hand: None, facts: 0, item: None, fields: BTreeMap::new() }
    }

    /// Makes the node of the records themselves.
    pub(super) fn root() -> Self {
        Self { pin: Pin::Struct, ..Self::free() }
    }

    /// Makes the node of a column whose type is known.
    pub(super) fn pinned(kind: &ColumnType, frozen: bool) -> Self {
        let node = Self { frozen, ..Self::free() };
        match kind {
            ColumnType::Null if !frozen => node,
            ColumnType::List(item) => Self { pin: Pin::List, item: Some(Box::new(Self::pinned(item, frozen))), ..node },
            ColumnType::Struct(fields) => {
                let fields = fields.iter().map(|field| (field.name.clone(), Self::pinned(&field.kind, frozen)));
                Self { pin: Pin::Struct, fields: fields.collect(), ..node }
            }
            scalar => Self { pin: Pin::Type(scalar.clone()), ..node },
        }
    }

    /// Makes the node of a column that is typed by hand. Types that were named never change; an object may have more fields than those.
    pub(super) fn by_hand(kind: &HandType) -> Self {
        let node = Self { frozen: true, hand: Some(kind.clone()), ..Self::free() };
        match kind {
            HandType::List(item) => Self { pin: Pin::List, item: Some(Box::new(Self::by_hand(item))), ..node },
            HandType::Struct(fields) => {
                let fields = fields.iter().map(|field| (field.name.clone(), Self::by_hand(&field.kind)));
                Self { pin: Pin::Struct, fields: fields.collect(), frozen: false, ..node }
            }
            scalar => Self { pin: Pin::Type(scalar.kind()), ..node },
        }
    }

    /// Adds the fields that joined earlier to those that are typed by hand.
    pub(super) fn keeping(mut self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        if self.pin == Pin::Struct && earlier.pin == Pin::Struct {
            for (name, node) in earlier.fields {
                let node = match self.fields.remove(&name) {
                    Some(by_hand) => by_hand.keeping(Some(node)),
                    None => node,
                };
                self.fields.insert(name, node);
            }
        }
        if let (Some(item), Some(earlier)) = (&mut self.item, earlier.item) {
            **item = std::mem::replace(&mut **item, Self::free()).keeping(Some(*earlier));
        }
        self
    }

    /// Tells whether no fact can change the node's own type.
    pub(super) fn is_fixed(&self) -> bool {
        self.pin != Pin::Free
    }

    /// Returns the type that follows from what was seen.
    pub(super) fn kind(&self) -> ColumnType {
        match &self.pin {
            Pin::Type(kind) => kind.clone(),
            Pin::Struct => ColumnType::Struct(self.columns()),
            Pin::List => self.list(),
            Pin::Free => self.free_kind(),
        }
    }

    /// Returns the fields, sorted by name.
    pub(super) fn columns(&self) -> Vec<Column> {
        self.fields.iter().map(|(name, node)| Column { name: name.clone(), kind: node.kind() }).collect()
    }

    fn list(&self) -> ColumnType {
        ColumnType::List(Box::new(self.item.as_ref().map_or(ColumnType::Null, |item| item.kind())))
    }

    fn saw(&self, facts: u16) -> bool {
        self.facts & facts != 0
    }

    fn free_kind(&self) -> ColumnType {
        let classes = [BOOL, NUMBER, STRING, LIST, OBJECT].iter().filter(|&&class| self.saw(class)).count();
        if self.saw(WIDE) || classes > 1 {
            return ColumnType::Json;
        }
        match self.facts {
            facts if facts & OBJECT != 0 => ColumnType::Struct(self.columns()),
            facts if facts & LIST != 0 && facts & EMPTY_OBJECT == 0 => self.list(),
            facts if classes == 1 && facts & (EMPTY_LIST | EMPTY_OBJECT) != 0 => ColumnType::Json,
            facts if facts & BOOL != 0 => ColumnType::Bool,
            facts if facts & STRING != 0 => ColumnType::String,
            facts if facts & NUMBER != 0 => self.number(),
            _ => ColumnType::Null,
        }
    }

    fn number(&self) -> ColumnType {
        let both_ends = self.saw(BIG) && self.saw(NEGATIVE);
        if self.saw(HUGE) {
            ColumnType::Json
        } else if self.saw(DECIMAL) || both_ends {
            if self.saw(INEXACT) { ColumnType::Json } else { ColumnType::Float64 }
        } else if self.saw(BIG) {
            ColumnType::Uint64
        } else {
            ColumnType::Int64
        }
    }

    /// Returns the field `name`, which joins if it is new and there is room.
    pub(super) fn field(&mut self, name: &str, is_root: bool) -> Option<&mut Self> {
        if !self.fields.contains_key(name) {
            let most = if is_root { MAX_COLUMNS } else { MAX_FIELDS };
            if self.frozen || self.saw(WIDE) {
                return None;
            }
            if self.fields.len() >= most {
                if self.pin == Pin::Free {
                    self.facts |= WIDE;
                    self.fields.clear();
                }
                return None;
            }
            self.fields.insert(name.to_owned(), Self::free());
        }
        self.fields.get_mut(name)
    }

    /// Returns the items of a list.
    pub(super) fn item(&mut self) -> &mut Self {
        self.item.get_or_insert_with(|| Box::new(Self::free()))
    }

    /// Says which columns became `json` because of what was seen in them, a sentence each.
    pub(super) fn notes(&self, path: &str, notes: &mut Vec<String>) {
        if self.pin == Pin::Free && self.free_kind() == ColumnType::Json {
            notes.push(format!("`{path}` is kept as json text: it holds {}", self.describe()));
            return;
        }
        if let Some(item) = &self.item {
            item.notes(&format!("{path}[]"), notes);
        }
        for (name, field) in &self.fields {
            field.notes(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, notes);
        }
    }

    fn describe(&self) -> String {
        if self.saw(WIDE) {
            return format!("objects with more than {MAX_FIELDS} keys, or nested too deep");
        }
        let names = [
            (BOOL, "booleans"),
            (NEGATIVE | INTEGER | BIG, "integers"),
            (DECIMAL, "decimals"),
            (HUGE, "numbers beyond 64 bits"),
            (STRING, "strings"),
            (LIST | EMPTY_LIST, "lists"),
            (OBJECT | EMPTY_OBJECT, "objects"),
        ];
        let seen: Vec<&str> = names.iter().filter(|(facts, _)| self.saw(*facts)).map(|(_, name)| *name).collect();
        seen.join(" and ")
    }
}

/// Tells whether a double holds `magnitude` exactly: it has at most 53 significant bits.
pub(super) const fn is_exact(magnitude: u64) -> bool {
    magnitude == 0 || 64 - magnitude.leading_zeros() - magnitude.trailing_zeros() <= 53
}

/// Returns the facts of an integer.
pub(super) const fn signed_facts(value: i64) -> u16 {
    let inexact = if is_exact(value.unsigned_abs()) { 0 } else { INEXACT };
    inexact | if value < 0 { NEGATIVE } else { INTEGER }
}

/// Returns the facts of an integer.
pub(super) fn unsigned_facts(value: u64) -> u16 {
    i64::try_from(value).map_or(BIG | if is_exact(value) { 0 } else { INEXACT }, signed_facts)
}
