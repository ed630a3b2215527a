//! What goes wrong on the way: answers that are cut, refused or missing cost time and no row; a wrong password costs one try.

use std::time::Duration;

use serde_json::Value;
use tidegate::appliance::faults::Faults;
use tidegate::appliance::ntopng::NtopngConfig;

use crate::support::appliance::{Site, report, slices};
use crate::support::files::digests;
use crate::support::lake::Truth;

fn config() -> NtopngConfig {
    NtopngConfig { alerts: 200, hosts: 110, flows: 90, host_alerts: 40, days: 2, ..NtopngConfig::default() }
}

/// Tries often and waits little, so that no chance of faults in a row makes a slice fail.
const PATIENT: (&str, &str) = ("retry: {attempts: 5, max_delay: 1m}", "retry: {attempts: 20, max_delay: 50ms}");

#[test]
fn faults_on_the_way_cost_no_row() {
    for phase in [0, 3] {
        let site = Site::new(config(), "2026-01-08T02:15:00Z", "-2d").hurried(&[PATIENT, ("size: 1000}", "size: 30}")]);
        site.ntopng.set_faults(Faults {
            every_nth_503: 7,
            retry_after: Some(1),
            cut_body_every_nth: 5,
            hang_up_every_nth: 9,
            phase,
            ..Faults::default()
        });
        report(&site.run(&[]).run(), 0);
        assert!(site.ntopng.faults().injected() > 10, "{:?}", site.ntopng.faults());
        let midnight = site.now().timestamp() - 8100;
        let truth = Truth::of(&site.ntopng, &(midnight - 2 * 86_400..midnight), "2026-01-08");
        truth.assert_is(&Truth::in_lake(&site.lake()));
    }
}

/// A server that answers nothing but 503: the slices fail, and say why; the next run has it all.
#[test]
fn what_could_not_be_read_lands_the_next_time() {
    let site = Site::new(config(), "2026-01-08T02:15:00Z", "-2d")
        .hurried(&[("attempts: 5", "attempts: 2"), ("max_delay: 1m", "max_delay: 10ms")]);
    site.ntopng.set_faults(Faults { every_nth_503: 1, ..Faults::default() });
    let failed = report(&site.run(&[]).run(), 1);
    assert!(failed.to_string().contains("503"), "{failed:#}");
    assert!(
        !site.lake().exists() || digests(&site.lake()).keys().all(|name| name.contains("_tidegate/")),
        "nothing landed"
    );
    site.ntopng.set_faults(Faults::default());
    report(&site.run(&[]).run(), 0);
    let midnight = site.now().timestamp() - 8100;
    Truth::of(&site.ntopng, &(midnight - 2 * 86_400..midnight), "2026-01-08").assert_is(&Truth::in_lake(&site.lake()));
}

#[test]
fn a_wrong_password_is_tried_once() {
    let site = Site::new(config(), "2026-01-08T02:15:00Z", "-2d");
    let arguments = ["--now", "2026-01-08T02:15:00Z", "--state", "state"];
    let outcome = site.tidegate("run", &arguments).env("NTOPNG_PASSWORD", "wrong-secret-word").run();
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    let tries: Vec<_> = site.ntopng.requests().into_iter().map(|request| (request.user, request.status)).collect();
    assert_eq!(tries, [(None, Some(302))], "five of them would lock this address out");
    assert!(!format!("{outcome:?}").contains("wrong-secret-word"), "{outcome:#?}");
    insta::assert_snapshot!(said(&outcome.stdout), @"
    interfaces: the server refused the credential, so no job sends it again in this run; the first refusal: GET /lua/rest/v2/get/ntopng/interfaces.lua: status 302 after 1 try: the server refused the credential; the body is empty; check auth, and that the account isn't locked out
    hosts: the rows of `interfaces` couldn't be read, so it isn't known what to ask for
    active_flows: the rows of `interfaces` couldn't be read, so it isn't known what to ask for
    flow_alerts: the rows of `interfaces` couldn't be read, so it isn't known what to ask for
    host_alerts: the rows of `interfaces` couldn't be read, so it isn't known what to ask for
    flow_alerts_live: the rows of `interfaces` couldn't be read, so it isn't known what to ask for
    raw_flow_alerts: the rows of `interfaces` couldn't be read, so it isn't known what to ask for
    series: the server refused the credential, so no job sends it again in this run; the first refusal: GET /lua/rest/v2/get/ntopng/interfaces.lua: status 302 after 1 try: the server refused the credential; the body is empty; check auth, and that the account isn't locked out
    timeseries: the rows of `series` couldn't be read, so it isn't known what to ask for
    ntopng: nothing landed; 9 whole jobs failed
    ");
    let helps: Vec<&str> = outcome.stderr.lines().collect();
    assert!(
        helps.len() == 2 && helps[0].starts_with("interfaces, series: A refused credential isn't sent again"),
        "{helps:#?}"
    );
    assert!(helps[1].ends_with("--retry-refused --state state") && !helps[1].contains("--job"), "{helps:#?}");
    // One try doesn't lock anybody out: the right password lands everything.
    report(&site.run(&[]).run(), 0);
}

/// What is said of each job, without the table and the time that it took.
fn said(stdout: &str) -> String {
    let lines = stdout.lines().filter(|line| !line.starts_with(['─', '═', ' ']));
    let lines: Vec<&str> = lines.map(|line| line.rsplit_once(", in ").map_or(line, |(before, _)| before)).collect();
    lines.join("\n")
}

/// A user who may not read alerts gets the hosts and the flows.
#[test]
fn what_a_user_may_not_read_fails_by_itself() {
    let site = Site::new(config(), "2026-01-08T02:15:00Z", "-2d").hurried(&[]);
    let run = site.run(&[]).env("NTOPNG_USER", "viewer").env("NTOPNG_PASSWORD", "viewer");
    let report = report(&run.run(), 3);
    for job in ["hosts", "active_flows", "timeseries"] {
        assert!(slices(&report, job).iter().all(|slice| slice["outcome"] == "landed"), "{report:#}");
    }
    for job in ["flow_alerts", "host_alerts", "flow_alerts_live", "raw_flow_alerts"] {
        let errors: Vec<&str> = slices(&report, job).iter().map(|slice| slice["error"].as_str().unwrap()).collect();
        assert!(!errors.is_empty() && errors.iter().all(|error| error.contains("Not authorized")), "{errors:#?}");
    }
    // A request for each slice of a list that is refused: three interfaces, two days.
    let refused = site.ntopng.requests().iter().filter(|request| request.status == Some(401)).count();
    assert_eq!(refused, 3 * 2 * 3 + 3, "a refusal isn't tried again");
}

/// A server that stops answering for a while, with a limit on how long an answer may take.
#[test]
fn an_answer_that_takes_too_long_is_asked_for_again() {
    let site = Site::new(config(), "2026-01-08T02:15:00Z", "-2d").hurried(&[("request: 2m", "request: 1s"), PATIENT]);
    site.ntopng.set_faults(Faults { delay: Duration::from_secs(3), ..Faults::default() });
    let running = site.run(&["--job", "hosts"]).spawn();
    site.wait_for_requests(0, 2);
    site.ntopng.set_faults(Faults::default());
    let report = report(&running.wait(), 0);
    let landed: Vec<&Value> =
        slices(&report, "hosts").into_iter().filter(|slice| slice["outcome"] == "landed").collect();
    assert_eq!(landed.len(), 3, "{report:#}");
}
