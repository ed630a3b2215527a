//! Lists of which rows come, go and change places between any two pages, by seeds: what lands by `on_mismatch: refetch` is the list
//! as it was at one moment while it was read, or nothing lands. One process, real sockets.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use serde_json::{Value, json};
use tidegate::clock::SystemClock;
use tidegate::model::SliceOutcome;
use tidegate::pipeline::check;
use tidegate::pipeline::load::{Lookup, Source};
use tidegate::run::{Bounds, Env, Options, Silent, Sources, new_id, run};

use crate::support::api::{Answer, Api, Request};
use crate::support::bench::{NOW, files};
use crate::support::workspace::Workspace;

const SEEDS: u64 = 300;

/// Numbers that look random, the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// One list.
struct List {
    dice: Dice,
    rows: Vec<u64>,
    next: u64,
    /// Requests until it comes to rest.
    restless: usize,
    states_total: bool,
    /// The list as it was at each request.
    truths: Vec<BTreeSet<u64>>,
}

impl List {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let count = dice.below(14) as u64;
        let restless = if dice.below(5) == 0 { usize::MAX } else { dice.below(18) };
        Self {
            rows: (0..count).collect(),
            next: count,
            restless,
            states_total: seed.is_multiple_of(2),
            dice,
            truths: Vec::new(),
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        if self.restless > 0 {
            self.restless -= 1;
            for _ in 0..self.dice.below(3) {
                self.change();
            }
        }
        self.truths.push(self.rows.iter().copied().collect());
        let page = self.rows.iter().skip(request.number("offset")).take(request.number("limit"));
        let items: Vec<Value> = page.map(|id| json!({"id": id})).collect();
        Answer::json(&if self.states_total {
            json!({"items": items, "total": self.rows.len()})
        } else {
            json!({ "items": items })
        })
    }

    fn change(&mut self) {
        let len = self.rows.len();
        let (kind, from, to) = (self.dice.below(4), self.dice.below(len.max(1)), self.dice.below(len.max(1)));
        // Half of the time a row that goes makes room for another, and the total stays.
        if kind < 2 && len > 0 {
            self.rows.remove(from);
        }
        if kind == 1 || kind == 2 {
            self.rows.insert(to.min(self.rows.len()), self.next);
            self.next += 1;
        }
        if kind == 3 && len > 0 {
            let row = self.rows.remove(from);
            self.rows.insert(to, row);
        }
    }
}

type Lists = Arc<Mutex<HashMap<String, List>>>;

struct NoVariables;

impl Lookup for NoVariables {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("there are no files".to_owned())
    }
}

/// What became of a list.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Became {
    landed: bool,
    wrong: bool,
    passes: u32,
}

async fn export(url: &str, lists: &Lists, folder: &Path, seed: u64, on_mismatch: &str) -> Became {
    let (name, size) = (format!("list-{seed}-{on_mismatch}"), 2 + seed % 3);
    lists.lock().unwrap().insert(format!("/{name}"), List::new(seed));
    let lake = folder.join("lake").join(&name);
    let total = if seed.is_multiple_of(2) { ", total: .total" } else { "" };
    let text = format!(
        "version: 1
name: {name}
source: {{base_url: {url}, concurrency: {}}}
jobs:
  rows:
    get: /{name}
    records: '.items[]'
    key: id
    snapshot: latest
    on_mismatch: {on_mismatch}
    query: {{offset: 0, limit: 0}}
    paginate: {{offset: {{into: query.offset, size_into: query.limit, size: {size}}}{total}}}
    sinks: {{lake: {{jsonl: {{url: '{}'}}}}}}\n",
        1 + seed % 4,
        lake.display()
    );
    let checked =
        check::load(&Source { name: name.clone(), text }, &NoVariables).unwrap_or_else(|found| panic!("{found:?}"));
    let env = Env {
        clock: Arc::new(SystemClock),
        progress: Arc::new(Silent),
        sources: Arc::new(Sources::default()),
        stores: Arc::default(),
        cancel: tokio_util::sync::CancellationToken::new(),
        terminated: tidegate::run::Terminated::default(),
        bounds: Bounds::default(),
    };
    let options = Options {
        shard: tidegate::plan::Shard::WHOLE,
        run: new_id(chrono::DateTime::UNIX_EPOCH),
        scheduled_for: None,
        state: folder.join("state").display().to_string(),
        now: NOW.parse().unwrap(),
        jobs: Vec::new(),
        wait: false,
        allow_shrink: false,
        retry_refused: false,
        accept: None,
        allow_future: true,
        lock: None,
        reads: tidegate::run::Reads::Due,
        lease_ttl: std::time::Duration::from_mins(1),
    };
    let report = run(&checked.pipeline, &options, &env).await.unwrap();
    let slice = &report.jobs[0].slices[0];
    let rows = landed(&lake);
    if slice.outcome != SliceOutcome::Landed {
        assert_eq!(rows, Vec::<u64>::new(), "{name}: {slice:?}");
        return Became::default();
    }
    let ids: BTreeSet<u64> = rows.iter().copied().collect();
    assert_eq!(ids.len(), rows.len(), "{name}: a row landed twice");
    let lists = lists.lock().unwrap();
    let truths = &lists[&format!("/{name}")].truths;
    let passes = slice.reconciliation.as_ref().unwrap().passes;
    Became { landed: true, wrong: !truths.contains(&ids), passes }
}

/// Returns the ids that landed.
fn landed(lake: &Path) -> Vec<u64> {
    let texts = files(lake).into_iter().filter(|path| path.ends_with(".jsonl"));
    let texts: Vec<String> = texts.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap();
    texts.iter().flat_map(|text| text.lines()).map(id).collect()
}

async fn all(on_mismatch: &str) -> Vec<(u64, Became)> {
    let (workspace, lists) = (Workspace::new(), Lists::default());
    let served = Arc::clone(&lists);
    let api = Api::start(move |request| served.lock().unwrap().get_mut(&request.path).unwrap().answer(request));
    let (url, folder) = (api.url(), workspace.path(""));
    let exports = (0..SEEDS).map(|seed| {
        let (url, lists, folder) = (&url, &lists, &folder);
        async move { (seed, export(url, lists, folder, seed, on_mismatch).await) }
    });
    futures::stream::iter(exports).buffer_unordered(8).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_again_lands_as_it_was_or_not_at_all() {
    let became = all("refetch").await;
    let wrong: Vec<u64> = became.iter().filter(|(_, became)| became.wrong).map(|(seed, _)| *seed).collect();
    assert_eq!(wrong, Vec::<u64>::new(), "seeds that landed wrongly");
    let count = |is: fn(&Became) -> bool| became.iter().filter(|(_, became)| is(became)).count();
    let (landed, failed) = (count(|became| became.landed), count(|became| !became.landed));
    assert!(landed > 200 && failed > 10, "{landed} landed, {failed} failed");
    assert!(count(|became| became.passes > 2) > 50, "{became:?}");
}

/// Without this the law above might hold because the lists are tame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_once_may_land_wrongly() {
    let became = all("fail").await;
    let wrong = became.iter().filter(|(_, became)| became.wrong).count();
    assert!(wrong > 20, "{wrong} of {} landed wrongly", became.len());
}
