//! Column builders: one per field of the working schema, filled by the visitor, finished once a page.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder as _, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListArray, NullArray, StringBuilder,
    StructArray, UInt64Builder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Field, Fields};
use arrow::error::ArrowError;

use serde_json::Value;

use super::lattice::Node;
use super::precise::Precise;
use crate::model::ColumnType;

/// The texts of a page may be longer than those of the page before by this part of them, and still find room.
const SPARE: usize = 8;

/// A column that is being filled.
pub(super) struct Builder {
    pub(super) values: Values,
    /// No value, however strange, changes the type of this column.
    pub(super) fixed: bool,
    /// Typed by hand: a number or a boolean may come as text.
    pub(super) by_hand: bool,
    /// What was seen that the type doesn't tell.
    pub(super) facts: u16,
}

/// The values of a column, by type.
pub(super) enum Values {
    Null(usize),
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Uint64(UInt64Builder),
    Float64(Float64Builder),
    Precise(Precise),
    String(StringBuilder),
    /// A `string` by hand: numbers and booleans are welcome, as the text that they came as.
    Text(StringBuilder),
    Json(StringBuilder),
    List(ListBuilder),
    Struct(StructBuilder),
}

pub(super) struct ListBuilder {
    pub(super) item: Box<Builder>,
    pub(super) items: usize,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl Builder {
    pub(super) fn of(node: &Node) -> Self {
        let kind = node.kind();
        let values = match kind {
            ColumnType::Null => Values::Null(0),
            ColumnType::Bool => Values::Bool(BooleanBuilder::new()),
            ColumnType::Int64 => Values::Int64(Int64Builder::new()),
            ColumnType::Uint64 => Values::Uint64(UInt64Builder::new()),
            ColumnType::Float64 => Values::Float64(Float64Builder::new()),
            ColumnType::Decimal { .. } | ColumnType::Timestamp | ColumnType::Date => {
                // Each of these types has such a builder.
                Precise::of(&kind, node.hand.as_ref()).map_or(Values::Null(0), Values::Precise)
            }
            ColumnType::String if node.frozen => Values::Text(StringBuilder::new()),
            ColumnType::String => Values::String(StringBuilder::new()),
            ColumnType::Json => Values::Json(StringBuilder::new()),
            ColumnType::List(_) => {
                let item = node.item.as_ref().map_or_else(|| Self::of(&Node::free()), |item| Self::of(item));
                Values::List(ListBuilder { item: Box::new(item), items: 0, offsets: vec![0], valid: Vec::new() })
            }
            ColumnType::Struct(_) => Values::Struct(StructBuilder::of(node, &[])),
        };
        Self { values, fixed: node.is_fixed(), by_hand: node.frozen, facts: 0 }
    }

    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Null(rows) => *rows += 1,
            Values::Bool(values) => values.append_null(),
            Values::Int64(values) => values.append_null(),
            Values::Uint64(values) => values.append_null(),
            Values::Float64(values) => values.append_null(),
            Values::Precise(values) => values.append_null(),
            Values::String(values) | Values::Text(values) | Values::Json(values) => values.append_null(),
            Values::List(list) => list.close(false),
            Values::Struct(fields) => fields.append_null(),
        }
    }

    /// Returns the column's values and begins anew, with room for as much as there was: a builder that grows copies what it holds.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match &mut self.values {
            Values::Null(rows) => Arc::new(NullArray::new(std::mem::take(rows))),
            Values::Bool(values) => Arc::new(values.finish()),
            Values::Int64(values) => {
                let next = Int64Builder::with_capacity(values.len());
                Arc::new(std::mem::replace(values, next).finish())
            }
            Values::Uint64(values) => {
                let next = UInt64Builder::with_capacity(values.len());
                Arc::new(std::mem::replace(values, next).finish())
            }
            Values::Float64(values) => {
                let next = Float64Builder::with_capacity(values.len());
                Arc::new(std::mem::replace(values, next).finish())
            }
            Values::Precise(values) => values.finish()?,
            Values::String(values) | Values::Text(values) | Values::Json(values) => {
                let bytes = values.values_slice().len();
                let next = StringBuilder::with_capacity(values.len(), bytes + bytes / SPARE);
                Arc::new(std::mem::replace(values, next).finish())
            }
            Values::List(list) => Arc::new(list.finish()?),
            Values::Struct(fields) => Arc::new(fields.finish()?),
        })
    }

    /// Returns how many bytes the values take, about.
    fn bytes(&self) -> usize {
        match &self.values {
            Values::Null(_) => 0,
            Values::Bool(values) => values.len() / 4,
            Values::Int64(values) => values.len() * 8,
            Values::Uint64(values) => values.len() * 8,
            Values::Float64(values) => values.len() * 8,
            Values::Precise(values) => values.bytes(),
            Values::String(values) | Values::Text(values) | Values::Json(values) => {
                values.values_slice().len() + values.len() * 4
            }
            Values::List(list) => list.offsets.len() * 4 + list.item.bytes(),
            Values::Struct(fields) => fields.bytes(),
        }
    }

    /// Moves the facts that the types don't tell to the node that the builder was made of.
    pub(super) fn harvest(&mut self, node: &mut Node) {
        node.facts |= std::mem::take(&mut self.facts);
        match &mut self.values {
            Values::List(list) => list.item.harvest(node.item()),
            Values::Struct(fields) => fields.harvest(node),
            _ => {}
        }
    }
}

