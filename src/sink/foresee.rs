//! Where rows would land, without writing them.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use indexmap::IndexMap;

use super::SinkError;
use super::encode;
use super::layout::file_name;
use super::partition::Splitter;
use super::spec::{Landing, SinkSpec};
use super::writer::normalizer;

/// Returns the files that these rows would be in, by their paths below the root of the data set, and how many rows each would have. The
/// limits of a file's size aren't looked at.
///
/// # Errors
/// Where the sink can't take the rows: a partition column that isn't there, names that differ by case only.
pub fn foresee(
    spec: &SinkSpec,
    landing: &Landing,
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> Result<Vec<(String, u64)>, SinkError> {
    spec.check()?;
    let normalizer = normalizer(spec, schema)?;
    let splitter = Splitter::new(&spec.partition_by, landing.snapshot.as_deref(), normalizer.target())?;
    let mut folders: IndexMap<String, u64> = IndexMap::new();
    for batch in batches {
        let groups = splitter.groups(&normalizer.apply(batch)?)?;
        for group in groups.of_row {
            *folders.entry(groups.dirs[group as usize].clone()).or_default() += 1;
        }
    }
    let path = |(part, (folder, rows)): (u32, (String, u64))| {
        let name = file_name(landing, part, encode::extension(&spec.format));
        (if folder.is_empty() { name } else { format!("{folder}/{name}") }, rows)
    };
    Ok((0..).zip(folders).map(path).collect())
}
