//! Which row replaces which: noted as that is seen, read from the end, since only the last row of a key can be judged by itself.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::spool::{SpoolError, file_error};

/// How many pairs are in memory: 1 MiB. What is more goes to a temporary file, as many at a time.
const IN_MEMORY: usize = 64 * 1024;

/// The bytes of a pair.
const PAIR: usize = 16;

/// Pairs of rows of one key, the earlier one and the one that came after it. In memory first, then on disk.
#[derive(Debug)]
pub struct Replaced {
    in_memory: usize,
    memory: Vec<(u64, u64)>,
    file: Option<File>,
    /// How many chunks of `in_memory` pairs the file has.
    chunks: u64,
}

impl Default for Replaced {
    fn default() -> Self {
        Self { in_memory: IN_MEMORY, memory: Vec::new(), file: None, chunks: 0 }
    }
}

impl Replaced {
    /// Notes that the row `earlier` has the key of the row `later`, which came next.
    pub fn push(&mut self, earlier: u64, later: u64) -> Result<(), SpoolError> {
        self.memory.push((earlier, later));
        if self.memory.len() < self.in_memory {
            return Ok(());
        }
        let bytes: Vec<u8> =
            self.memory.iter().flat_map(|(earlier, later)| [*earlier, *later]).flat_map(u64::to_le_bytes).collect();
        let file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile().map_err(file_error)?,
        };
        self.file.insert(file).write_all_at(&bytes, self.chunks * bytes.len() as u64).map_err(file_error)?;
        self.chunks += 1;
        self.memory.clear();
        Ok(())
    }

    /// Tells whether no row has been replaced.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.file.is_none()
    }

    /// Gives the pairs to `take`, the last one first.
    pub fn backwards(&self, mut take: impl FnMut(u64, u64)) -> Result<(), SpoolError> {
        for (earlier, later) in self.memory.iter().rev() {
            take(*earlier, *later);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let mut bytes = vec![0; self.in_memory * PAIR];
        let length = bytes.len() as u64;
        for chunk in (0..self.chunks).rev() {
            file.read_exact_at(&mut bytes, chunk * length).map_err(file_error)?;
            for pair in bytes.as_chunks::<PAIR>().0.iter().rev() {
                let ([earlier, later], _) = pair.as_chunks::<8>() else { continue };
                take(u64::from_le_bytes(*earlier), u64::from_le_bytes(*later));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_last_comes_first() {
        for count in 0..23 {
            let mut replaced = Replaced { in_memory: 5, ..Replaced::default() };
            let pairs: Vec<_> = (0..count).map(|at| (at, u64::MAX - at)).collect();
            pairs.iter().for_each(|(earlier, later)| replaced.push(*earlier, *later).unwrap());
            assert_eq!(replaced.file.is_some(), count >= 5);
            let mut found = Vec::new();
            replaced.backwards(|earlier, later| found.push((earlier, later))).unwrap();
            found.reverse();
            assert_eq!(found, pairs);
        }
    }
}
