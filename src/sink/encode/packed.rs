//! The finished pages of a row group, packed.
//!
//! The `parquet` crate compresses a page of version 1 into a buffer of twice the page's size, and gives it back but for its beginning, where
//! the compressed page lies: memory with holes, each a little too small for the next page's buffer. So each page would take memory that is fresh
//! from the system. A page's header takes a kilobyte there, for some fifty bytes.

use bytes::{Bytes, BytesMut};
use parquet::column::page_store::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

/// The smallest block, in bytes. The next ones are as large as what is stored already, so that short columns take little.
const SMALLEST: usize = 4 << 10;

/// The largest block, in bytes. A page as large as that stays where it is.
const LARGEST: usize = 1 << 20;

/// Makes the stores of the columns.
#[derive(Debug)]
pub(super) struct PackedPages;

impl PageStoreFactory for PackedPages {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(Packed::default()))
    }
}

/// The pages of a column chunk, one behind another in blocks.
#[derive(Default)]
struct Packed {
    pages: Vec<Bytes>,
    /// What is free of the last block.
    block: BytesMut,
    /// Bytes of the pages that are still stored.
    held: usize,
}

impl Packed {
    fn pack(&mut self, page: &[u8]) -> Bytes {
        if self.block.capacity() < page.len() {
            let size = self.held.clamp(SMALLEST, LARGEST).max(page.len());
            self.block = BytesMut::with_capacity(size);
        }
        self.block.extend_from_slice(page);
        self.block.split().freeze()
    }
}

impl PageStore for Packed {
    fn put(&mut self, page: Bytes) -> Result<PageKey> {
        self.held += page.len();
        let page = if page.len() < LARGEST { self.pack(&page) } else { page };
        self.pages.push(page);
        Ok(PageKey::new(self.pages.len() as u64 - 1))
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let at = usize::try_from(key.get()).ok();
        let page = at.and_then(|at| self.pages.get_mut(at)).map(std::mem::take);
        let page = page.ok_or_else(|| ParquetError::General(format!("there is no page {}", key.get())))?;
        self.held -= page.len();
        Ok(page)
    }

    fn memory_size(&self) -> usize {
        self.held + self.block.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_as_they_were_in_any_order() {
        let mut packed = Packed::default();
        let page = |at: u8| vec![at; usize::from(at).pow(3) % 70_001].into();
        let pages: Vec<Bytes> = (0..40).map(page).chain([vec![7; 3 << 20].into()]).collect();
        let keys: Vec<PageKey> = pages.iter().map(|page| packed.put(page.clone()).unwrap()).collect();
        let held: usize = pages.iter().map(Bytes::len).sum();
        assert!((held..=held + LARGEST).contains(&packed.memory_size()));
        for (key, page) in keys.iter().zip(&pages).rev() {
            assert_eq!(packed.take(*key).unwrap(), page);
        }
        assert_eq!(packed.held, 0);
        assert!(packed.take(PageKey::new(41)).is_err());
    }

    #[test]
    fn a_page_keeps_nothing_of_the_buffer_that_it_came_in() {
        let mut packed = Packed::default();
        let buffer = Bytes::from(vec![1; 1 << 20]);
        let key = packed.put(buffer.slice(..10)).unwrap();
        assert!(buffer.is_unique());
        assert_eq!(packed.take(key).unwrap(), &buffer[..10]);
    }
}
