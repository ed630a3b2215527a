//! Keys on disk: a file of them, sorted by hash, which doesn't change any more.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;

use parquet::bloom_filter::Sbbf;

/// The least bytes between two marks: what is read to look for a key.
const BLOCK: u64 = 4096;

/// The most marks of a run, 512 KiB of them: the blocks of a larger run are larger.
const MOST_MARKS: u64 = 32 * 1024;

/// Bits of a filter for each key: one in a hundred keys that a run doesn't have is then looked for in vain.
const FILTER_BITS: usize = 10;

/// Bytes of a run that are in memory while it is merged.
const BUFFER: usize = 64 * 1024;

/// A key, its hash and its number. On disk: the hash, the number, and the length of the key (8, 8 and 4 bytes, little-endian), then
/// the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'k> {
    pub(super) hash: u64,
    pub(super) number: u64,
    pub(super) key: &'k [u8],
}

/// The bytes of an item before its key.
const HEAD: usize = 20;

/// A sorted file of keys. It has no name: it goes with the process.
pub(super) struct Run {
    file: File,
    bytes: u64,
    items: u64,
    /// Where blocks begin.
    marks: Vec<Mark>,
    filter: Option<Sbbf>,
}

/// The first item of a block.
struct Mark {
    hash: u64,
    at: u64,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("items", &self.items).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<'k> Item<'k> {
    fn head(hash: u64, number: u64, length: u32) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&hash.to_le_bytes());
        head[8..16].copy_from_slice(&number.to_le_bytes());
        head[16..].copy_from_slice(&length.to_le_bytes());
        head
    }

    /// Reads what stands before a key: the hash, the number and the key's length.
    fn behead(bytes: &'k [u8]) -> Option<(u64, u64, usize, &'k [u8])> {
        let (hash, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        Some((u64::from_le_bytes(*hash), u64::from_le_bytes(*number), length, rest))
    }

    /// Takes the first item off `bytes`.
    fn take(bytes: &mut &'k [u8]) -> Option<Self> {
        let (hash, number, length, rest) = Self::behead(bytes)?;
        let (key, rest) = rest.split_at_checked(length)?;
        *bytes = rest;
        Some(Self { hash, number, key })
    }

    fn order(&self, other: &Item<'_>) -> Ordering {
        self.hash.cmp(&other.hash).then_with(|| self.key.cmp(other.key))
    }
}

