//! The rows of an outbox that may have to be sent, in the order of their slices.

use std::collections::{BTreeSet, HashSet, VecDeque};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::OutboxError;
use crate::ledger::{DeliveryState, DoneSlice, Landed, Ledger, LedgerState, RowKey, SliceRef};
use crate::model::{FanoutKey, FileReceipt, JobName, SinkName, SliceKind};
use crate::run::RunError;
use crate::sink::{DataSets, SinkSpec};

/// How many lists of files are read at a time.
const READ_AHEAD: usize = 16;

/// A row that waits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// What it is known by.
    pub(super) key: RowKey,
    /// The row, an object.
    pub(super) value: Value,
}

/// A slice some of whose rows may wait.
#[derive(Debug)]
struct Waiting {
    slice: DoneSlice,
    files: VecDeque<FileReceipt>,
}

/// The slices that aren't known to be done.
#[derive(Debug)]
pub(super) struct Backlog {
    ledger: Ledger,
    job: JobName,
    sets: DataSets,
    key: Vec<String>,
    slices: VecDeque<Waiting>,
    /// The rows of the file that was read last.
    rows: VecDeque<Row>,
    /// The keys that came before.
    seen: HashSet<RowKey>,
    /// Keys of rows that go with requests in doubt, as they were.
    pub(super) stood_for: HashSet<RowKey>,
    /// Rows in all files, but those that others stand for.
    pub(super) total: u64,
    /// Rows whose key had ended, or came before.
    pub(super) known: u64,
    /// Slices all of whose rows have been given out.
    pub(super) passed: Vec<DoneSlice>,
    /// Rows of slices that another shard has replaced meanwhile: the next delivery has them, as they are now.
    replaced: u64,
}

impl Backlog {
    /// Lists the slices of a job, as `state` has them, whose rows in `set` may wait.
    pub(super) async fn list(
        ledger: &Ledger,
        sets: &DataSets,
        (job, set, key): (&JobName, &SinkSpec, &[String]),
        state: &LedgerState,
        delivered: &DeliveryState,
    ) -> Result<Self, RunError> {
        let mut slices: Vec<(Order, DoneSlice, Option<String>)> = state
            .all_slices()
            .filter(|(at, _)| at.job == *job)
            .filter_map(|(at, slice)| Some((at, slice.landed.as_ref()?)))
            .filter(|(at, landed)| !delivered.is_done(&at.slice, at.key.as_ref(), landed.generation))
            .map(|(at, landed)| {
                let order = order(at.key.as_ref(), landed);
                (order, DoneSlice { slice: at.slice, key: at.key, generation: landed.generation }, landed.list.clone())
            })
            .collect();
        slices.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let waiting = stream::iter(slices).map(|(_, slice, list)| async move {
            let files = match list {
                Some(list) => ledger.files(&list).await?,
                None => Vec::new(),
            };
            Ok::<_, RunError>(Waiting { slice, files: of_sink(files, &set.name, &set.url) })
        });
        let slices: VecDeque<Waiting> = waiting.buffered(READ_AHEAD).try_collect().await?;
        Ok(Self {
            ledger: ledger.clone(),
            job: job.clone(),
            sets: sets.clone(),
            key: key.to_vec(),
            total: slices.iter().flat_map(|slice| &slice.files).map(|file| file.rows).sum(),
            slices,
            rows: VecDeque::new(),
            seen: HashSet::new(),
            stood_for: HashSet::new(),
            known: 0,
            passed: Vec::new(),
            replaced: 0,
        })
    }

    /// Returns the next row that waits: neither it nor another of its key has ended, or was given out.
    pub(super) async fn next(&mut self, delivered: &DeliveryState) -> Result<Option<Row>, RunError> {
        while let Some(row) = self.any().await? {
            if self.stood_for.remove(&row.key) {
                self.seen.insert(row.key);
                self.total -= 1;
            } else if !delivered.has_ended(row.key) && self.seen.insert(row.key) {
                return Ok(Some(row));
            } else {
                self.known += 1;
            }
        }
        Ok(None)
    }

    /// Returns how many of these keys no row has had that was given out.
    pub(super) fn without(&self, keys: &HashSet<RowKey>) -> u64 {
        keys.difference(&self.seen).count() as u64
    }

