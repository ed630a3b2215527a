use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::*;

/// A batch of the ids `from..from + rows`; with `grown`, of a wider schema.
fn batch(from: i64, rows: i64, grown: bool) -> RecordBatch {
    let ids = Arc::new(Int64Array::from_iter_values(from..from + rows)) as ArrayRef;
    let texts = Arc::new(StringArray::from_iter_values((from..from + rows).map(|id| id.to_string()))) as ArrayRef;
    let columns = if grown { vec![("id", ids), ("text", texts)] } else { vec![("id", ids)] };
    RecordBatch::try_from_iter(columns).expect("batch")
}

fn ids(batches: Batches) -> Vec<i64> {
    let batches: Vec<_> = batches.map(|batch| batch.expect("read back")).collect();
    assert!(batches.iter().all(|batch| batch.num_rows() > 0));
    let ids = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
    ids.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the limit, the cut into batches and the schemas: the rows come back in order, less the removed ones.
    #[test]
    fn order_and_filter_hold_in_memory_and_on_disk(
        sizes in prop::collection::vec((0_i64..9, any::<bool>()), 0..12),
        removed in prop::collection::vec(0_u64..100, 0..20),
        memory_limit in prop::sample::select(vec![0_usize, 300, 2_000, usize::MAX]),
    ) {
        let mut spool = Spool::new(memory_limit);
        let mut pushed = Vec::new();
        let mut next = 0;
        for (rows, grown) in sizes {
            let batch = batch(next, rows, grown);
            pushed.push(batch.schema());
            spool.push(batch).expect("pushed");
            next += rows;
        }
        prop_assert_eq!(spool.rows(), u64::try_from(next).expect("small"));
        prop_assert!(memory_limit != 0 || pushed.is_empty() || spool.spilled());
        prop_assert!(memory_limit != usize::MAX || !spool.spilled());
        spool.filter_out(removed.iter().copied());
        let spooled = spool.finish().expect("finished");
        let expected: Vec<_> =
            (0..next).filter(|id| !removed.contains(&u64::try_from(*id).expect("small"))).collect();
        prop_assert_eq!(spooled.rows(), expected.len() as u64);
        prop_assert_eq!(ids(spooled.batches()), expected.clone());
        prop_assert_eq!(ids(spooled.batches()), expected, "the second reading");
    }
}

#[test]
fn batches_keep_their_own_schema() {
    for memory_limit in [0, usize::MAX] {
        let mut spool = Spool::new(memory_limit);
        let batches = [batch(0, 2, false), batch(2, 2, false), batch(4, 1, true), batch(5, 3, false)];
        for batch in &batches {
            spool.push(batch.clone()).expect("pushed");
        }
        let back: Vec<_> = spool.into_batches().expect("ended").map(|batch| batch.expect("read")).collect();
        assert_eq!(back, batches);
    }
}

#[test]
fn two_readers_of_one_file_do_not_disturb_each_other() {
    let mut spool = Spool::new(0);
    for from in 0..50 {
        spool.push(batch(from * 100, 100, from % 2 == 0)).expect("pushed");
    }
    let spooled = spool.finish().expect("finished");
    let (mut one, mut two) = (spooled.batches(), spooled.batches());
    drop(spooled);
    loop {
        let (left, right) = (one.next().transpose().expect("one"), two.next().transpose().expect("two"));
        assert_eq!(left, right);
        if left.is_none() {
            break;
        }
    }
}

#[test]
fn the_limit_bounds_what_is_in_memory() {
    let mut spool = Spool::new(10_000);
    for from in 0..100 {
        spool.push(batch(from * 100, 100, true)).expect("pushed");
    }
    assert!(spool.spilled());
    assert!(spool.memory.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() <= 10_000);
}