impl Run {
    /// Writes keys that are sorted, each once. `key_bytes` is about how many bytes they have, `room` how many a filter may take.
    pub(super) fn write<'k>(
        items: impl ExactSizeIterator<Item = Item<'k>>,
        key_bytes: u64,
        room: usize,
    ) -> io::Result<Self> {
        let count = items.len() as u64;
        let mut writer = Writer::new(count, key_bytes + count * HEAD as u64, room)?;
        for item in items {
            writer.push(item)?;
        }
        writer.finish()
    }

    /// Makes one run of several, the oldest first: the number of a key is that of the latest run that has it.
    pub(super) fn merge(mut runs: Vec<Self>, room: usize) -> io::Result<Self> {
        // They aren't asked any more, and their memory is needed.
        for run in &mut runs {
            run.filter = None;
        }
        let (count, bytes) = (runs.iter().map(|run| run.items).sum(), runs.iter().map(|run| run.bytes).sum());
        let mut writer = Writer::new(count, bytes, room)?;
        let mut heads = runs.iter().map(Head::open).collect::<io::Result<Vec<_>>>()?;
        loop {
            let live = heads.iter().enumerate().filter_map(|(at, head)| Some((at, head.item()?)));
            // Of equal ones the latest.
            let Some((least, item)) = live.min_by(|a, b| a.1.order(&b.1).then(b.0.cmp(&a.0))) else {
                return writer.finish();
            };
            writer.push(item)?;
            let same = |head: &Head<'_>| head.item().is_some_and(|other| other.order(&item).is_eq());
            let twins: Vec<usize> = (0..least).filter(|at| same(&heads[*at])).collect();
            for at in twins.into_iter().chain([least]) {
                heads[at].advance()?;
            }
        }
    }

    /// Returns the number of `key`, whose hash is `hash`. `block` is used to read into.
    pub(super) fn find(&self, hash: u64, key: &[u8], block: &mut Vec<u8>) -> io::Result<Option<u64>> {
        if self.filter.as_ref().is_some_and(|filter| !filter.check(&hash)) {
            return Ok(None);
        }
        // Keys of one hash may lie on both sides of a mark.
        let from = self.marks.partition_point(|mark| mark.hash < hash).saturating_sub(1);
        let to = self.marks.partition_point(|mark| mark.hash <= hash);
        let (from, to) = (self.offset(from), self.offset(to));
        block.resize(usize::try_from(to - from).unwrap_or(usize::MAX), 0);
        self.file.read_exact_at(block, from)?;
        let mut rest = block.as_slice();
        while let Some(item) = Item::take(&mut rest) {
            match item.hash.cmp(&hash) {
                Ordering::Equal if item.key == key => return Ok(Some(item.number)),
                Ordering::Less | Ordering::Equal => {}
                Ordering::Greater => return Ok(None),
            }
        }
        if rest.is_empty() { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Returns where a block begins, and the one before it ends.
    fn offset(&self, block: usize) -> u64 {
        self.marks.get(block).map_or(self.bytes, |mark| mark.at)
    }

    /// Returns how many bytes of memory the filter takes.
    pub(super) fn filter_bytes(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| filter.num_blocks() * 32)
    }

    /// Returns how many bytes of memory the marks take.
    pub(super) fn mark_bytes(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>()
    }
}

/// Makes a run.
struct Writer {
    out: BufWriter<File>,
    run: Vec<Mark>,
    filter: Option<Sbbf>,
    at: u64,
    items: u64,
    /// The bytes of a block.
    block: u64,
}

impl Writer {
    /// Makes one for at most `items` keys and about `bytes` bytes.
    fn new(items: u64, bytes: u64, room: usize) -> io::Result<Self> {
        Ok(Self {
            out: BufWriter::with_capacity(BUFFER, tempfile::tempfile()?),
            run: Vec::new(),
            filter: filter(usize::try_from(items).unwrap_or(usize::MAX), room),
            at: 0,
            items: 0,
            block: BLOCK.max(bytes / MOST_MARKS),
        })
    }

    fn push(&mut self, item: Item<'_>) -> io::Result<()> {
        if self.run.last().is_none_or(|mark| self.at - mark.at >= self.block) {
            self.run.push(Mark { hash: item.hash, at: self.at });
        }
        if let Some(filter) = &mut self.filter {
            filter.insert(&item.hash);
        }
        let length = u32::try_from(item.key.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.out.write_all(&Item::head(item.hash, item.number, length))?;
        self.out.write_all(item.key)?;
        self.at += (HEAD + item.key.len()) as u64;
        self.items += 1;
        Ok(())
    }

    fn finish(self) -> io::Result<Run> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Run { file, bytes: self.at, items: self.items, marks: self.run, filter: self.filter })
    }
}

/// Makes a filter for `items` keys that takes at most half of `room`, so that the next one has something too. None where it would
/// let nearly all keys pass.
fn filter(items: usize, room: usize) -> Option<Sbbf> {
    let most = 1 << (room / 2).checked_ilog2()?;
    let bytes = (items.saturating_mul(FILTER_BITS) / 8).next_power_of_two().min(most);
    (bytes * 8 >= items * 2).then(|| Sbbf::new_with_num_of_bytes(bytes))
}

/// A run that is read from its beginning, item by item.
struct Head<'r> {
    input: BufReader<&'r File>,
    left: u64,
    hash: u64,
    number: u64,
    key: Vec<u8>,
    is_live: bool,
}

