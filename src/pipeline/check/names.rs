//! The places of names that only a job's rows can prove right or wrong.

use super::super::file::{JobFile, SinkFile};
use super::super::load::Spanned;
use super::super::spec::Places;

/// Gathers the places of a job's names.
pub(super) fn places(job: &JobFile) -> Places {
    let mut places = Places::default();
    for name in job.key.iter().flat_map(|key| &key.value.0) {
        places.note("key", name);
    }
    for name in job.schema.iter().flat_map(|schema| schema.columns.keys()) {
        places.note("schema.columns", name);
    }
    for expectation in job.expect.iter().flat_map(|all| &all.value) {
        let columns = expectation.not_null.iter().chain(&expectation.unique);
        columns.flat_map(|columns| &columns.0).for_each(|name| places.note("expect", name));
    }
    for (sink, file) in &job.sinks {
        for (option, names) in options(file) {
            for name in names {
                places.note(format!("sinks.{}.{option}", sink.value), name);
            }
        }
    }
    places
}

/// Returns the options of a sink that name columns.
fn options(sink: &SinkFile) -> Vec<(&'static str, &[Spanned<String>])> {
    let both = |partitions, order| [("partition_by", partitions), ("sort_by", order)];
    let parquet = sink.parquet.iter().flat_map(|file| both(file.partition_by.as_slice(), file.sort_by.as_slice()));
    let csv = sink.csv.iter().flat_map(|file| both(file.partition_by.as_slice(), file.sort_by.as_slice()));
    let jsonl = sink.jsonl.iter().flat_map(|file| both(file.partition_by.as_slice(), file.sort_by.as_slice()));
    let blooms = sink.parquet.iter().map(|file| ("bloom_filters", file.bloom_filters.as_slice()));
    let key = sink.http.iter().map(|file| ("key", file.value.key.value.0.as_slice()));
    parquet.chain(csv).chain(jsonl).chain(blooms).chain(key).collect()
}
