//! What the shipped ntopng pipeline has to land, as the simulator tells it, and what lies in the lake, as DuckDB reads it.
//!
//! Both are lists of lines, one a row, with every column in it: compared as a whole, so that no row can be missing, doubled or changed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use chrono::DateTime;
use serde_json::{Map, Value, json};
use tidegate::appliance::ntopng::Ntopng;

use super::duck;

/// Rows, in a fixed order.
pub(crate) type Rows = Vec<String>;

/// Epoch seconds, half-open.
pub(crate) type Span = Range<i64>;

/// Fields of a record by the column that they become: the place of the field, as a JSON pointer, and how it is changed.
type Columns = &'static [(&'static str, &'static str, fn(&Value) -> Value)];

const FLOW_ALERTS: Columns = &[
    ("row_id", "/row_id", integer),
    ("ts", "/tstamp/value", time),
    ("duration_seconds", "/duration", same),
    ("alert_name", "/alert_name", same),
    ("category", "/alert_category/label", same),
    ("severity", "/severity/label", same),
    ("severity_level", "/severity/value", same),
    ("score", "/score/value", same),
    ("occurrences", "/count", same),
    ("client_ip", "/cli_ip/value", same),
    ("client_port", "/cli_port/value", integer),
    ("client_name", "/cli_ip/label", same),
    ("server_ip", "/srv_ip/value", same),
    ("server_port", "/srv_port/value", integer),
    ("server_name", "/srv_ip/label", same),
    ("vlan", "/vlan_id/value", same),
    ("l4_protocol", "/proto/label", same),
    ("l7_protocol", "/l7_proto/label", same),
    ("bytes_sent", "/total_bytes/bytes_sent", same),
    ("bytes_received", "/total_bytes/bytes_rcvd", same),
    ("packets", "/total_bytes/total_packets", same),
    ("info", "/info/value", same),
    ("description", "/msg/description", same),
];

const LIVE: Columns = &[
    ("row_id", "/row_id", integer),
    ("ts", "/tstamp/value", time),
    ("alert_name", "/alert_name", same),
    ("severity", "/severity/label", same),
    ("score", "/score/value", same),
    ("client_ip", "/cli_ip/value", same),
    ("server_ip", "/srv_ip/value", same),
    ("info", "/info/value", same),
];

const RAW: Columns = &[
    ("row_id", "/rowid", integer),
    ("ts", "/tstamp", time),
    ("ts_end", "/tstamp_end", time),
    ("alert_id", "/alert_id", integer),
    ("status", "/alert_status", integer),
    ("severity_level", "/severity", integer),
    ("score", "/score", integer),
    ("client_ip", "/cli_ip", same),
    ("client_port", "/cli_port", integer),
    ("server_ip", "/srv_ip", same),
    ("server_port", "/srv_port", integer),
    ("vlan", "/vlan_id", integer),
    ("bytes_sent", "/cli2srv_bytes", integer),
    ("bytes_received", "/srv2cli_bytes", integer),
    ("info", "/info", same),
];

const POINTS: Columns =
    &[("schema", "/schema", same), ("series", "/series", same), ("ts", "/tstamp", time), ("value", "/value", same)];

const HOST_ALERTS: Columns = &[
    ("row_id", "/row_id", integer),
    ("ts", "/tstamp/value", time),
    ("duration_seconds", "/duration", same),
    ("alert_name", "/alert_name", same),
    ("category", "/alert_category/label", same),
    ("severity", "/severity/label", same),
    ("severity_level", "/severity/value", same),
    ("score", "/score/value", same),
    ("occurrences", "/count", same),
    ("ip", "/ip/value", same),
    ("name", "/ip/label", same),
    ("side", "/role_cli_srv/value", same),
    ("description", "/description", same),
];

const HOSTS: Columns = &[
    ("ip", "/ip", same),
    ("vlan", "/vlan", same),
    ("name", "/name", same),
    ("country", "/country", same),
    ("is_localhost", "/is_localhost", same),
    ("is_multicast", "/is_multicast", same),
    ("is_blacklisted", "/is_blacklisted", same),
    ("first_seen", "/first_seen", time),
    ("last_seen", "/last_seen", time),
    ("bytes_sent", "/bytes/sent", same),
    ("bytes_received", "/bytes/recvd", same),
    ("bytes_total", "/bytes/total", same),
    ("bits_per_second", "/thpt/bps", same),
    ("packets_per_second", "/thpt/pps", same),
    ("flows_as_client", "/num_flows/as_client", same),
    ("flows_as_server", "/num_flows/as_server", same),
    ("num_alerts", "/num_alerts", same),
    ("score", "/score/total", same),
];

