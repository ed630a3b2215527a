//! Flow alerts as `get/flow/alert/list.lua` renders them (vendors.md A6 and A10 "Alerts"; `flow-alert-list*.http`).

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::alert_query::{Alert, Column};
use super::fields::{Style, category, configset_ref, country, mitre, network, score, severity_field, time_stamp};
use super::json::{Json, labelled, table};
use super::kinds::{Info, severity_of};
use super::names;
use super::rows::FlowAlert;
use crate::appliance::dice::{mix, pick};

impl Alert for FlowAlert {
    const SELECT: &'static str = "4 entity_id, (tstamp_end - tstamp) duration, *, (srv2cli_bytes + cli2srv_bytes) \
                                  total_bytes, hex(alerts_map) alerts_map FROM `flow_alerts`";

    fn acknowledged(&self) -> bool {
        self.acknowledged
    }

    fn row_id(&self) -> i64 {
        self.row_id
    }

    fn column(name: &str) -> Option<Column<Self>> {
        Some(match name {
            "row_id" => Column::Int(|row| row.row_id),
            "tstamp" => Column::Int(|row| row.tstamp),
            "tstamp_end" => Column::Int(|row| row.tstamp + i64::from(row.duration)),
            "duration" => Column::Int(|row| row.duration.into()),
            "alert_id" => Column::Int(|row| row.alert_id().into()),
            "severity" => Column::Int(|row| row.severity().into()),
            "score" => Column::Int(|row| row.score.into()),
            "alert_status" => Column::Int(|row| if row.acknowledged { 2 } else { 0 }),
            "cli_port" => Column::Int(|row| row.cli_port.into()),
            "srv_port" => Column::Int(|row| row.srv_port.into()),
            "vlan_id" => Column::Int(|row| row.vlan.into()),
            "proto" => Column::Int(|row| row.kind().l4.0.into()),
            "l7_proto" => Column::Int(|row| row.kind().l7.0.into()),
            "cli2srv_bytes" => Column::Int(|row| row.bytes_sent),
            "srv2cli_bytes" => Column::Int(|row| row.bytes_rcvd),
            "total_bytes" => Column::Int(FlowAlert::total_bytes),
            "cli_ip" => Column::Text(|row| row.cli_ip.to_string()),
            "srv_ip" => Column::Text(|row| row.srv_ip.to_string()),
            "info" => Column::Text(|row| row.info().into_owned()),
            _ => return None,
        })
    }
}

/// Renders one alert.
pub(super) fn render(row: &FlowAlert, style: Style) -> Json {
    let kind = row.kind();
    let severity = severity_of(row.severity());
    let info = row.info().into_owned();
    let mut pairs = Vec::with_capacity(40);
    pairs.extend([
        ("family", "flow".into()),
        ("row_id", row.row_id.to_string().into()),
        ("tstamp", time_stamp(row.tstamp, severity, style.setting)),
        ("alert_id", labelled(kind.id.to_string(), kind.name)),
        ("alert_name", kind.name.into()),
        ("alert_category", category(kind.category)),
        ("severity", severity_field(severity, style.html)),
        ("score", score(row.score, severity)),
        ("duration", row.duration.into()),
        ("count", 1_i64.into()),
        ("script_key", kind.script.into()),
        ("probe_ip", labelled("", "")),
        ("mitre_data", mitre()),
        ("proto", labelled(kind.l4.0.to_string(), kind.l4.1)),
        ("l7_proto", l7_proto(row)),
        ("vlan_id", vlan(row.vlan)),
        ("community_id", community_id(row)),
        ("info", labelled(info.clone(), info.clone())),
        ("total_bytes", total_bytes(row)),
        ("msg", message(row, style.html)),
        ("additional_alerts", table([("descr", additional(row, style.html).into())])),
        ("flow_related_info", table([("descr", related(row, &info, style.html))])),
        ("filter", filter(row, info)),
    ]);
    endpoints(row, style, &mut pairs);
    Json::Table(pairs)
}