impl<'r> Head<'r> {
    fn open(run: &'r Run) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(BUFFER, &run.file);
        input.rewind()?;
        let mut head = Self { input, left: run.items, hash: 0, number: 0, key: Vec::new(), is_live: true };
        head.advance()?;
        Ok(head)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.is_live = self.left > 0;
        if !self.is_live {
            return Ok(());
        }
        self.left -= 1;
        let mut head = [0; HEAD];
        self.input.read_exact(&mut head)?;
        let (hash, number, length, _) = Item::behead(&head).ok_or(io::ErrorKind::InvalidData)?;
        (self.hash, self.number) = (hash, number);
        self.key.resize(length, 0);
        self.input.read_exact(&mut self.key)
    }

    fn item(&self) -> Option<Item<'_>> {
        self.is_live.then_some(Item { hash: self.hash, number: self.number, key: &self.key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(items: &[(u64, &[u8], u64)], room: usize) -> Run {
        let items = items.iter().map(|(hash, key, number)| Item { hash: *hash, key, number: *number });
        Run::write(items.collect::<Vec<_>>().into_iter(), 0, room).unwrap()
    }

    #[test]
    fn keys_of_one_hash_and_keys_longer_than_a_block_are_found() {
        let long = [7; 3 * 4096];
        let texts: Vec<String> = (0..1000).map(|at| format!("{at:04}")).collect();
        let mut items: Vec<(u64, &[u8], u64)> = vec![(3, b"", 1), (4, &long, 2)];
        // Over several blocks.
        items.extend(texts.iter().zip(10..).map(|(text, number)| (5, text.as_bytes(), number)));
        items.push((u64::MAX, b"z", 3));
        for room in [0, 1 << 20] {
            let (run, mut block) = (run(&items, room), Vec::new());
            assert!(run.marks.len() > 3);
            assert_eq!(run.filter.is_some(), room > 0);
            for (hash, key, number) in &items {
                assert_eq!(run.find(*hash, key, &mut block).unwrap(), Some(*number));
                assert_eq!(run.find(*hash, b"none", &mut block).unwrap(), None);
            }
            for hash in [0, 2, 6, u64::MAX - 1] {
                assert_eq!(run.find(hash, b"", &mut block).unwrap(), None);
            }
        }
    }

    #[test]
    fn of_equal_keys_the_latest_run_decides() {
        let runs = [
            run(&[(1, b"a", 1), (2, b"b", 1), (9, b"z", 1)], 0),
            run(&[(1, b"a", 2), (2, b"a", 2), (9, b"z", 2)], 0),
            run(&[], 0),
            run(&[(9, b"z", 3)], 0),
        ];
        let (merged, mut block) = (Run::merge(runs.into(), 0).unwrap(), Vec::new());
        assert_eq!(merged.items, 4);
        let mut found = |hash, key: &[u8]| merged.find(hash, key, &mut block).unwrap();
        assert_eq!([found(1, b"a"), found(2, b"a"), found(2, b"b"), found(9, b"z")], [2, 2, 1, 3].map(Some));
        let empty = Run::merge(Vec::new(), 0).unwrap();
        assert_eq!(empty.find(1, b"a", &mut block).unwrap(), None);
    }

    #[test]
    fn filters_take_no_more_than_there_is_and_none_that_would_let_all_pass() {
        let bytes = |items, room| filter(items, room).map(|filter| filter.num_blocks() * 32);
        assert_eq!(bytes(100_000, 1 << 20), Some(128 << 10));
        assert_eq!(bytes(100_000, 1 << 17), Some(1 << 16));
        assert_eq!(bytes(1_000_000, 1 << 17), None);
        assert_eq!((bytes(1, 0), bytes(1, 1), bytes(10, 128)), (None, None, Some(32)));
    }
}