    /// Returns the next row, whatever is known of it.
    pub(super) async fn any(&mut self) -> Result<Option<Row>, RunError> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Ok(Some(row));
            }
            let Some(slice) = self.slices.front_mut() else { return Ok(None) };
            let Some(file) = slice.files.front().cloned() else {
                self.passed.extend(self.slices.pop_front().map(|slice| slice.slice));
                continue;
            };
            let bytes = match self.sets.read(&file).await {
                Ok(bytes) => bytes,
                Err(_) if is_replaced(&self.ledger, &self.job, &slice.slice).await? => {
                    self.replaced += slice.files.iter().map(|file| file.rows).sum::<u64>();
                    self.slices.pop_front();
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let key = self.key.clone();
            self.rows = tokio::task::spawn_blocking(move || rows(&bytes, &key, &file)).await??;
            // Only now: a file that can't be read is still to be.
            slice.files.pop_front();
        }
    }

    /// Tells whether another shard replaced slices meanwhile, so that rows are missing here.
    pub(super) const fn lacks_rows(&self) -> bool {
        self.replaced > 0
    }

    /// Returns the keys of all rows that wait.
    pub(super) async fn keys(mut self, delivered: &DeliveryState) -> Result<BTreeSet<RowKey>, RunError> {
        let mut keys = BTreeSet::new();
        while let Some(row) = self.next(delivered).await? {
            keys.insert(row.key);
        }
        Ok(keys)
    }

    /// Returns how many rows weren't looked at.
    pub(super) fn unread(&self) -> u64 {
        let files = self.slices.iter().flat_map(|slice| &slice.files);
        files.map(|file| file.rows).sum::<u64>() + self.rows.len() as u64 + self.replaced
    }
}

/// Tells whether another generation of the slice has landed, so that the files of this one are gone: shards land while one sends.
async fn is_replaced(ledger: &Ledger, job: &JobName, slice: &DoneSlice) -> Result<bool, RunError> {
    let at = SliceRef { job: job.clone(), key: slice.key.clone(), slice: slice.slice.clone() };
    let state = ledger.read_state().await?;
    Ok(state.landed(&at).is_none_or(|landed| landed.generation != slice.generation))
}

/// Returns the files of a sink, where the state lies now: it may have been moved since they landed.
fn of_sink(files: Vec<FileReceipt>, sink: &SinkName, root: &str) -> VecDeque<FileReceipt> {
    let own = files.into_iter().filter(|file| file.sink == *sink);
    own.map(|file| FileReceipt { root: root.to_owned(), ..file }).collect()
}

/// Reads the rows of a file.
fn rows(bytes: &[u8], key: &[String], file: &FileReceipt) -> Result<VecDeque<Row>, RunError> {
    let broken =
        |error: serde_json::Error| RunError::from(OutboxError::File { path: file.path.clone(), source: error });
    let row = |line: &[u8]| {
        let cells: std::collections::HashMap<String, &RawValue> = serde_json::from_slice(line).map_err(broken)?;
        let cell = |column: &String| {
            let missing =
                || RunError::from(OutboxError::NoColumn { column: column.clone(), known: "others".to_owned() });
            cells.get(column).map(|cell| cell.get()).ok_or_else(missing)
        };
        let values: Vec<&str> = key.iter().map(cell).collect::<Result<_, _>>()?;
        Ok(Row { key: RowKey::of(values), value: serde_json::from_slice(line).map_err(broken)? })
    };
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(row).collect()
}

/// Where a slice stands among the others of its job: key by key, the oldest first.
type Order = (Option<FanoutKey>, i64, i64, String);

fn order(key: Option<&FanoutKey>, landed: &Landed) -> Order {
    let (first, second, text) = match &landed.kind {
        SliceKind::Window(window) => (window.from.timestamp_micros(), 0, String::new()),
        SliceKind::Incremental { series, start, .. } => {
            // A cursor is an integer, or a time, which sorts as its text.
            (i64::from(*series), start.0.as_i64().unwrap_or_default(), start.text())
        }
        SliceKind::Snapshot { at, label } => (at.timestamp_micros(), 0, label.clone()),
    };
    (key.cloned(), first, second, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: u64) -> FileReceipt {
        FileReceipt {
            sink: SinkName::new("tickets"),
            root: "/old/outbox".to_owned(),
            path: "a.jsonl".to_owned(),
            staged: String::new(),
            rows,
            bytes: 0,
            sha256: String::new(),
        }
    }

    #[test]
    fn rows_are_known_by_the_text_of_their_key() {
        let lines =
            b"{\"id\":1,\"n\":\"a\"}\n{\"id\":9007199254740993,\"n\":null}\n{\"id\":9007199254740992,\"n\":null}\n";
        let read = rows(lines, &["id".to_owned()], &file(3)).unwrap();
        assert_eq!(read[0].key, RowKey::of(["1"]));
        assert_ne!(read[1].key, read[2].key);
        assert_eq!(read[1].value["id"], 9_007_199_254_740_993_u64);
        assert!(rows(b"{\"id\":1", &["id".to_owned()], &file(1)).unwrap_err().chain().contains("a.jsonl"));
        assert!(rows(b"{\"n\":1}\n", &["id".to_owned()], &file(1)).is_err());
    }

    #[test]
    fn files_are_read_where_the_state_is() {
        let other = FileReceipt { sink: SinkName::new("lake"), ..file(1) };
        let found = of_sink(vec![file(2), other], &SinkName::new("tickets"), "/new/outbox");
        assert_eq!(found, [FileReceipt { root: "/new/outbox".to_owned(), ..file(2) }]);
    }
}
