//! Whether a store keeps to conditional writes: some that speak S3's protocol ignore the headers, and write.

use std::time::Duration;

use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, PutOptions, PutPayload, UpdateVersion};

use super::{Kind, Location, StoreError};

const NAME: &str = "_tidegate/probe";
const TEXT: &[u8] = b"Tidegate wrote this to see whether the store refuses to write it twice.\n";

/// How often a write is made whose answer is lost: `object_store` doesn't repeat one with a condition.
const TRIES: u32 = 5;

/// The first pause before it is made again; the n-th is n times as long.
const PAUSE: Duration = Duration::from_millis(200);

/// No store has given an object this tag.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

/// Writes one object twice, as if it weren't there, and once as if it were another: a fit store refuses.
pub(super) async fn conditional_writes(store: &dyn ObjectStore, at: &Location) -> Result<(), StoreError> {
    let unfit = |what: &str| {
        let why = format!(
            "the store has no conditional writes ({what}), so that two runs could overwrite what the other has written: use a \
             store that keeps to If-None-Match and If-Match, such as Amazon S3, or keep state and lake on a disk"
        );
        StoreError::unfit(at, why)
    };
    let url = format!("{}/{NAME}", at.to_string().trim_end_matches('/'));
    let key = at.key(NAME).ok_or_else(|| StoreError::because(&url, "it can't be the key of an object"))?;
    // The first time it is written; that it is there by then is what the second shows.
    for attempt in 0..2 {
        match put(store, (&key, &url), PutMode::Create).await {
            Ok(()) if attempt == 1 => return Err(unfit("it wrote an object that was there, against If-None-Match")),
            Ok(()) => {}
            Err(error) => match StoreError::of(&url, &error) {
                refused if matches!(refused.kind(), Kind::Taken | Kind::Changed) => break,
                failed => return Err(if lacks(&error) { unfit("it knows no If-None-Match") } else { failed }),
            },
        }
    }
    let other = UpdateVersion { e_tag: Some(NO_TAG.to_owned()), version: Some("1".to_owned()) };
    match put(store, (&key, &url), PutMode::Update(other)).await {
        Ok(()) => Err(unfit("it replaced an object that was another, against If-Match")),
        Err(error) => match StoreError::of(&url, &error) {
            refused if matches!(refused.kind(), Kind::Taken | Kind::Changed) => Ok(()),
            failed => Err(if lacks(&error) { unfit("it knows no If-Match") } else { failed }),
        },
    }
}

async fn put(store: &dyn ObjectStore, (key, url): (&Path, &str), mode: PutMode) -> Result<(), Error> {
    let mut tries = 1;
    loop {
        let put = store.put_opts(key, PutPayload::from_static(TEXT), PutOptions::from(mode.clone())).await;
        match put {
            Err(error @ Error::Generic { .. }) if tries < TRIES && !lacks(&error) => {
                // Without what the store echoes.
                let error = StoreError::of(url, &error);
                tracing::warn!(tries, %error, "the store couldn't be written, trying again");
                tokio::time::sleep(PAUSE * tries).await;
                tries += 1;
            }
            put => return put.map(drop),
        }
    }
}

fn lacks(error: &Error) -> bool {
    matches!(error, Error::NotImplemented { .. } | Error::NotSupported { .. })
        || ["501 Not Implemented", "<Code>NotImplemented</Code>"].iter().any(|mark| error.to_string().contains(mark))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use object_store::memory::InMemory;

    use super::*;
    use crate::objects::testing::{Fate, Flaw, Flawed};

    async fn prove(flaw: Flaw) -> Result<(), StoreError> {
        let store = Flawed::new(InMemory::new(), flaw);
        let at = Location::parse("memory://lake/x").unwrap().unwrap();
        conditional_writes(&store, &at).await?;
        conditional_writes(&store, &at).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_that_is_lost_is_made_again() {
        for (nth, fate) in (0..5).flat_map(|nth| [(nth, Fate::LOST), (nth, Fate::UNANSWERED)]) {
            let calls = AtomicUsize::new(0);
            let fate = move |_| if calls.fetch_add(1, Ordering::Relaxed) == nth { fate } else { Fate::FINE };
            let store = Flawed::over(Arc::new(InMemory::new()), fate);
            let at = Location::parse("memory://lake/x").unwrap().unwrap();
            conditional_writes(&store, &at).await.unwrap_or_else(|error| panic!("{nth}: {error}"));
            conditional_writes(&store, &at).await.unwrap_or_else(|error| panic!("{nth}: {error}"));
        }
    }

    #[tokio::test]
    async fn a_store_that_writes_all_the_same_is_refused_with_the_reason() {
        assert_eq!(prove(Flaw::None).await, Ok(()));
        let error = prove(Flaw::IgnoresCreate).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unfit);
        let error = error.to_string();
        assert!(
            error.starts_with("memory://lake/x: the store has no conditional writes (it wrote an object that"),
            "{error}"
        );
        let error = prove(Flaw::IgnoresUpdate).await.unwrap_err().to_string();
        assert!(error.contains("it replaced an object that was another, against If-Match"), "{error}");
    }
}