/// The fields of client and server; the GUI gets them twice.
fn endpoints(row: &FlowAlert, style: Style, pairs: &mut Vec<(&'static str, Json)>) {
    let cli_ip = address(row.cli_ip, false, style);
    let srv_ip = address(row.srv_ip, row.alert_id() == 13, style);
    let cli_port = labelled(row.cli_port.to_string(), row.cli_port.to_string());
    let srv_port = labelled(row.srv_port.to_string(), row.kind().port.1);
    if style.html {
        pairs.push(("description", table([("descr", description(row, true).into())])));
        pairs.push((
            "flow",
            table([
                ("active_url", "".into()),
                ("vlan", vlan(row.vlan)),
                ("cli_ip", cli_ip.clone()),
                ("srv_ip", srv_ip.clone()),
                ("cli_port", cli_port.clone()),
                ("srv_port", srv_port.clone()),
            ]),
        ));
    }
    pairs.extend([("cli_ip", cli_ip), ("srv_ip", srv_ip), ("cli_port", cli_port), ("srv_port", srv_port)]);
    pairs.extend([("cli_network", network(row.cli_ip)), ("srv_network", network(row.srv_ip))]);
    pairs.extend([("cli_host_pool_id", labelled("0", "Default")), ("srv_host_pool_id", labelled("0", "Default"))]);
    // A transfer has an attacker but no victim that ntopng could name; some flows have neither.
    if row.alert_id() != 29 && !row.salt.is_multiple_of(16) {
        pairs.push(("cli_role", role("attacker", "Is Attacker")));
    }
    if !row.salt.is_multiple_of(16) {
        let victim = row.kind().info == Info::Query;
        pairs.push(("srv_role", if victim { role("victim", "Is Victim") } else { role("attacker", "Is Attacker") }));
    }
}

fn role(value: &'static str, label: &'static str) -> Json {
    table([("value", value.into()), ("label", label.into()), ("tag_label", label.into())])
}

fn vlan(vlan: u16) -> Json {
    let label = || if vlan == 0 { Json::Plain("") } else { vlan.to_string().into() };
    table([("value", vlan.into()), ("label", label()), ("title", label())])
}

fn l7_proto(row: &FlowAlert) -> Json {
    let (l4, l7) = (row.kind().l4.1, row.kind().l7);
    let mut pairs = vec![
        ("value", l7.0.to_string().into()),
        ("label", format!("{l4}:{}", l7.1).into()),
        ("l4_label", l4.into()),
        ("l7_label", l7.1.into()),
    ];
    // Absent where nothing was detected.
    if row.alert_id() != 67 {
        pairs.push(("confidence", if row.salt.is_multiple_of(3) { "Guess".into() } else { "DPI".into() }));
    }
    Json::Table(pairs)
}

/// A made-up community id: as long as a real one, and the same for the same flow.
fn community_id(row: &FlowAlert) -> Json {
    let mut hash = [0; 24];
    for (chunk, salt) in hash.chunks_mut(8).zip(10..) {
        chunk.copy_from_slice(&mix(row.salt, salt).to_be_bytes());
    }
    let id = format!("1:{}", STANDARD.encode(hash.get(..20).unwrap_or_default()));
    table([("value", id.clone().into()), ("name", id.into())])
}

fn total_bytes(row: &FlowAlert) -> Json {
    table([
        ("bytes_sent", row.bytes_sent.into()),
        ("bytes_rcvd", row.bytes_rcvd.into()),
        ("total_bytes", row.total_bytes().into()),
        ("total_packets", row.packets.into()),
    ])
}

fn address(ip: IpAddr, blacklisted: bool, style: Style) -> Json {
    let text = ip.to_string();
    let name = names::host_name(style.seed, ip);
    let label = name.clone().unwrap_or_else(|| text.clone());
    let reference = if style.html {
        format!(
            "<a href='/lua/host_details.lua?host={text}' data-bs-toggle='tooltip' data-bs-placement='top' title='Host \
             Details'><i class='fas fa-laptop'></i></a>"
        )
        .into()
    } else {
        Json::Plain("")
    };
    let mut pairs = vec![
        ("value", text.clone().into()),
        ("ip", text.into()),
        ("label", label.clone().into()),
        ("label_long", label.into()),
        ("reference", reference),
        ("country", country(ip).into()),
        ("location", if names::is_local(ip) { "local".into() } else { "remote".into() }),
        ("blacklisted", if blacklisted { "1".into() } else { "0".into() }),
    ];
    if let Some(name) = name {
        pairs.push(("name", name.into()));
    }
    Json::Table(pairs)
}

fn message(row: &FlowAlert, html: bool) -> Json {
    let kind = row.kind();
    let mut pairs = vec![
        ("name", kind.name.into()),
        ("fullname", kind.name.into()),
        ("value", kind.id.into()),
        ("description", description(row, html).into()),
    ];
    if html {
        pairs.push(("configset_ref", configset_ref("flow", kind.script)));
    }
    Json::Table(pairs)
}

/// The text of the alert, in the GUI followed by two links to the manual.
pub(super) fn description(row: &FlowAlert, html: bool) -> String {
    let info = row.info();
    let mut text = match (row.kind().info, row.alert_id()) {
        (_, 13) => "Blacklisted Server [ Blacklist: \"Emerging Threats\" ]".to_owned(),
        (Info::Url, _) => format!("File Transfered: {info}"),
        (Info::Query, _) => "Long DNS host name".to_owned(),
        (Info::Hostile, _) => format!("Requested URL: {info}"),
        (Info::Empty, _) => row.kind().name.to_owned(),
    };
    if html {
        text.push_str(&manual(row.kind().risk, "fas fa-lg fa-question-circle"));
        text.push_str(&manual(row.kind().risk, "fa-solid fa-lg fa-briefcase-medical"));
    }
    text
}

fn manual((family, number): (&str, &str), icon: &str) -> String {
    format!(
        " <a href=\"https://www.ntop.org/guides/ntopng/remediations/{family}_flow_risks.html#risk-{number}\" \
         target=\"_blank\"><i class=\"{icon}\"></i></a>"
    )
}

/// The other alerts of the flow.
fn additional(row: &FlowAlert, html: bool) -> String {
    let more = row.kind().more;
    if html {
        let entry = |name: &&str| format!("{name} {}", manual(row.kind().risk, "fas fa-lg fa-question-circle"));
        return more.iter().map(entry).collect::<Vec<_>>().join("<br>");
    }
    if more.is_empty() { String::new() } else { format!("{} ", more.join("  - ")) }
}

/// What the protocol said: an object, in the GUI one text with HTML.
fn related(row: &FlowAlert, info: &str, html: bool) -> Json {
    let (sent, rcvd) = (row.bytes_sent, row.bytes_rcvd);
    if html {
        let mut text = String::new();
        if !info.is_empty() {
            let _ = write!(text, " [ URL: <a class='ntopng-external-link' href='https://{info}'>{info}</a> ]");
        }
        let _ = write!(text, " [ Server to Client Traffic: {rcvd} Bytes | Client to Server Traffic: {sent} Bytes ]");
        return text.into();
    }
    let mut pairs = vec![("client_traffic", sent.to_string().into()), ("server_traffic", rcvd.to_string().into())];
    match row.kind().l7.1 {
        "HTTP" => pairs.extend([
            ("http_info", "GET".into()),
            ("last_url", info.to_owned().into()),
            ("last_user_agent", (*pick(&names::HOSTILE, mix(row.salt, 9))).to_owned().into()),
            ("last_return_code", 200_i64.into()),
        ]),
        "DNS" => pairs.extend([
            ("last_query", info.to_owned().into()),
            ("last_query_type", "A".into()),
            ("last_return_code", "NXDOMAIN".into()),
        ]),
        _ => {}
    }
    Json::Table(pairs)
}

/// The filter that the GUI would use to find this row again.
fn filter(row: &FlowAlert, info: String) -> Json {
    let tag =
        |id: &'static str, value: String| table([("id", id.into()), ("op", "eq".into()), ("value", value.into())]);
    let mut tags = vec![
        tag("alert_id", row.alert_id().to_string()),
        tag("cli_ip", row.cli_ip.to_string()),
        tag("srv_ip", row.srv_ip.to_string()),
        tag("cli_port", row.cli_port.to_string()),
        tag("srv_port", row.srv_port.to_string()),
    ];
    if !info.is_empty() {
        tags.push(tag("info", info));
    }
    let FlowAlert { cli_ip, srv_ip, cli_port, srv_port, .. } = row;
    let bpf = format!("host {cli_ip} and host {srv_ip} and port {cli_port} and port {srv_port}");
    table([
        ("epoch_begin", row.tstamp.into()),
        ("epoch_end", (row.tstamp + i64::from(row.duration) + 1).into()),
        ("bpf", bpf.into()),
        ("tag_filters", Json::List(tags)),
    ])
}

/// The header of `format=txt`. Rows have four fields fewer, in the real one too (`flow-alert-list-txt.http`).
pub(super) const CSV_HEADER: &str = "additional_alerts|alert_category|alert_id|alert_name|count|description|duration|family|\
    flow_srv_ip_label|flow_srv_ip_value|flow_srv_port|flow_cli_ip_label|flow_cli_ip_value|flow_cli_port|flow_related_info|\
    hist_flow_cli_info|hist_flow_info|hist_flow_srv_info|info|l7_proto|msg_name|msg_value|msg_description|probe_ip|proto|score|\
    severity|tstamp|user_label|vlan_id\n";

/// One row of `format=txt`.
pub(super) fn csv_row(row: &FlowAlert, out: &mut String) {
    let kind = row.kind();
    let _ = writeln!(
        out,
        "|{}|{}|{}|1||{}|flow||||||{}|{}|{}|{}|{}||{}|{}|{}|{}||{}",
        kind.category.value,
        kind.id,
        kind.name,
        row.duration,
        csv_field(&row.info()),
        kind.l7.0,
        kind.name,
        kind.id,
        csv_field(&description(row, false)),
        kind.l4.0,
        row.score,
        row.severity(),
        row.tstamp,
        row.vlan
    );
}

/// Quotes a field that needs it.
pub(super) fn csv_field(text: &str) -> String {
    if text.contains(['"', '|', ',', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
