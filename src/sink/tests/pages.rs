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
