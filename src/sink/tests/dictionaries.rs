//! Which columns of a Parquet file are written as dictionaries.

use arrow::compute::cast;

use super::*;

#[test]
fn a_column_whose_values_hardly_repeat_has_no_dictionary_in_that_row_group() {
    let root = tempdir().unwrap();
    let column = |each: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..2000).map(each))) as ArrayRef;
    let text = Arc::new(StringArray::from_iter_values((0..2000).map(|row| format!("{row:020}")))) as ArrayRef;
    let columns = [("few", column(|row| row % 9)), ("many", column(|row| row)), ("text", text)];
    let other = [("few", column(|row| row)), ("many", column(|row| row % 9)), ("text", column(|_| 1))];
    let batch = |columns: [(&str, ArrayRef); 3]| {
        let columns = columns.map(|(name, column)| (name, cast(&column, &DataType::Utf8).unwrap()));
        RecordBatch::try_from_iter(columns).unwrap()
    };
    for (dictionary, expected) in [(true, [[true, false, false], [false, true, true]]), (false, [[false; 3]; 2])] {
        let options = ParquetOptions { row_group_rows: 2000, dictionary, ..ParquetOptions::default() };
        let batches = [batch(columns.clone()), batch(other.clone())];
        let receipts = write(&spec(root.path(), Format::Parquet(options), &[]), &landing(1), &batches).unwrap();
        publish(&receipts[0]).unwrap();
        let file = File::open(root.path().join(&receipts[0].path)).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let of = |group: usize, column| builder.metadata().row_group(group).column(column).dictionary_page_offset();
        let has = [0, 1].map(|group| [0, 1, 2].map(|column| of(group, column).is_some()));
        assert_eq!(has, expected);
        let read: Vec<RecordBatch> = builder.with_batch_size(2000).build().unwrap().map(Result::unwrap).collect();
        assert_eq!(
            read.iter().map(|batch| batch.columns().to_vec()).collect::<Vec<_>>(),
            batches.map(|batch| batch.columns().to_vec())
        );
        fs::remove_dir_all(root.path()).unwrap();
    }
}
