//! Splits a batch by each row's own partition values.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Date32Type, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Utc};

use super::SinkError;
use super::layout::partition_dir;
use super::spec::PartitionField;

const HOUR: i64 = 3600;
const MICROS: i64 = 1_000_000;
const DAY: i64 = 24 * HOUR;

/// Splits batches of one (normalised) schema.
#[derive(Debug)]
pub(super) struct Splitter {
    /// What stands before all partitions: `snapshot=<label>`.
    prefix: Option<String>,
    /// The fields, each with the index of its column.
    fields: Vec<(PartitionField, usize)>,
}

/// Which partition each row of a batch goes to.
#[derive(Debug)]
pub(super) struct Groups {
    /// The directories below the root, by their first rows; one that is empty where nothing is partitioned.
    pub(super) dirs: Vec<String>,
    /// The directory of each row: an index into `dirs`.
    pub(super) of_row: Vec<u32>,
}

/// The rows of one partition.
#[derive(Debug)]
pub(super) struct Part {
    /// The directory below the root, empty where nothing is partitioned.
    pub(super) dir: String,
    /// The rows, in their order.
    pub(super) rows: RecordBatch,
}

impl Splitter {
    /// Makes one for rows of `schema`, checking that the columns are there and have types that can name a directory.
    pub(super) fn new(fields: &[PartitionField], snapshot: Option<&str>, schema: &Schema) -> Result<Self, SinkError> {
        let prefix = snapshot.map(|label| partition_dir("snapshot", Some(label)));
        let mut keys: Vec<_> = snapshot.map(|_| "snapshot".to_owned()).into_iter().collect();
        let mut found = Vec::with_capacity(fields.len());
        for field in fields {
            let index = schema
                .index_of(field.column())
                .map_err(|_| SinkError::unknown_column("partition_by", field.column(), schema))?;
            check_type(field, schema.field(index).data_type())?;
            let key = field.key();
            // A directory that hides a column of the file would change the column's values for readers of Hive partitions.
            let hides = !matches!(field, PartitionField::Column(_)) && schema.index_of(&key).is_ok();
            if hides || keys.contains(&key) {
                let among = if hides { "columns and partitions" } else { "partitions" };
                return Err(SinkError::DuplicateName { name: key, among });
            }
            keys.push(key);
            found.push((field.clone(), index));
        }
        Ok(Self { prefix, fields: found })
    }

    /// Returns which partition each row of `batch` goes to.
    pub(super) fn groups(&self, batch: &RecordBatch) -> Result<Groups, SinkError> {
        let mut dirs = vec![self.prefix.clone().unwrap_or_default()];
        let mut of_row = vec![0_u32; batch.num_rows()];
        for (field, index) in &self.fields {
            let labels = labels(field, batch.column(*index)).map_err(|source| SinkError::Split { source })?;
            dirs = refine(&mut of_row, &dirs, &labels, &field.key());
        }
        Ok(Groups { dirs, of_row })
    }
}

impl Groups {
    /// Splits `batch`, whose groups these are, into its partitions, in the order of their first rows.
    pub(super) fn split(self, batch: &RecordBatch) -> Result<Vec<Part>, SinkError> {
        let mut parts = Vec::with_capacity(self.dirs.len());
        for (dir, rows) in self.dirs.into_iter().zip(rows_of_groups(&self.of_row)) {
            let whole = rows.len() == batch.num_rows();
            let taken = if whole { Ok(batch.clone()) } else { take_record_batch(batch, &UInt32Array::from(rows)) };
            parts.push(Part { dir, rows: taken.map_err(|source| SinkError::Split { source })? });
        }
        Ok(parts)
    }
}

fn check_type(field: &PartitionField, kind: &DataType) -> Result<(), SinkError> {
    let hint = match field {
        PartitionField::Column(_) if kind.is_nested() || matches!(kind, DataType::Binary) => {
            "only a plain value can name a partition"
        }
        PartitionField::Hour(_) if !matches!(kind, DataType::Timestamp(..)) => "hour() needs a timestamp",
        PartitionField::Year(_) | PartitionField::Month(_) | PartitionField::Day(_)
            if !matches!(kind, DataType::Timestamp(..) | DataType::Date32) =>
        {
            "year(), month() and day() need a timestamp or a date"
        }
        _ => return Ok(()),
    };
    Err(SinkError::ColumnType { column: field.column().to_owned(), kind: kind.to_string(), hint })
}