impl ListBuilder {
    /// Ends a list after the items that were appended.
    pub(super) fn close(&mut self, valid: bool) {
        // A page is smaller than 2 GiB, and an item takes a byte at least.
        self.offsets.push(i32::try_from(self.items).unwrap_or(i32::MAX));
        self.valid.push(valid);
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let values = self.item.finish()?;
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        let valid = NullBuffer::from(std::mem::take(&mut self.valid));
        self.items = 0;
        let field = Arc::new(Field::new("item", values.data_type().clone(), true));
        ListArray::try_new(field, offsets, values, Some(valid))
    }
}

/// Tells whether two names are the same. As `==` does, which calls a function of the C library: names are too short for that.
fn is_same(known: &str, name: &str) -> bool {
    let (known, name) = (known.as_bytes(), name.as_bytes());
    match known.len() {
        length if length != name.len() => false,
        0..4 => known.iter().zip(name).all(|(known, name)| known == name),
        4..8 => ends::<4>(known) == ends::<4>(name),
        8..=16 => ends::<8>(known) == ends::<8>(name),
        _ => known == name,
    }
}

/// Returns the first and the last bytes, which may overlap.
fn ends<const N: usize>(bytes: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (bytes.first_chunk(), bytes.last_chunk())
}

/// Where a key leads.
pub(super) enum Slot {
    /// To this field.
    Known(usize),
    /// To this one of the columns that records don't decide.
    Constant(usize),
    /// Nowhere.
    Unknown,
}

/// The places of columns that records don't decide begin here: no record has so many fields.
const CONSTANTS: usize = usize::MAX / 2;

pub(super) struct StructBuilder {
    names: Arc<[Box<str>]>,
    pub(super) fields: Vec<Builder>,
    /// Where a name lies, for records whose keys come in another order than the last one's.
    places: HashMap<Box<str>, usize>,
    /// The columns that records don't decide, and their values as JSON text.
    constants: Vec<(Box<str>, Box<str>)>,
    /// The field that came after this one last time; the last entry is for the start of a record.
    after: Vec<usize>,
    /// The record in which a field was seen last, which tells double keys and missing fields.
    seen: Vec<u64>,
    record: u64,
    valid: Vec<bool>,
    /// No field may join.
    pub(super) frozen: bool,
}

