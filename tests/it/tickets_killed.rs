//! Deliveries that are killed: with `find`, or where the desk knows a request again, one alert is one ticket; with neither there is at
//! most one double for each kill, and each is counted.

use std::sync::Arc;
use std::time::Duration;

use tidegate::appliance::dice::Dice;

use crate::support::desk::{FIND, KEYED, PLAIN, TicketBench, at};
use crate::support::s3::S3;
use crate::support::workspace::Run;

const ALERTS: usize = 60;

/// How many desks are fed by processes that are killed.
fn rounds() -> u64 {
    std::env::var("TIDEGATE_KILL_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap())
}

fn run<'a>(it: &'a TicketBench, verb: &'a [&'a str]) -> Run<'a> {
    it.bench.workspace.tidegate(verb).env("TOKEN", "a-token-of-the-desk")
}

/// Starts runs and kills each once the desk has got some more requests; then lets one come to its end. Returns how many were killed.
fn killed(it: &TicketBench, dice: &mut Dice) -> u64 {
    let now = at(0);
    let whole = ["run", "pipeline.yaml", "--state", "state", "--now", &now];
    let mut killed = 0;
    for _ in 0..dice.between(2, 4) {
        let until = it.bench.api.asked().len() + usize::try_from(dice.between(1, 25)).unwrap();
        let running = run(it, &whole).spawn();
        let patience = std::time::Instant::now() + Duration::from_secs(60);
        let is_over = || it.bench.api.asked().len() >= until || it.desk().tickets.len() >= ALERTS;
        while !is_over() && std::time::Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(dice.between(0, 3000).into()));
        let outcome = running.kill();
        assert!(matches!(outcome.code, None | Some(0)), "{outcome:#?}");
        killed += u64::from(outcome.code.is_none());
    }
    let last = run(it, &whole).run();
    assert_eq!(last.code, Some(0), "{last:#?}");
    killed
}

#[test]
fn killed_at_any_moment_one_alert_is_one_ticket() {
    let mut dice = Dice::new(20_260_110, rounds());
    let batched = format!("{KEYED}\nbatch: {{rows: 7}}");
    let lagged = format!("{}, lag: 300ms}}", FIND.strip_suffix('}').unwrap());
    for (keys, lag) in [(FIND, 0), (&lagged, 200), (KEYED, 0), (&batched, 0)] {
        let mut all = 0;
        for round in 0..rounds() {
            let it = TicketBench::new(ALERTS, Duration::from_millis(5), keys);
            it.desk().lag = Duration::from_millis(lag);
            all += killed(&it, &mut dice);
            it.assert_one_each();
            let status = it.status();
            assert_eq!((&status["pending"], &status["maybe_sent"]), (&0.into(), &0.into()), "round {round}: {status}");
        }
        assert!(all > 0, "{keys}");
    }
}

#[test]
fn without_find_or_key_there_is_one_double_for_a_kill_at_most_and_it_is_counted() {
    let mut dice = Dice::new(20_260_111, rounds());
    for round in 0..rounds() {
        let it = TicketBench::new(ALERTS, Duration::from_millis(5), PLAIN);
        let kills = killed(&it, &mut dice);
        let (doubles, status) = (it.doubles(), it.status());
        let counted = status["maybe_sent"].as_u64().unwrap();
        assert!(doubles <= counted && counted <= kills, "round {round}: {doubles} doubles, {kills} kills: {status}");
        let tickets = it.desk().tickets.len() as u64;
        assert_eq!((tickets, &status["pending"]), (ALERTS as u64 + doubles, &0.into()), "{status}");
    }
}

#[test]
fn killed_with_the_state_in_a_bucket_one_alert_is_one_ticket() {
    let s3 = Arc::new(S3::start());
    let it = TicketBench::new(30, Duration::from_millis(5), KEYED);
    let now = at(0);
    let line = ["run", "pipeline.yaml", "--state", "s3://lake/state", "--now", &now, "--lease-ttl", "5s"];
    let start = || s3.env(it.bench.workspace.tidegate(&line).env("TOKEN", "a-token-of-the-desk"));
    let running = start().spawn();
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while it.desk().tickets.len() < 10 && std::time::Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    running.kill();
    let last = start().run();
    assert_eq!(last.code, Some(0), "{last:#?}");
    it.assert_one_each();
    let again = start().run();
    assert_eq!(again.code, Some(0), "{again:#?}");
    it.assert_one_each();
}
