//! How a pinned schema may change: what joins by itself, what a person may take in without harm, and what breaks the files that have
//! landed.

use std::fmt;

use super::{Column, ColumnType, HandColumn, RecordSchema};

/// What a change of a column's type does to the files that have landed with the type before. Later ones are worse.
///
/// Safe is what a reader of old and new files together gets right: each old value, read as the new type, is the same value, digit for
/// digit. Integers as doubles aren't, beyond 2^53; nor are texts as JSON, where `a` is `"a"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Safe, and taken in by a run itself under `contract: evolve`: what was absent or only ever null gets a type.
    Joins,
    /// Safe, but a person decides: the new type holds every value of the old one.
    Widens,
    /// Values of the old files aren't values of the new type, or readers don't take them for such.
    Breaks,
}

/// A column, or a field of it, that isn't as it is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The column, with a dot before each field and `[]` for the items of a list.
    pub column: String,
    /// The pinned type; none where it is new.
    pub from: Option<ColumnType>,
    /// The type now.
    pub to: ColumnType,
    /// What the change does.
    pub effect: Effect,
}

/// How records differ from their pinned schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// What is new or has another type, in the order of names.
    pub changes: Vec<Change>,
    /// Pinned columns that weren't seen. They stay, as nulls.
    pub unseen: Vec<String>,
    /// The pinned schema with the changes taken in.
    pub accepted: RecordSchema,
}

impl Effect {
    /// Returns what it does to files with the type `from` that a column has the type `to` now. This is the table of the documentation
    /// of `schema` in a pipeline file.
    #[must_use]
    pub fn of(from: &ColumnType, to: &ColumnType) -> Self {
        use ColumnType::{Decimal, Int64, List, Null, Struct, Uint64};
        match (from, to) {
            (from, to) if from == to => Self::Joins,
            (Null, _) | (_, Null) => Self::Joins,
            (Int64, Decimal { precision, scale }) if precision - scale >= 19 => Self::Widens,
            (Uint64, Decimal { precision, scale }) if precision - scale >= 20 => Self::Widens,
            (Decimal { precision, scale }, Decimal { precision: digits, scale: after })
                if after >= scale && digits - after >= precision - scale =>
            {
                Self::Widens
            }
            (List(from), List(to)) => Self::of(from, to),
            (Struct(from), Struct(to)) => {
                let same = |field: &Column| from.iter().find(|known| known.name == field.name);
                let effects = to.iter().filter_map(|field| Some(Self::of(&same(field)?.kind, &field.kind)));
                effects.max().unwrap_or(Self::Joins)
            }
            _ => Self::Breaks,
        }
    }

    /// Tells whether old and new files can be read together.
    #[must_use]
    pub fn is_safe(self) -> bool {
        self != Self::Breaks
    }

    /// Returns its name: `joins`, `widens`, `breaks`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joins => "joins",
            Self::Widens => "widens",
            Self::Breaks => "breaks",
        }
    }
}

impl Drift {
    /// Compares records, as they are `now`, with what is pinned. A column that is typed by hand must have just that type; any other
    /// hasn't changed where its pinned type holds what was seen, as `float64` holds integers and `json` anything.
    #[must_use]
    pub fn between(pinned: &RecordSchema, now: &RecordSchema, by_hand: &[HandColumn]) -> Self {
        let mut drift = Self::default();
        let strict = |name: &str| by_hand.iter().any(|column| column.name == name);
        let mut columns = pinned.columns().to_vec();
        for column in &mut columns {
            match now.column(&column.name) {
                Some(seen) => column.kind = drift.kind(&column.kind, &seen.kind, &column.name, strict(&column.name)),
                None => drift.unseen.push(column.name.clone()),
            }
        }
        for column in now.columns().iter().filter(|column| pinned.column(&column.name).is_none()) {
            drift.joins(&column.name, &column.kind);
            columns.push(column.clone());
        }
        drift.changes.sort_by(|a, b| a.column.cmp(&b.column));
        drift.accepted = RecordSchema::new(columns);
        drift
    }