/// The partition value of each row: an index into the distinct values, in the order of their first rows.
#[derive(Default)]
struct Labels {
    of_row: Vec<u32>,
    distinct: Vec<Option<String>>,
    null: Option<u32>,
    texts: HashMap<String, u32>,
}

impl Labels {
    fn intern(&mut self, label: Option<&str>) -> u32 {
        let next = count(self.distinct.len());
        let known = label.map_or(self.null, |text| self.texts.get(text).copied());
        known.unwrap_or_else(|| {
            match label {
                Some(text) => {
                    self.texts.insert(text.to_owned(), next);
                }
                None => self.null = Some(next),
            }
            self.distinct.push(label.map(str::to_owned));
            next
        })
    }
}

fn labels(field: &PartitionField, column: &ArrayRef) -> Result<Labels, ArrowError> {
    match field {
        PartitionField::Column(_) => plain_labels(column),
        PartitionField::Year(_) => time_labels(column, "%Y", DAY),
        PartitionField::Month(_) => time_labels(column, "%Y-%m", DAY),
        PartitionField::Day(_) => time_labels(column, "%Y-%m-%d", DAY),
        PartitionField::Hour(_) => time_labels(column, "%Y-%m-%d-%H", HOUR),
    }
}

fn plain_labels(column: &ArrayRef) -> Result<Labels, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let mut labels = Labels::default();
    let mut text = String::new();
    for row in 0..column.len() {
        text.clear();
        if column.is_valid(row) {
            formatter.value(row).write(&mut text)?;
        }
        let index = labels.intern(column.is_valid(row).then_some(text.as_str()));
        labels.of_row.push(index);
    }
    Ok(labels)
}

/// Labels times by `format`, printing one instant per `unit` seconds only.
fn time_labels(column: &ArrayRef, format: &str, unit: i64) -> Result<Labels, ArrowError> {
    let mut labels = Labels::default();
    let mut by_bucket = HashMap::new();
    for row in 0..column.len() {
        let bucket = column.is_valid(row).then(|| seconds(column, row).div_euclid(unit));
        let index = if let Some(index) = by_bucket.get(&bucket) {
            *index
        } else {
            let text = bucket.map(|bucket| printed(bucket * unit, format)).transpose()?;
            let index = labels.intern(text.as_deref());
            by_bucket.insert(bucket, index);
            index
        };
        labels.of_row.push(index);
    }
    Ok(labels)
}

fn seconds(column: &ArrayRef, row: usize) -> i64 {
    match column.data_type() {
        DataType::Date32 => i64::from(column.as_primitive::<Date32Type>().value(row)) * DAY,
        _ => column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(MICROS),
    }
}

fn printed(seconds: i64, format: &str) -> Result<String, ArrowError> {
    let instant = DateTime::<Utc>::from_timestamp(seconds, 0);
    let instant = instant.ok_or_else(|| ArrowError::ComputeError(format!("second {seconds} is too far from 1970")))?;
    Ok(instant.format(format).to_string())
}

/// Splits every group by the labels of one more field; returns the directories of the new groups, by their first rows.
fn refine(group_of: &mut [u32], dirs: &[String], labels: &Labels, key: &str) -> Vec<String> {
    let mut groups = HashMap::new();
    let mut refined = Vec::new();
    for (group, label) in group_of.iter_mut().zip(&labels.of_row) {
        let (parent, value) = (*group as usize, *label as usize);
        *group = *groups.entry((parent, value)).or_insert_with(|| {
            let dir = partition_dir(key, labels.distinct[value].as_deref());
            let above = &dirs[parent];
            refined.push(if above.is_empty() { dir } else { format!("{above}/{dir}") });
            count(refined.len() - 1)
        });
    }
    refined
}

fn rows_of_groups(group_of: &[u32]) -> Vec<Vec<u32>> {
    let mut rows: Vec<Vec<u32>> = Vec::new();
    for (row, group) in group_of.iter().enumerate() {
        let group = *group as usize;
        if group >= rows.len() {
            rows.resize_with(group + 1, Vec::new);
        }
        rows[group].push(count(row));
    }
    rows
}