const ACTIVE_FLOWS: Columns = &[
    ("flow_key", "/key", integer),
    ("hash_id", "/hash_id", integer),
    ("vlan", "/vlan", same),
    ("l4_protocol", "/protocol/l4", same),
    ("l7_protocol", "/protocol/l7", same),
    ("client_ip", "/client/ip", same),
    ("client_port", "/client/port", same),
    ("client_name", "/client/name", same),
    ("server_ip", "/server/ip", same),
    ("server_port", "/server/port", same),
    ("server_name", "/server/name", same),
    ("first_seen", "/first_seen", time),
    ("last_seen", "/last_seen", time),
    ("duration_seconds", "/duration", same),
    ("bytes", "/bytes", same),
    ("bits_per_second", "/thpt/bps", same),
    ("packets_per_second", "/thpt/pps", same),
    ("percent_from_client", "/breakdown/cli2srv", same),
    ("percent_from_server", "/breakdown/srv2cli", same),
];

fn same(value: &Value) -> Value {
    value.clone()
}

fn integer(value: &Value) -> Value {
    let text = value.as_str().unwrap();
    text.parse::<i64>().map_or_else(|_| json!(text.parse::<u64>().unwrap()), |number| json!(number))
}

fn time(value: &Value) -> Value {
    let seconds = value.as_str().map_or_else(|| value.as_i64().unwrap(), |text| text.parse().unwrap());
    let instant = DateTime::from_timestamp(seconds, 0).unwrap();
    json!(instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// The row that a record has to become. Fields that are absent are null.
fn row(columns: Columns, ifid: i32, record: &Value) -> Map<String, Value> {
    let cells = columns.iter().map(|(name, place, change)| {
        let value = record.pointer(place).filter(|value| !value.is_null());
        ((*name).to_owned(), value.map_or(Value::Null, change))
    });
    cells.chain([("ifid".to_owned(), json!(ifid))]).collect()
}

/// Records of one interface, as the real one sends them.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) flow_alerts: Vec<Value>,
    pub(crate) host_alerts: Vec<Value>,
    pub(crate) live: Vec<Value>,
    pub(crate) hosts: Vec<Value>,
    pub(crate) active_flows: Vec<Value>,
    pub(crate) raw: Vec<Value>,
    pub(crate) points: Vec<Value>,
}

/// The points of the days of `span`, each day asked for by itself, as records of the pipeline file.
fn points(ntopng: &Ntopng, ifid: i32, span: &Span) -> Vec<Value> {
    let mut records = Vec::new();
    for day in span.clone().step_by(86_400) {
        for schema in ["iface:traffic", "iface:flows"] {
            let points = ntopng.points(ifid, schema, day, day + 86_400, 1441).into_iter();
            let of_the_day = points.filter(|(_, at, _)| (day..day + 86_400).contains(at));
            records.extend(
                of_the_day.map(
                    |(series, at, value)| json!({"schema": schema, "series": series, "tstamp": at, "value": value}),
                ),
            );
        }
    }
    records
}

fn lines(rows: impl IntoIterator<Item = Map<String, Value>>) -> Rows {
    let line = |row: Map<String, Value>| serde_json::to_string(&row.into_iter().collect::<BTreeMap<_, _>>()).unwrap();
    let mut lines: Rows = rows.into_iter().map(line).collect();
    lines.sort_unstable();
    lines
}

/// What the data sets and the feed have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) flow_alerts: Rows,
    pub(crate) feed: Rows,
    pub(crate) host_alerts: Rows,
    pub(crate) live: Rows,
    pub(crate) hosts: Rows,
    pub(crate) active_flows: Rows,
    pub(crate) raw: Rows,
    pub(crate) points: Rows,
}

