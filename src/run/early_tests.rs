//! What is written early counts only where it is the slice.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::*;
use crate::decode::arrow_schema;
use crate::lang::Selector;
use crate::model::{AnswerFormat, Column, ColumnType};

const MIB: usize = 1024 * 1024;

fn schema(columns: &[(&str, ColumnType)]) -> RecordSchema {
    let column = |(name, kind): &(&str, ColumnType)| Column { name: (*name).to_owned(), kind: kind.clone() };
    RecordSchema::new(columns.iter().map(column).collect())
}

fn narrow() -> RecordSchema {
    schema(&[("id", ColumnType::Int64), ("text", ColumnType::String)])
}

/// A page of 100 rows and about a mebibyte, numbered from `first` on.
fn page(first: i64) -> RecordBatch {
    let text = "x".repeat(MIB / 100);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from_iter_values(first..first + 100)), Arc::new(StringArray::from(vec![text; 100]))];
    RecordBatch::try_new(arrow_schema(&narrow()), columns).unwrap()
}

/// Counts the rows instead of writing them.
fn opening(schema: Option<RecordSchema>, memory: u64) -> Opening {
    let write = |_, rows: Rows| {
        let mut staged = Staged::default();
        for batch in rows {
            staged.rows_out += batch?.num_rows() as u64;
        }
        Ok(staged)
    };
    Opening {
        schema,
        version: 1,
        streams: Box::new(|_| true),
        write: Box::new(write),
        memory: Arc::new(Memory::new(memory)),
        takes: 0,
    }
}

fn options() -> DecodeOptions {
    DecodeOptions::new(AnswerFormat::Json, Selector::parse(&[".[]".to_owned()]).unwrap())
}

/// Feeds `pages` pages, and returns the feeder.
async fn fed(early: &Early, opening: Opening, pages: i64) -> Feeder {
    let mut feeder = Feeder::new(early.clone(), opening, options());
    tokio::task::spawn_blocking(move || {
        for at in 0..pages {
            let first = at * 100;
            // One row of each page doesn't land.
            let first_out = Ordinals::from_iter([first.unsigned_abs() + 7]);
            feeder.take(&page(first), &narrow(), first.unsigned_abs(), [&first_out, &Ordinals::default()]).unwrap();
        }
        feeder
    })
    .await
    .unwrap()
}

fn left_out(pages: u64) -> Ordinals {
    (0..pages).map(|page| page * 100 + 7).collect()
}

const MEMORY: u64 = 64 * MIB as u64;

#[tokio::test]
async fn rows_are_written_as_they_come() {
    let early = Early::default();
    let feeder = fed(&early, opening(Some(narrow()), MEMORY), 10).await;
    let written = feeder.end(990, &left_out(10)).expect("all of it was given away");
    assert_eq!(written.keep(&narrow(), 1).await.unwrap().rows_out, 990);
}

#[tokio::test]
async fn a_small_slice_is_not_written_early() {
    let early = Early::default();
    let feeder = fed(&early, opening(None, MEMORY), 3).await;
    assert!(feeder.end(297, &left_out(3)).is_none());
}

#[tokio::test]
async fn nothing_is_written_early_where_there_is_no_memory_or_another_schema() {
    let early = Early::default();
    assert!(fed(&early, opening(None, 2 * MIB as u64), 10).await.end(990, &left_out(10)).is_none());
    let takes_all = Opening { takes: MEMORY, ..opening(None, MEMORY) };
    assert!(fed(&early, takes_all, 10).await.end(990, &left_out(10)).is_none());
    let other = schema(&[("id", ColumnType::Int64)]);
    assert!(fed(&early, opening(Some(other), MEMORY), 10).await.end(990, &left_out(10)).is_none());
}

#[tokio::test]
async fn what_differs_at_the_end_does_not_count() {
    for (rows, left_out) in [(989, left_out(10)), (990, left_out(9)), (990, Ordinals::from_iter([8]))] {
        let early = Early::default();
        let feeder = fed(&early, opening(None, MEMORY), 10).await;
        assert!(feeder.end(rows, &left_out).is_none());
        // What waits for more rows ends.
        early.give_up().await;
    }
    let early = Early::default();
    let feeder = fed(&early, opening(None, MEMORY), 10).await;
    assert!(feeder.end(990, &left_out(10)).unwrap().keep(&narrow(), 2).await.is_none(), "the version is another");
    early.give_up().await;
}

#[tokio::test]
async fn a_change_of_the_schema_ends_it() {
    let early = Early::default();
    let mut feeder = fed(&early, opening(None, MEMORY), 10).await;
    let wider = schema(&[("id", ColumnType::Int64), ("more", ColumnType::Bool), ("text", ColumnType::String)]);
    let feeder = tokio::task::spawn_blocking(move || {
        let none = Ordinals::default();
        feeder.take(&page(1000), &wider, 1000, [&none, &none]).unwrap();
        feeder.take(&page(1100), &wider, 1100, [&none, &none]).unwrap();
        feeder
    });
    assert!(feeder.await.unwrap().end(1190, &left_out(10)).is_none());
    early.give_up().await;
}

#[tokio::test]
async fn an_error_of_the_writing_is_left_to_the_writing_at_the_end() {
    let early = Early::default();
    let write = |_, mut rows: Rows| match rows.next() {
        Some(Ok(_)) => Err(RunError::Interrupted),
        other => panic!("rows came first: {}", other.is_some()),
    };
    let memory = Arc::new(Memory::new(MEMORY));
    let feeder = fed(
        &early,
        Opening { schema: None, version: 1, streams: Box::new(|_| true), write: Box::new(write), memory, takes: 0 },
        10,
    )
    .await;
    if let Some(written) = feeder.end(990, &left_out(10)) {
        assert!(written.keep(&narrow(), 1).await.is_none());
    }
    early.give_up().await;
}
