//! What we decode, against what Arrow's own reader of JSON makes of the same text, for schemas and records of any shape.
//!
//! Where both take a record, the values are equal. Who takes it differs by these rules alone, each for a reason:
//!
//! | value | Arrow's reader | ours |
//! |---|---|---|
//! | a text in a column of numbers, such as `"1"` | reads the number | rejects the record: no cast is guessed |
//! | a number with a point or an exponent, or `-0`, in a column of integers, such as `1.5` | cuts it | rejects the record: no digit is lost |
//! | an integer that a double doesn't hold, or that is beyond 64 bits, in a column of doubles | rounds it | rejects the record |
//! | a number beyond the range of a double | makes it infinite | rejects the record |
//! | `[]` where an object is due | refuses it | null: it is how Lua prints an empty table |

use super::*;

/// JSON with its numbers as they are written.
#[derive(Debug, Clone)]
enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Prints it, with characters as `\u` escapes where `escaped`.
    fn print(&self, escaped: bool) -> String {
        let text = |text: &str| {
            if escaped {
                format!("\"{}\"", text.chars().map(escape).collect::<String>())
            } else {
                Value::from(text).to_string()
            }
        };
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(digits) => digits.clone(),
            Self::Text(value) => text(value),
            Self::List(items) => {
                format!("[{}]", items.iter().map(|item| item.print(escaped)).collect::<Vec<_>>().join(" ,"))
            }
            Self::Object(fields) => {
                let field = |(name, value): &(String, Self)| format!("{} : {}", text(name), value.print(escaped));
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Prints a character as `\u` escapes. Beyond U+1FFFF that is two of which Arrow's reader makes another character (its
/// `char_from_surrogate_pair` puts 0x10000 in by `|`, not by `+`), so those are printed as they are.
fn escape(character: char) -> String {
    if character > '\u{1ffff}' {
        return character.to_string();
    }
    character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Who takes a value that is no null, where the rules above say that it is one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Arrow,
    Ours,
}

/// Finds the values of a record that the two take differently.
fn differences(kind: &ColumnType, value: &Json, found: &mut Vec<Only>) {
    match (kind, value) {
        (ColumnType::Int64 | ColumnType::Uint64 | ColumnType::Float64, Json::Text(_)) => found.push(Only::Arrow),
        (ColumnType::Int64 | ColumnType::Uint64, Json::Number(digits))
            if digits.contains(['.', 'e', 'E']) || digits == "-0" =>
        {
            found.push(Only::Arrow);
        }
        (ColumnType::Float64, Json::Number(digits)) => {
            let double: f64 = digits.parse().unwrap();
            let lossy = |integer| {
                exactly(double) != Some(integer) || i64::try_from(integer).is_err() && u64::try_from(integer).is_err()
            };
            if digits.parse().is_ok_and(lossy) || double.is_infinite() {
                found.push(Only::Arrow);
            }
        }
        (ColumnType::Struct(_), Json::List(items)) if items.is_empty() => found.push(Only::Ours),
        (ColumnType::Struct(fields), Json::Object(values)) => {
            for (name, value) in values {
                if let Some(field) = fields.iter().find(|field| field.name == *name) {
                    differences(&field.kind, value, found);
                }
            }
        }
        (ColumnType::List(item), Json::List(items)) => items.iter().for_each(|value| differences(item, value, found)),
        _ => {}
    }
}

/// Returns the integer that a double is, digit for digit.
fn exactly(double: f64) -> Option<i128> {
    format!("{double:.0}").parse().ok().filter(|_| double.fract() == 0.0)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[A-C]", Just("a.b".to_owned()), Just("@a \"b\"".to_owned()), Just("é\u{1f980}".to_owned())]
}

fn columns(depth: u32) -> BoxedStrategy<Vec<Column>> {
    proptest::collection::btree_map(name(), kind(depth), 1..5)
        .prop_map(|columns| columns.into_iter().map(|(name, kind)| Column { name, kind }).collect())
        .boxed()
}

fn kind(depth: u32) -> BoxedStrategy<ColumnType> {
    let scalar = proptest::sample::select(vec![
        ColumnType::Bool,
        ColumnType::Int64,
        ColumnType::Uint64,
        ColumnType::Float64,
        ColumnType::String,
    ]);
    if depth == 0 {
        return scalar.boxed();
    }
    let list = kind(depth - 1).prop_map(|item| ColumnType::List(Box::new(item)));
    prop_oneof![3 => scalar, 1 => list, 1 => columns(depth - 1).prop_map(ColumnType::Struct)].boxed()
}

