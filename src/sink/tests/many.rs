//! More partitions than files may be open.

use super::*;

#[test]
fn rows_that_come_for_hundreds_of_partitions_in_turn_are_gathered() {
    let turn = |at: i64| {
        let ids = at * 500..at * 500 + 500;
        let part = |id: i64| format!("p{}", id % 250);
        let columns: Vec<(&str, ArrayRef, bool)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(ids.clone())), true),
            ("part", Arc::new(StringArray::from_iter_values(ids.map(part))), true),
            ("text", Arc::new(StringArray::from_iter_values((0..500).map(|_| "x".repeat(5000)))), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let run = || {
        let root = tempdir().unwrap();
        let spec = spec(root.path(), parquet(), &["part"]);
        let mut writer = SinkWriter::open(&spec, &landing(1), &turn(0).schema(), &staging()).unwrap();
        for at in 0..30 {
            writer.write(&turn(at)).unwrap();
            assert!(writer.buffered() <= MAX_BUFFERED, "{}", writer.buffered());
        }
        let receipts = writer.finish().unwrap();
        let mut ids = Vec::new();
        for receipt in &receipts {
            publish(receipt).unwrap();
            let batch = read_parquet(&root.path().join(&receipt.path));
            let own = batch.column(0).as_primitive::<Int64Type>().values();
            assert!(own.is_sorted(), "rows keep their order: {}", receipt.path);
            let dir = format!("part=p{}/", own[0] % 250);
            assert!(
                receipt.path.starts_with(&dir) && own.iter().all(|id| id % 250 == own[0] % 250),
                "{}",
                receipt.path
            );
            ids.extend_from_slice(own);
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..15_000).collect::<Vec<_>>());
        receipts.into_iter().map(|receipt| (receipt.path, receipt.sha256)).collect::<Vec<_>>()
    };
    let files = run();
    // 75 MB of rows: given out once when half of the memory is full, and once at the end.
    assert!((250..=500).contains(&files.len()), "{}", files.len());
    assert_eq!(run(), files);
}
