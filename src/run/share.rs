//! What runs at once must share beside the slices.

use crate::pipeline::spec::Pipeline;
use crate::plan::Shard;

/// Returns the pipeline as a shard runs it: all shards together keep to each `rate_limit` of the file, so each has its part of it.
/// One shard sends for a sink that sends, so those limits stay.
pub(super) fn of(pipeline: &Pipeline, shard: Shard) -> Pipeline {
    let mut pipeline = pipeline.clone();
    for rate in pipeline.jobs.iter_mut().filter_map(|job| job.source.rate_limit.as_mut()) {
        rate.per = rate.per.saturating_mul(shard.of());
    }
    pipeline
}
