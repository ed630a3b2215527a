//! The threads that work on answers, for all slices and jobs of the process: as many as the machine has cores.
//!
//! More of them get nothing done sooner. And each thread has memory of its own that the allocator keeps for it: what a page of
//! 50 MB takes while it is decoded would stay with every thread that ever decoded one.

use std::io;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Nothing runs on it but its blocking threads.
static CORES: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_current_thread().max_blocking_threads(cores).thread_name("decode").build()
});

/// Does `work` on one of these threads, once one is free. It mustn't wait for other such work.
pub fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match &*CORES {
        Ok(cores) => cores.spawn_blocking(work),
        // Without them it is done all the same.
        Err(_) => tokio::task::spawn_blocking(work),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn however_much_there_is_to_do_there_are_no_more_threads_than_cores() {
        let work: Vec<_> = (0..100).map(|_| compute(|| thread::current().id())).collect();
        let mut threads = HashSet::new();
        for done in work {
            threads.insert(done.await.unwrap());
        }
        let cores = thread::available_parallelism().unwrap().get();
        assert!(threads.len() <= cores, "{} threads", threads.len());
        assert!(!threads.contains(&thread::current().id()));
    }
}