impl Truth {
    /// Asks the simulator what it has at present. `span` is what the windows cover, `snapshot` the label of the day.
    pub(crate) fn of(ntopng: &Ntopng, span: &Span, snapshot: &str) -> Self {
        let interfaces = ntopng.config().interfaces.iter().map(|interface| interface.ifid);
        let records = |ifid| {
            let alerts = ntopng.flow_alerts(ifid);
            let in_span = || alerts.iter().filter(|row| span.contains(&row.tstamp));
            let host_alerts = ntopng.host_alerts(ifid).into_iter().filter(|row| span.contains(&row.tstamp));
            let records = Records {
                flow_alerts: in_span().map(|row| ntopng.render_flow_alert(row)).collect(),
                host_alerts: host_alerts.map(|row| ntopng.render_host_alert(&row)).collect(),
                live: alerts.iter().map(|row| ntopng.render_flow_alert(row)).collect(),
                hosts: ntopng.hosts(ifid).iter().map(|row| ntopng.render_host(row)).collect(),
                active_flows: ntopng.flows(ifid).iter().map(|row| ntopng.render_flow(row)).collect(),
                raw: in_span().map(|row| ntopng.render_raw_flow_alert(row)).collect(),
                points: points(ntopng, ifid, span),
            };
            (ifid, records)
        };
        Self::from_records(&interfaces.map(records).collect::<Vec<_>>(), snapshot)
    }

    /// Makes rows of the records of interfaces.
    pub(crate) fn from_records(records: &[(i32, Records)], snapshot: &str) -> Self {
        let rows = |columns: Columns, of: fn(&Records) -> &Vec<Value>| -> Vec<Map<String, Value>> {
            records
                .iter()
                .flat_map(|(ifid, records)| of(records).iter().map(|record| row(columns, *ifid, record)))
                .collect()
        };
        let labelled = |mut row: Map<String, Value>| {
            row.insert("snapshot".to_owned(), json!(snapshot));
            row
        };
        let alerts = rows(FLOW_ALERTS, |records| &records.flow_alerts);
        Self {
            feed: lines(alerts.iter().filter(|row| row["severity"] == "Critical").map(as_csv)),
            flow_alerts: lines(alerts),
            host_alerts: lines(rows(HOST_ALERTS, |records| &records.host_alerts)),
            live: lines(rows(LIVE, |records| &records.live)),
            hosts: lines(rows(HOSTS, |records| &records.hosts).into_iter().map(labelled)),
            active_flows: lines(rows(ACTIVE_FLOWS, |records| &records.active_flows).into_iter().map(labelled)),
            raw: lines(rows(RAW, |records| &records.raw)),
            points: lines(rows(POINTS, |records| &records.points)),
        }
    }

    /// Reads a lake.
    pub(crate) fn in_lake(lake: &Path) -> Self {
        let parquet = |set: &str, hive: bool| {
            if !lake.join("ntopng").join(set).exists() {
                return Rows::new();
            }
            let types = if hive {
                "hive_partitioning = true, hive_types = {'snapshot': VARCHAR}"
            } else {
                "hive_partitioning = false"
            };
            read(&format!("SELECT * FROM read_parquet('{}/ntopng/{set}/**/*.parquet', {types})", lake.display()))
        };
        Self {
            flow_alerts: parquet("flow_alerts", false),
            feed: read(&feed(lake)),
            host_alerts: parquet("host_alerts", false),
            live: read(&live(lake)),
            hosts: parquet("hosts", true),
            active_flows: parquet("active_flows", true),
            raw: parquet("raw_flow_alerts", false),
            points: parquet("timeseries", false),
        }
    }

    /// Adds the rows of further snapshots.
    pub(crate) fn with_snapshots_of(mut self, other: &Self) -> Self {
        for (rows, more) in [(&mut self.hosts, &other.hosts), (&mut self.active_flows, &other.active_flows)] {
            rows.extend(more.iter().cloned());
            rows.sort_unstable();
        }
        self
    }

    /// Fails unless both have the same rows, and shows the first that differ.
    pub(crate) fn assert_is(&self, found: &Self) {
        let pairs = [
            ("flow_alerts", &self.flow_alerts, &found.flow_alerts),
            ("feed", &self.feed, &found.feed),
            ("host_alerts", &self.host_alerts, &found.host_alerts),
            ("live", &self.live, &found.live),
            ("hosts", &self.hosts, &found.hosts),
            ("active_flows", &self.active_flows, &found.active_flows),
            ("raw_flow_alerts", &self.raw, &found.raw),
            ("timeseries", &self.points, &found.points),
        ];
        for (name, expected, found) in pairs {
            assert_same(name, expected, found);
        }
    }
}