/// A value that fits a type.
fn fitting(kind: &ColumnType) -> BoxedStrategy<Json> {
    let number = |text: String| Json::Number(text);
    match kind {
        ColumnType::Bool => any::<bool>().prop_map(Json::Bool).boxed(),
        ColumnType::Int64 => any::<i64>().prop_map(move |value| number(value.to_string())).boxed(),
        ColumnType::Uint64 => any::<u64>().prop_map(move |value| number(value.to_string())).boxed(),
        ColumnType::Float64 => prop_oneof![
            proptest::num::f64::ANY
                .prop_filter("no number", |value| value.is_finite())
                .prop_map(|value| format!("{value:?}")),
            any::<i32>().prop_map(|value| format!("{value}E-3")),
            (-(1_i64 << 53)..=1 << 53).prop_map(|value| value.to_string()),
        ]
        .prop_map(number)
        .boxed(),
        ColumnType::List(item) => proptest::collection::vec(value(item), 0..4).prop_map(Json::List).boxed(),
        ColumnType::Struct(fields) => object(fields),
        _ => prop_oneof!["\\PC{0,6}", "[\u{0}-\u{1f}\"\\\\/\u{1f980}]{0,4}"].prop_map(Json::Text).boxed(),
    }
}

/// A value for a type: nearly always one that fits, or null.
fn value(kind: &ColumnType) -> BoxedStrategy<Json> {
    let odd = [
        "1",
        "-1",
        "-0",
        "1.0",
        "1.5",
        "2e3",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "1e999",
    ];
    let odd = odd.map(|digits| Json::Number(digits.to_owned())).into_iter().chain([
        Json::Bool(true),
        Json::Text("1".to_owned()),
        Json::Text("true".to_owned()),
        Json::Text("x".to_owned()),
        Json::List(Vec::new()),
        Json::List(vec![Json::Null]),
        Json::Object(Vec::new()),
    ]);
    let odd = proptest::sample::select(odd.collect::<Vec<_>>());
    prop_oneof![40 => fitting(kind), 6 => Just(Json::Null), 1 => odd].boxed()
}

/// An object with these fields, some of them missing, in some order; seldom with another one.
fn object(fields: &[Column]) -> BoxedStrategy<Json> {
    let field = |field: &Column| (Just(field.name.clone()), proptest::option::weighted(0.85, value(&field.kind)));
    let fields: Vec<_> = fields.iter().map(field).collect();
    (fields, proptest::bool::weighted(0.02), any::<bool>())
        .prop_map(|(fields, more, backwards)| {
            let mut fields: Vec<_> = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            fields.extend(more.then(|| ("more".to_owned(), Json::Number("1".to_owned()))));
            if backwards {
                fields.reverse();
            }
            Json::Object(fields)
        })
        .boxed()
}

/// A schema, and records of which most fit it.
fn cases() -> impl Strategy<Value = (Vec<Column>, Vec<Json>)> {
    columns(3).prop_flat_map(|columns| {
        let odd = proptest::sample::select(vec![Json::Null, Json::List(Vec::new()), Json::Bool(true)]);
        let record = prop_oneof![60 => object(&columns), 1 => odd];
        (Just(columns), proptest::collection::vec(record, 1..20))
    })
}

/// Reads records by Arrow's reader, which refuses fields that it doesn't know as [`Contract::Freeze`] does.
fn theirs(schema: &RecordSchema, records: &[&String]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let reader = arrow::json::ReaderBuilder::new(arrow_schema(schema)).with_strict_mode(true);
    let mut decoder = reader.with_batch_size(1000).build_decoder()?;
    for record in records {
        decoder.decode(record.as_bytes())?;
        decoder.decode(b"\n")?;
    }
    Ok(decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(arrow_schema(schema))))
}

proptest! {
    #[test]
    fn a_page_decodes_as_arrows_own_reader_decodes_it((columns, records) in cases(), escaped: bool) {
        let schema = RecordSchema::new(columns.clone());
        let kind = ColumnType::Struct(columns);
        let texts: Vec<String> = records.iter().map(|record| record.print(escaped)).collect();
        let mut decoder = PageDecoder::new(DecodeOptions {
            pinned: Some(schema.clone()),
            contract: Contract::Freeze,
            ..options(&[".[]"])
        });
        let ours = page(&mut decoder, format!("[{}]", texts.join(",")));
        let rejected: Vec<u64> = ours.rejected.iter().map(|row| row.ordinal).collect();
        let (mut both, mut mask) = (Vec::new(), Vec::new());
        for (ordinal, (record, text)) in (0..).zip(records.iter().zip(&texts)) {
            let taken = theirs(&schema, &[text]);
            let mut only = Vec::new();
            // A record itself isn't null, and `[]` isn't one.
            if matches!(record, Json::Object(_)) {
                differences(&kind, record, &mut only);
            }
            let is_ours = !rejected.contains(&ordinal);
            match (is_ours, taken.is_ok()) {
                (true, false) => prop_assert!(only.contains(&Only::Ours), "only we take {text}: {taken:?}"),
                (false, true) => prop_assert!(only.contains(&Only::Arrow), "only Arrow takes {text}: {:?}", ours.rejected),
                (true, true) => prop_assert!(only.is_empty(), "both take {text}"),
                (false, false) => {}
            }
            if is_ours {
                mask.push(taken.is_ok());
            }
            if is_ours && taken.is_ok() {
                both.push(text);
            }
        }
        let mask = arrow::array::BooleanArray::from(mask);
        let shared = arrow::compute::filter_record_batch(&ours.batch(), &mask).unwrap();
        prop_assert_eq!(shared, theirs(&schema, &both).unwrap());
    }
}
