//! Host alerts as `get/host/alert/list.lua` renders them (vendors.md A6 and A10 "Alerts"; `host-alert-list*.http`).

use super::alert_query::{Alert, Column};
use super::fields::{Style, category, configset_ref, country, mitre, network, score, severity_field, time_stamp};
use super::json::{Json, labelled, table};
use super::kinds::{CYBERSECURITY, OTHER, severity_of};
use super::names;
use super::rows::HostAlert;

impl Alert for HostAlert {
    const SELECT: &'static str = "1 entity_id, (tstamp_end - tstamp) duration, * FROM `host_alerts`";

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
            "ip" => Column::Text(|row| row.ip.to_string()),
            _ => return None,
        })
    }
}

/// Renders one alert; one in progress has no row id, a number as its id, and no values next to some labels.
pub(super) fn render(row: &HostAlert, style: Style) -> Json {
    let engaged = row.row_id == 0;
    let kind = row.kind();
    let severity = severity_of(row.severity());
    let name = names::host_name(style.seed, row.ip).unwrap_or_else(|| row.ip.to_string());
    let text = description(row, &name);
    let id: Json = if engaged { kind.id.into() } else { kind.id.to_string().into() };
    let mut pairs = vec![
        ("family", "host".into()),
        ("tstamp", time_stamp(row.tstamp, severity, style.setting)),
        ("alert_id", labelled(id.clone(), kind.name)),
        ("alert_name", kind.name.into()),
        ("severity", severity_field(severity, style.html)),
        ("score", score(row.score, severity)),
        ("duration", row.duration.into()),
        ("count", 1_i64.into()),
        ("script_key", kind.script.into()),
        ("mitre_data", mitre()),
        ("vlan_id", "".into()),
        ("description", text.clone().into()),
        ("msg", message(row, text)),
        ("ip", address(row, name)),
        ("filter", filter(row, id)),
    ];
    if engaged {
        let icon = table([("label", OTHER.label.into()), ("icon", OTHER.icon.into())]);
        pairs.extend([("alert_category", icon), ("host_pool_id", table([("label", "Default".into())]))]);
        pairs.push(("network", table([("label", " ".into())])));
    } else {
        pairs.push(("row_id", row.row_id.to_string().into()));
        pairs.extend([("alert_category", category(&CYBERSECURITY)), ("host_pool_id", labelled("0", "Default"))]);
        pairs.push(("network", network(row.ip)));
    }
    roles(row, style.html, &mut pairs);
    Json::Table(pairs)
}

/// Client or server, attacker or victim: the flags are icons in the GUI, else `"true"` and `"false"`.
fn roles(row: &HostAlert, html: bool, pairs: &mut Vec<(&'static str, Json)>) {
    let flag = |set: bool, icon: &'static str| match (html, set) {
        (true, true) => Json::Text(format!("<i class=\"fas {icon}\"></i>")),
        (true, false) => "".into(),
        (false, true) => "true".into(),
        (false, false) => "false".into(),
    };
    // A detected scan names neither side.
    let sided = row.alert_id() != 20;
    let (attacker, victim) = (sided && row.as_client, sided && !row.as_client);
    pairs.extend([
        ("is_client", flag(row.as_client, "fa-long-arrow-alt-right")),
        ("is_server", flag(!row.as_client, "fa-long-arrow-alt-left")),
        ("is_attacker", flag(attacker, "fa-skull")),
        ("is_victim", flag(victim, "fa-sad-tear")),
    ]);
    let side = if row.as_client { labelled("client", "Client") } else { labelled("server", "Server") };
    pairs.push(("role_cli_srv", side));
    if attacker {
        pairs.push(("role", labelled("attacker", "Is Attacker")));
    } else if victim {
        pairs.push(("role", labelled("victim", "Is Victim")));
    }
}

/// The text of the alert: HTML whatever the format.
fn description(row: &HostAlert, name: &str) -> String {
    let measured = row.measured;
    match (row.alert_id(), row.as_client) {
        (17, client) => {
            let side = if client { "Client" } else { "Server" };
            format!(
                "Score exceeded by {name} as {side} [{measured} > 5000] [ Check Live:  <a \
                 href=\"/lua/flows_stats.lua?host={name}&alert_type=alerted\" data-placement=\"bottom\" title=\"Live Flow \
                 Explorer\"><i class=\"fas fa-search-plus\"></i></a> ] "
            )
        }
        (5, true) => format!("{name} is a SYN scan attacker [{measured} &gt; 256 SYN sent]"),
        (5, false) => format!("{name} is under a SYN scan [{measured} &gt; 256 SYN received]"),
        _ => format!("{name} is a scanner [{measured} &gt; 32 scan attempts]"),
    }
}

fn message(row: &HostAlert, text: String) -> Json {
    let kind = row.kind();
    table([
        ("name", kind.name.into()),
        ("fullname", kind.name.into()),
        ("value", kind.id.into()),
        ("description", text.into()),
        ("configset_ref", configset_ref("host", kind.script)),
    ])
}

fn address(row: &HostAlert, name: String) -> Json {
    let text = row.ip.to_string();
    let reference = format!(
        "<a href='/lua/host_details.lua?host={text}' data-bs-toggle='tooltip' data-bs-placement='top' title=''><i \
         class='fas fa-laptop'></i></a>"
    );
    table([
        ("value", text.clone().into()),
        ("shown_label", text.into()),
        ("label", name.clone().into()),
        ("label_long", name.into()),
        ("reference", reference.into()),
        ("country", country(row.ip).into()),
        ("is_local", names::is_local(row.ip).into()),
        ("is_multicast", false.into()),
    ])
}

fn filter(row: &HostAlert, id: Json) -> Json {
    let tag = |id: &'static str, value: Json| table([("id", id.into()), ("op", "eq".into()), ("value", value)]);
    let tags = vec![tag("alert_id", id), tag("ip", row.ip.to_string().into())];
    table([("tag_filters", Json::List(tags))])
}
