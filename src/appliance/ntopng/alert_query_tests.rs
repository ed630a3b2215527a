use super::{AlertQuery, Oddities};
use crate::appliance::ntopng::config::NtopngConfig;
use crate::appliance::ntopng::generate::Generator;
use crate::appliance::ntopng::journal::Journal;
use crate::appliance::ntopng::params::Params;
use crate::appliance::ntopng::rows::FlowAlert;

const NOW: i64 = 1_795_315_800;
const PLAIN: Oddities = Oddities { shuffle: None, cap: None };

fn journal() -> Journal<FlowAlert> {
    Journal::new(Generator::new(&NtopngConfig::default(), 0, 300).history(1000, 7, NOW))
}

fn query(text: &str) -> AlertQuery {
    AlertQuery::read::<FlowAlert>(&Params::read(text, b"").unwrap())
}

/// Rows and total of a query.
fn select(text: &str, oddities: Oddities) -> (Vec<FlowAlert>, usize) {
    let journal = journal();
    let selection = query(text).select(journal.visible(NOW), oddities);
    (selection.rows.into_iter().cloned().collect(), selection.total)
}

#[test]
fn acknowledged_alerts_are_hidden_by_default() {
    let (hidden, acknowledged, any) =
        (select("", PLAIN).1, select("status=acknowledged", PLAIN).1, select("status=any", PLAIN).1);
    assert_eq!(hidden + acknowledged, any);
    assert!(acknowledged > hidden && hidden > 0);
    assert_eq!(any, journal().visible(NOW).len());
}

#[test]
fn pages_need_a_length() {
    let all = select("status=any&start=900", PLAIN);
    assert_eq!(all.0.len(), all.1, "a start without a length is ignored");
    assert_eq!(select("length=0", PLAIN).0.len(), 0);
    assert_eq!(select("length=-1", PLAIN).0.len(), 0);
    let (page, total) = select("status=any&start=10&length=5", PLAIN);
    assert_eq!(page.iter().map(|row| row.row_id).collect::<Vec<_>>(), [11, 12, 13, 14, 15]);
    assert_eq!(total, all.1);
}

#[test]
fn the_window_includes_both_ends_and_needs_both() {
    let rows = select("status=any", PLAIN).0;
    let burst = rows[0].tstamp;
    let (within, total) = select(&format!("status=any&epoch_begin={burst}&epoch_end={burst}"), PLAIN);
    assert_eq!(within.len(), 79, "the burst shares one second");
    assert_eq!(total, 79);
    assert_eq!(select(&format!("status=any&epoch_begin={burst}"), PLAIN).1, rows.len());
}

#[test]
fn filters_by_row_id_make_a_cursor() {
    let (page, total) = select("row_id=500%3Bgt&status=any&sort=rowid&order=asc&start=0&length=3", PLAIN);
    assert_eq!(page.iter().map(|row| row.row_id).collect::<Vec<_>>(), [501, 502, 503]);
    assert_eq!(total, journal().visible(NOW).len() - 500);
    let ids =
        |text: &str| select(&format!("status=any&{text}"), PLAIN).0.iter().map(|row| row.row_id).collect::<Vec<_>>();
    assert_eq!(ids("row_id=2;lte"), [1, 2]);
    assert_eq!(ids("row_id=3;lt"), [1, 2]);
    assert_eq!(ids("row_id=7,9"), [7, 9]);
    assert_eq!(ids("row_id=5;gte,7;lte,6;neq"), [5, 7]);
}

#[test]
fn an_unknown_sort_column_empties_the_page_but_not_the_total() {
    for column in ["bogus", "row_id"] {
        let (page, total) = select(&format!("sort={column}&order=asc&start=0&length=10"), PLAIN);
        assert!(page.is_empty() && total > 0, "{column}");
    }
}

#[test]
fn order_is_by_the_column_asked_for() {
    let scores: Vec<_> = select("sort=score&order=desc", PLAIN).0.iter().map(|row| row.score).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.first() != scores.last());
    let clients: Vec<_> = select("sort=cli_ip&order=asc", PLAIN).0.iter().map(|row| row.cli_ip.to_string()).collect();
    assert!(clients.is_sorted(), "as text, as in the table");
}

#[test]
fn oddities_shuffle_and_cap() {
    let shuffled = |salt| select("status=any", Oddities { shuffle: Some(salt), cap: None }).0;
    assert_ne!(shuffled(1), shuffled(2));
    assert_eq!(shuffled(1).len(), shuffled(2).len());
    let (rows, total) = select("status=any", Oddities { shuffle: None, cap: Some(100) });
    assert_eq!((rows.len(), total), (100, journal().visible(NOW).len()));
}

#[test]
fn the_query_is_shown() {
    let sql = query("start=0&length=10&sort=bogus&order=asc").sql::<FlowAlert>();
    assert_eq!(
        sql,
        " SELECT 4 entity_id, (tstamp_end - tstamp) duration, *, (srv2cli_bytes + cli2srv_bytes) total_bytes, \
         hex(alerts_map) alerts_map FROM `flow_alerts` WHERE ( alert_status = 0 ) ORDER BY bogus asc LIMIT 10 OFFSET 0"
    );
}
