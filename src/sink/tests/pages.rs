//! How large the pages of a Parquet file's columns are.

use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::file::metadata::PageIndexPolicy;

use super::*;

/// Returns how many bytes of text the pages of the first column hold, the last one aside.
fn texts_of_pages(root: &Path, columns: usize, dictionary: bool) -> Vec<i64> {
    let text = |row: u64| format!("{row:0100}");
    let column = Arc::new(StringArray::from_iter_values((0..20_000).map(text))) as ArrayRef;
    let batch = RecordBatch::try_from_iter((0..columns).map(|at| (format!("c{at}"), Arc::clone(&column)))).unwrap();
    let options = ParquetOptions { dictionary, ..ParquetOptions::default() };
    let receipts = write(&spec(root, Format::Parquet(options), &[]), &landing(1), &[batch]).unwrap();
    publish(&receipts[0]).unwrap();
    let file = File::open(root.join(&receipts[0].path)).unwrap();
    let indexed = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, indexed).unwrap();
    let pages = &builder.metadata().offset_index().unwrap()[0][0];
    let texts = pages.unencoded_byte_array_data_bytes().unwrap();
    assert_eq!(texts.iter().sum::<i64>(), 2_000_000);
    fs::remove_dir_all(root).unwrap();
    texts[..texts.len() - 1].to_vec()
}

/// A page ends with the batch of values that filled it, so that it may be half as long again and more.
#[test]
fn many_columns_without_a_dictionary_have_smaller_pages_and_few_have_large_ones() {
    let root = tempdir().unwrap();
    for (columns, dictionary, least, most) in [
        (1, true, 1_000_000, 2_000_000),
        (4, true, 1_000_000, 2_000_000),
        (8, true, 500_000, 1_000_000),
        (20, true, 250_000, 500_000),
        (20, false, 250_000, 500_000),
    ] {
        let pages = texts_of_pages(root.path(), columns, dictionary);
        assert!(!pages.is_empty() && pages.iter().all(|page| (least..most).contains(page)), "{columns}: {pages:?}");
    }
}

#[test]
fn long_values_have_the_least_and_greatest_of_a_row_group_and_not_of_each_page() {
    let root = tempdir().unwrap();
    let texts = |bytes: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..200).map(|row| format!("{row:03}{}", "x".repeat(bytes)))))
    };
    let batch = RecordBatch::try_from_iter([("short", texts(1_000)), ("long", texts(20_000))]).unwrap();
    for (statistics, indexed, bounded) in [
        (Statistics::Page, [true, false], true),
        (Statistics::RowGroup, [false, false], true),
        (Statistics::None, [false, false], false),
    ] {
        let options = ParquetOptions { statistics, ..ParquetOptions::default() };
        let receipts =
            write(&spec(root.path(), Format::Parquet(options), &[]), &landing(1), std::slice::from_ref(&batch))
                .unwrap();
        publish(&receipts[0]).unwrap();
        let file = File::open(root.path().join(&receipts[0].path)).unwrap();
        let with_index = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, with_index).unwrap();
        let group = builder.metadata().row_group(0);
        let has = |column: usize| group.column(column).column_index_offset().is_some();
        assert_eq!([has(0), has(1)], indexed, "{statistics:?}");
        let least = |column: usize| group.column(column).statistics().and_then(|known| known.min_bytes_opt()).is_some();
        assert_eq!([least(0), least(1)], [bounded; 2], "{statistics:?}");
        let read = builder.build().unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(concat_batches(&batch.schema(), &read).unwrap(), batch);
        fs::remove_dir_all(root.path()).unwrap();
    }
}
