//! Credentials that a server refused, from one run to the next: a run every minute, with a wrong password, would lock an account
//! out just as many requests of one run would.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{Env, RunError, Sources};
use crate::extract::auth::CredentialId;
use crate::lang::spell;
use crate::ledger::{Ledger, REFUSED_FOR, Refusal};
use crate::pipeline::spec::{Job, Source};

/// The credentials of a run.
pub(super) struct Credentials {
    /// By their marks: the credential, and whether its refusal is in the ledger.
    known: BTreeMap<String, (CredentialId, bool)>,
}

impl Credentials {
    /// Reads which of the jobs' credentials were refused in the last five minutes, and closes the gate to them. Older refusals are
    /// forgotten.
    ///
    /// With `retry_refused` they are forgotten as well.
    pub(super) async fn recall(
        jobs: &[&Job],
        retry_refused: bool,
        env: &Env,
        ledger: &Ledger,
    ) -> Result<Self, RunError> {
        env.sources.gate().forget_refusals(REFUSED_FOR.to_std().unwrap_or_default());
        let mut known = BTreeMap::new();
        let now = env.clock.now();
        for (mark, id) in sources(jobs).flat_map(Sources::marks) {
            if known.contains_key(&mark) {
                continue;
            }
            let mut refused = false;
            if let Some(refusal) = ledger.refusal(&mark).await? {
                match refusal.left(now).filter(|_| !retry_refused) {
                    Some(left) => {
                        let ago = (REFUSED_FOR - left).to_std().unwrap_or_default();
                        env.sources.gate().refuse(id.clone(), &remembered(&refusal, left), ago);
                        refused = true;
                    }
                    None => ledger.forget_refusal(&mark).await?,
                }
            }
            if retry_refused {
                env.sources.gate().forget_refusal(&id);
            }
            known.insert(mark, (id, refused));
        }
        Ok(Self { known })
    }

    /// Notes in the ledger what was refused since the last call. Where that fails it is told, and the run goes on: it doesn't send
    /// the credential again anyway.
    pub(super) async fn note(&mut self, env: &Env, ledger: &Ledger) {
        for (mark, (id, noted)) in &mut self.known {
            let Some((reason, ago)) = env.sources.gate().refusal(id).filter(|_| !*noted) else { continue };
            let at = env.clock.now() - TimeDelta::from_std(ago).unwrap_or_default();
            match ledger.note_refusal(mark, &Refusal::new(at, reason.to_string())).await {
                Ok(()) => *noted = true,
                Err(error) => {
                    tracing::warn!(error = %crate::objects::chain(&error), "that a credential was refused can't be noted for the next run")
                }
            }
        }
    }
}

/// Does `work` of the jobs, which sends no credential that was refused in the last five minutes; and notes in the ledger what is refused
/// meanwhile.
pub(super) async fn guarded<T>(
    jobs: &[&Job],
    retry_refused: bool,
    env: &Env,
    ledger: &Ledger,
    work: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    let mut credentials = Credentials::recall(jobs, retry_refused, env, ledger).await?;
    let done = work.await;
    credentials.note(env, ledger).await;
    done
}

/// Returns where the jobs take rows from, and where they send them.
fn sources<'j>(jobs: &'j [&Job]) -> impl Iterator<Item = &'j Source> {
    jobs.iter().flat_map(|job| job.outboxes.iter().map(|outbox| &outbox.source).chain([&job.source]))
}

/// Says of an earlier refusal what a person needs to know now.
fn remembered(refusal: &Refusal, left: TimeDelta) -> String {
    let whole = |span: TimeDelta| {
        let seconds = u64::try_from(span.num_seconds()).unwrap_or_default();
        spell(std::time::Duration::from_secs(seconds))
    };
    format!(
        "{}; that was {} ago, in an earlier run, and it isn't sent again for another {}, so that the account isn't locked out; a \
         changed credential is sent at once, and so is this one with `--retry-refused`, for an account that was unlocked",
        refusal.reason,
        whole(REFUSED_FOR - left),
        whole(left + TimeDelta::milliseconds(999)),
    )
}