    /// Tells whether a change breaks files that have landed.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.changes.iter().any(|change| !change.effect.is_safe())
    }

    fn joins(&mut self, column: &str, to: &ColumnType) {
        let change = Change { column: column.to_owned(), from: None, to: to.clone(), effect: Effect::Joins };
        self.changes.push(change);
    }

    /// Notes what differs, and returns the type with that taken in.
    fn kind(&mut self, pinned: &ColumnType, now: &ColumnType, path: &str, strict: bool) -> ColumnType {
        match (pinned, now) {
            (pinned, now) if pinned == now || *now == ColumnType::Null => pinned.clone(),
            (ColumnType::List(pinned), ColumnType::List(now)) => {
                ColumnType::List(Box::new(self.kind(pinned, now, &format!("{path}[]"), strict)))
            }
            (ColumnType::Struct(pinned), ColumnType::Struct(now)) => {
                ColumnType::Struct(self.fields(pinned, now, path, strict))
            }
            (pinned, now) if !strict && holds(pinned, now) => pinned.clone(),
            (pinned, now) => {
                let (from, effect) = (Some(pinned.clone()), Effect::of(pinned, now));
                self.changes.push(Change { column: path.to_owned(), from, to: now.clone(), effect });
                now.clone()
            }
        }
    }

    fn fields(&mut self, pinned: &[Column], now: &[Column], path: &str, strict: bool) -> Vec<Column> {
        let mut fields = pinned.to_vec();
        for field in now {
            let path = format!("{path}.{}", field.name);
            if let Some(known) = fields.iter_mut().find(|known| known.name == field.name) {
                known.kind = self.kind(&known.kind, &field.kind, &path, strict);
            } else {
                self.joins(&path, &field.kind);
                fields.push(field.clone());
            }
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        fields
    }
}

/// Tells whether a pinned type takes the values that were seen as they are.
const fn holds(pinned: &ColumnType, seen: &ColumnType) -> bool {
    use ColumnType::{Decimal, Float64, Int64, Json, Uint64};
    matches!(
        (pinned, seen),
        (Json, _) | (Float64, Int64 | Uint64) | (Uint64, Int64) | (Decimal { .. }, Int64 | Uint64 | Float64)
    )
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => write!(f, "`{}` is {}, and was {from}", self.column, self.to),
            None => write!(f, "`{}` is new, {}", self.column, self.to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::HandType;
    use super::*;

    fn schema(text: &str) -> RecordSchema {
        match ColumnType::parse(&format!("struct<{text}>")) {
            Ok(ColumnType::Struct(columns)) => RecordSchema::new(columns),
            other => panic!("{other:?}"),
        }
    }

    fn told(drift: &Drift) -> Vec<String> {
        drift.changes.iter().map(|change| format!("{change}: {}", change.effect)).collect()
    }

    #[test]
    fn what_differs_is_named_by_its_path() {
        let pinned = schema("a: int64, gone: bool, n: null, s: struct<x: int64, y: list<struct<z: string>>>");
        let now = schema("a: string, b: date, n: string, s: struct<w: bool, x: int64, y: list<struct<z: int64>>>");
        let drift = Drift::between(&pinned, &now, &[]);
        assert_eq!(
            told(&drift),
            [
                "`a` is string, and was int64: breaks",
                "`b` is new, date: joins",
                "`n` is string, and was null: joins",
                "`s.w` is new, bool: joins",
                "`s.y[].z` is int64, and was string: breaks",
            ]
        );
        assert_eq!(drift.unseen, ["gone"]);
        assert!(drift.breaks());
        let accepted =
            "a: string, b: date, gone: bool, n: string, s: struct<w: bool, x: int64, y: list<struct<z: int64>>>";
        assert_eq!(drift.accepted, schema(accepted));
    }

    #[test]
    fn a_type_that_holds_what_was_seen_has_not_changed() {
        let pinned = schema("d: decimal(20, 2), f: float64, j: json, l: list<float64>, u: uint64");
        let now = schema("d: float64, f: int64, j: struct<a: bool>, l: list<int64>, u: int64");
        let drift = Drift::between(&pinned, &now, &[]);
        assert_eq!((drift.changes, &drift.accepted), (Vec::new(), &pinned));
        // By hand it is meant.
        let by_hand = HandColumn { name: "f".to_owned(), kind: HandType::parse("int64").unwrap() };
        assert_eq!(told(&Drift::between(&pinned, &now, &[by_hand])), ["`f` is int64, and was float64: breaks"]);
    }

    #[test]
    fn what_joins_is_what_two_schemas_unite_to() {
        let kinds = [
            "null",
            "bool",
            "int64",
            "uint64",
            "float64",
            "decimal(38, 2)",
            "decimal(38, 20)",
            "decimal(19, 0)",
            "string",
            "timestamp",
            "date",
            "json",
            "list<null>",
            "list<int64>",
            "struct<a: int64>",
            "struct<a: null>",
            "struct<b: bool>",
        ];
        let kinds = kinds.map(|kind| ColumnType::parse(kind).unwrap());
        for (from, to) in kinds.iter().flat_map(|from| kinds.iter().map(move |to| (from, to))) {
            let one = |kind: &ColumnType| RecordSchema::new(vec![Column { name: "c".to_owned(), kind: kind.clone() }]);
            let unites = one(from).union(&one(to)).is_ok();
            assert_eq!(Effect::of(from, to) == Effect::Joins, unites, "{from} to {to}");
        }
    }
}
