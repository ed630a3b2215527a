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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::check;
    use crate::pipeline::load::{Lookup, Source};

    const PIPELINE: &str = r"
version: 1
name: p
source: {base_url: 'https://a.test', rate_limit: 10/s}
jobs:
  rows:
    get: /rows
    records: '.[]'
    paginate: none
    snapshot: daily
    sinks: {tickets: {http: {base_url: 'https://b.test', post: /tickets, key: [id], body: {id: '{{ row.id }}'}, rate_limit: 3/m}}}
";

    struct Nothing;

    impl Lookup for Nothing {
        fn var(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, path: &str) -> Result<String, String> {
            Err(path.to_owned())
        }
    }

    #[test]
    fn five_shards_have_a_fifth_of_the_requests_each() {
        let source = Source { name: "p.yaml".to_owned(), text: PIPELINE.to_owned() };
        let whole = check::load(&source, &Nothing).unwrap().pipeline;
        let rates = |pipeline: &Pipeline| {
            let job = &pipeline.jobs[0];
            [&job.source, &job.outboxes[0].source]
                .map(|source| source.rate_limit.map(|rate| (rate.count.get(), rate.per)))
        };
        let second = Duration::from_secs(1);
        let sink = Some((3, Duration::from_mins(1)));
        assert_eq!(rates(&of(&whole, Shard::new(3, 5).unwrap())), [Some((10, 5 * second)), sink]);
        assert_eq!(rates(&of(&whole, Shard::WHOLE)), [Some((10, second)), sink]);
    }
}