impl StructBuilder {
    /// Makes the builder of a struct; `constants` are columns that aren't read from records: these may have them too, with these values.
    pub(super) fn of(node: &Node, constants: &[(String, Value)]) -> Self {
        let is_shown = |name: &str| constants.iter().all(|(constant, _)| constant != name);
        let shown = || node.fields.iter().filter(|(name, _)| is_shown(name));
        let names: Arc<[Box<str>]> = shown().map(|(name, _)| name.as_str().into()).collect();
        let mut places: HashMap<Box<str>, usize> =
            names.iter().cloned().enumerate().map(|(at, name)| (name, at)).collect();
        places.extend(constants.iter().enumerate().map(|(at, (name, _))| (name.as_str().into(), CONSTANTS + at)));
        let width = names.len();
        Self {
            names,
            fields: shown().map(|(_, field)| Builder::of(field)).collect(),
            places,
            constants: constants.iter().map(|(name, value)| (name.as_str().into(), value.to_string().into())).collect(),
            after: (1..=width).chain([0]).collect(),
            seen: vec![0; width],
            record: 0,
            valid: Vec::new(),
            frozen: node.frozen,
        }
    }

    pub(super) fn name(&self, at: usize) -> &str {
        &self.names[at]
    }

    /// Returns the names of the fields, in order.
    pub(super) fn names(&self) -> Arc<[Box<str>]> {
        Arc::clone(&self.names)
    }

    /// Begins a record, and returns the place to give to [`StructBuilder::find`] first.
    pub(super) fn open(&mut self) -> usize {
        self.record += 1;
        self.names.len()
    }

    /// Finds the field `name`, which most likely follows the field at `previous` as it did in the record before.
    pub(super) fn find(&mut self, name: &str, previous: usize) -> Slot {
        let likely = self.after[previous];
        if self.names.get(likely).is_some_and(|known| is_same(known, name)) {
            return Slot::Known(likely);
        }
        match self.places.get(name) {
            None => Slot::Unknown,
            Some(&at) if at >= CONSTANTS => Slot::Constant(at - CONSTANTS),
            Some(&at) => {
                self.after[previous] = at;
                Slot::Known(at)
            }
        }
    }

    /// Returns the name and the value, as JSON text, of a column that records don't decide, where a record would have another value in it:
    /// `text` as it stands there.
    pub(super) fn contradicts(&self, at: usize, text: &str) -> Option<(&str, &str)> {
        let (name, own) = &self.constants[at];
        let (own, read) = (own.as_ref(), |text: &str| serde_json::from_str::<Value>(text).ok());
        // An identifier is a number here and a text there.
        let bare = |text| str::trim_matches(text, '"');
        let agrees = text == "null" || bare(text) == bare(own) || read(text) == read(own);
        (!agrees).then_some((name, own))
    }

    /// Marks the field as seen in this record; false where it was seen before.
    pub(super) fn mark(&mut self, at: usize) -> bool {
        std::mem::replace(&mut self.seen[at], self.record) != self.record
    }

    /// Ends a record: what it didn't have is null.
    pub(super) fn close(&mut self) {
        for (field, seen) in self.fields.iter_mut().zip(&self.seen) {
            if *seen != self.record {
                field.append_null();
            }
        }
        self.valid.push(true);
    }

    pub(super) fn append_null(&mut self) {
        for field in &mut self.fields {
            field.append_null();
        }
        self.valid.push(false);
    }

    /// Returns how many bytes the rows take, about.
    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().map(Builder::bytes).sum()
    }

    /// Returns the columns, and begins anew.
    pub(super) fn finish_columns(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.valid.clear();
        self.fields.iter_mut().map(Builder::finish).collect()
    }

    fn finish(&mut self) -> Result<StructArray, ArrowError> {
        let valid = NullBuffer::from(std::mem::take(&mut self.valid));
        let columns = self.finish_columns()?;
        let field = |(name, column): (&str, &ArrayRef)| Field::new(name, column.data_type().clone(), true);
        let fields: Fields = self.names.iter().map(AsRef::as_ref).zip(&columns).map(field).collect();
        StructArray::try_new(fields, columns, Some(valid))
    }

    pub(super) fn harvest(&mut self, node: &mut Node) {
        // Both are in the order of their names.
        let mut fields = self.names.iter().zip(&mut self.fields).peekable();
        for (name, node) in &mut node.fields {
            while fields.next_if(|(own, _)| ***own < **name).is_some() {}
            if let Some((_, field)) = fields.next_if(|(own, _)| ***own == **name) {
                field.harvest(node);
            }
        }
    }
}