/// Fails unless both are the same rows.
pub(crate) fn assert_same(name: &str, expected: &Rows, found: &Rows) {
    if expected == found {
        return;
    }
    let only = |these: &Rows, those: &Rows| {
        let mut left: BTreeMap<&String, i64> = BTreeMap::new();
        these.iter().for_each(|row| *left.entry(row).or_default() += 1);
        those.iter().for_each(|row| *left.entry(row).or_default() -= 1);
        let rows: Vec<String> = left.into_iter().filter(|(_, count)| *count > 0).map(|(row, _)| row.clone()).collect();
        (rows.len(), rows.into_iter().take(3).collect::<Vec<_>>().join("\n"))
    };
    let ((missing, first_missing), (extra, first_extra)) = (only(expected, found), only(found, expected));
    panic!(
        "{name}: {} rows expected, {} found; {missing} are missing:\n{first_missing}\n{extra} are too many or different:\n{first_extra}",
        expected.len(),
        found.len()
    );
}

/// Reads rows with DuckDB.
pub(crate) fn read(sql: &str) -> Rows {
    lines(duck::rows(sql).into_iter().map(|row| match row {
        Value::Object(row) => row,
        other => panic!("no row but {other}"),
    }))
}

/// How the CSV feed is read: all columns as text, and an empty text in quotes is a text, not null.
pub(crate) fn feed(lake: &Path) -> String {
    let columns: Vec<String> = csv_columns().map(|name| format!("'{name}': VARCHAR")).collect();
    format!(
        "SELECT * FROM read_csv('{}/feeds/ntopng/*.csv', auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"',
           nullstr = '', allow_quoted_nulls = false, strict_mode = true, columns = {{{}}})",
        lake.display(),
        columns.join(", ")
    )
}

/// The columns of the feed, in order.
fn csv_columns() -> impl Iterator<Item = &'static str> {
    let names = FLOW_ALERTS.iter().map(|(name, ..)| *name);
    ["row_id", "ifid"].into_iter().chain(names.skip(1))
}

/// How the row looks in a CSV file: text, and one that a spreadsheet would take for a formula begins with `'`.
fn as_csv(row: &Map<String, Value>) -> Map<String, Value> {
    let cell = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::Null => Value::Null,
            Value::String(time) if name == "ts" => json!(time.replace(".000000Z", "Z")),
            Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => json!(format!("'{text}")),
            Value::String(text) => json!(text),
            number => json!(number.to_string()),
        };
        (name.clone(), text)
    };
    row.iter().map(cell).collect()
}

fn live(lake: &Path) -> String {
    format!(
        "SELECT * FROM read_json('{}/ntopng/flow_alerts_live/*.jsonl.zst', format = 'newline_delimited', compression = 'zstd',
           columns = {{row_id: BIGINT, ifid: BIGINT, ts: TIMESTAMPTZ, alert_name: VARCHAR, severity: VARCHAR, score: BIGINT,
                       client_ip: VARCHAR, server_ip: VARCHAR, info: VARCHAR}})",
        lake.display()
    )
}

#[cfg(test)]
mod tests {
    use super::{Rows, assert_same};

    fn rows(rows: &[&str]) -> Rows {
        rows.iter().map(|row| (*row).to_owned()).collect()
    }

    #[test]
    fn the_same_rows_are_the_same() {
        assert_same("rows", &rows(&["a", "b"]), &rows(&["a", "b"]));
    }

    #[test]
    #[should_panic(expected = "1 are missing:\nb\n0 are too many")]
    fn a_missing_row_is_told() {
        assert_same("rows", &rows(&["a", "b"]), &rows(&["a"]));
    }

    #[test]
    #[should_panic(expected = "0 are missing:\n\n1 are too many or different:\na")]
    fn a_doubled_row_is_told() {
        assert_same("rows", &rows(&["a", "b"]), &rows(&["a", "a", "b"]));
    }
}