/// A number of rows as Arrow's 32-bit index; a batch is cut to fewer rows than that before it is split.
fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    use super::*;

    fn batch(rows: &[(Option<i64>, Option<String>)]) -> RecordBatch {
        let times: Vec<_> = rows.iter().map(|row| row.0).collect();
        let names: Vec<_> = rows.iter().map(|row| row.1.clone()).collect();
        let ids = Int64Array::from_iter_values(0..i64::try_from(rows.len()).unwrap());
        let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("id", Arc::new(ids), true),
            ("ts", Arc::new(times), true),
            ("name", Arc::new(StringArray::from(names)), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn split(fields: &[&str], batch: &RecordBatch) -> Result<Vec<Part>, SinkError> {
        let fields: Vec<_> = fields.iter().map(|text| text.parse().unwrap()).collect();
        Splitter::new(&fields, None, &batch.schema())?.groups(batch)?.split(batch)
    }

    fn dirs(fields: &[&str], rows: &[(Option<i64>, Option<String>)]) -> Vec<String> {
        split(fields, &batch(rows)).unwrap().into_iter().map(|part| part.dir).collect()
    }

    #[test]
    fn directories_are_named_as_iceberg_names_them() {
        let rows = [(Some(1_767_229_199_999_999), Some("a".to_owned())), (Some(-1), None), (None, Some(String::new()))];
        let null = "__HIVE_DEFAULT_PARTITION__";
        let named =
            |key: &str, a: &str, b: &str| vec![format!("{key}={a}"), format!("{key}={b}"), format!("{key}={null}")];
        assert_eq!(dirs(&["year(ts)"], &rows), named("ts_year", "2026", "1969"));
        assert_eq!(dirs(&["month(ts)"], &rows), named("ts_month", "2026-01", "1969-12"));
        assert_eq!(dirs(&["day(ts)"], &rows), named("ts_day", "2026-01-01", "1969-12-31"));
        assert_eq!(dirs(&["hour(ts)"], &rows), named("ts_hour", "2026-01-01-00", "1969-12-31-23"));
        assert_eq!(dirs(&["name"], &rows), ["name=a", &format!("name={null}"), "name="]);
        assert_eq!(dirs(&["day(ts)", "name"], &rows[..1]), ["ts_day=2026-01-01/name=a"]);
    }

    #[test]
    fn partitions_that_cannot_be_are_refused() {
        let rows = batch(&[(None, None)]);
        assert!(matches!(split(&["nope"], &rows), Err(SinkError::UnknownColumn { .. })));
        assert!(matches!(split(&["day(name)"], &rows), Err(SinkError::ColumnType { .. })));
        assert!(matches!(split(&["name", "name"], &rows), Err(SinkError::DuplicateName { .. })));
        let column: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let hidden = RecordBatch::try_from_iter([("ts", Arc::clone(rows.column(1))), ("ts_day", column)]).unwrap();
        assert!(matches!(split(&["day(ts)"], &hidden), Err(SinkError::DuplicateName { .. })));
    }

    proptest! {
        #[test]
        fn no_row_is_lost_or_doubled(rows in proptest::collection::vec(
            (proptest::option::of(-200_000_000_000_i64..200_000_000_000), proptest::option::of("[ab/=%]{0,2}")), 0..60
        )) {
            let batch = batch(&rows);
            let parts = split(&["day(ts)", "name"], &batch).unwrap();
            let mut seen = Vec::new();
            for part in &parts {
                let ids = part.rows.column(0).as_primitive::<arrow::datatypes::Int64Type>();
                prop_assert!(ids.values().is_sorted(), "rows keep their order");
                for id in ids.values() {
                    let name = rows[usize::try_from(*id).unwrap()].1.as_deref();
                    let own = partition_dir("name", name);
                    prop_assert!(part.dir.ends_with(&format!("/{own}")), "{} {own}", part.dir);
                    seen.push(*id);
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..i64::try_from(rows.len()).unwrap()).collect::<Vec<_>>());
            let mut dirs: Vec<_> = parts.iter().map(|part| &part.dir).collect();
            dirs.sort();
            dirs.dedup();
            prop_assert_eq!(dirs.len(), parts.len());
        }
    }
}
