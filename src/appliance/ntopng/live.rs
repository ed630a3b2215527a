//! Hosts and flows of the live tables as JSON (vendors.md A4, A5 and A10; `host-active*.http`, `flow-active*.http`).

use super::fields::country;
use super::json::{Json, table};
use super::names;
use super::rows::{Flow, Host};
use crate::appliance::dice::{below, mix};

/// A word that changes every second.
fn volatile(salt: u64, now: i64) -> u64 {
    mix(salt, now.unsigned_abs())
}

/// A rate of up to `most`, which changes every second; zero for one row in five.
fn rate(salt: u64, now: i64, most: u32) -> Json {
    let thousandths = if salt.is_multiple_of(5) { 0 } else { below(volatile(salt, now), most * 1000) };
    Json::Float(f64::from(thousandths) / 1000.0)
}

/// Renders a host at `now`, epoch seconds.
pub(super) fn render_host(host: &Host, now: i64) -> Json {
    let (sent, rcvd) = host.bytes(now);
    let local = names::is_local(host.ip);
    let side = below(mix(host.salt, 5), 40);
    let score = below(mix(host.salt, 6), 300);
    let split = |client: u32, server: u32| {
        table([("total", (client + server).into()), ("as_client", client.into()), ("as_server", server.into())])
    };
    let mut pairs = vec![
        ("key", key(host).into()),
        ("ip", host.ip.to_string().into()),
        ("vlan", host.vlan.into()),
        ("name", host.name.clone().into()),
        ("os", below(mix(host.salt, 7), 6).into()),
        ("first_seen", host.first_seen.into()),
        ("last_seen", (now - i64::from(below(volatile(host.salt, now), 10))).max(host.first_seen).into()),
        ("num_alerts", below(mix(host.salt, 8), 3).into()),
        ("score", split(score, score / 7)),
        ("thpt", table([("bps", rate(host.salt, now, 90_000)), ("pps", rate(mix(host.salt, 9), now, 40))])),
        ("bytes", table([("total", (sent + rcvd).into()), ("sent", sent.into()), ("recvd", rcvd.into())])),
        ("num_flows", split(side, side / 3)),
        ("is_localhost", local.into()),
        ("is_multicast", false.into()),
        ("is_broadcast", false.into()),
        ("is_broadcast_domain", local.into()),
    ];
    // Both are absent where the host left memory between the script's two look-ups.
    if !host.salt.is_multiple_of(31) {
        pairs.push(("country", country(host.ip).into()));
        pairs.push(("is_blacklisted", host.salt.is_multiple_of(41).into()));
    }
    Json::Table(pairs)
}

/// Address and VLAN as the GUI's scripts want them.
fn key(host: &Host) -> String {
    let mangled = host.ip.to_string().replace('.', "__");
    if host.vlan == 0 { mangled } else { format!("{mangled}@{}", host.vlan) }
}

/// Renders a flow at `now`, epoch seconds. The flags of the server are really the client's, as in the real one.
pub(super) fn render_flow(flow: &Flow, now: i64, verbose: bool) -> Json {
    let kind = flow.kind();
    let bytes = flow.bytes(now);
    let last_seen = flow.last_seen(now);
    let domain = flow.cli_ip.is_ipv4();
    let peer = |name: &str, ip: std::net::IpAddr, port: u16, flag: &'static str| {
        table([
            ("name", name.to_owned().into()),
            ("ip", ip.to_string().into()),
            ("port", port.into()),
            ("is_blacklisted", false.into()),
            ("is_dhcp", false.into()),
            (flag, domain.into()),
        ])
    };
    let mut pairs = vec![
        ("key", flow.key.to_string().into()),
        ("hash_id", flow.hash_id.to_string().into()),
        ("first_seen", flow.first_seen.into()),
        ("last_seen", last_seen.into()),
        ("duration", (last_seen - flow.first_seen + 1).into()),
        ("vlan", flow.vlan.into()),
        ("bytes", bytes.into()),
        ("client", peer(&flow.cli_name, flow.cli_ip, flow.cli_port, "is_broadcast_domain")),
        ("server", peer(&flow.srv_name, flow.srv_ip, kind.port.0, "is_broadcast")),
        ("protocol", table([("l4", kind.l4.1.into()), ("l7", kind.l7.1.into())])),
        ("thpt", table([("bps", rate(flow.salt, now, 9000)), ("pps", rate(mix(flow.salt, 3), now, 4))])),
        ("breakdown", breakdown(flow, bytes)),
    ];
    if verbose {
        pairs.push(("packets", (bytes / 380).into()));
        pairs.push(("tcp", tcp(flow)));
    }
    Json::Table(pairs)
}

/// Percentages of both directions; 0 / 0 where there were no bytes.
fn breakdown(flow: &Flow, bytes: i64) -> Json {
    if bytes == 0 {
        return table([("cli2srv", f64::NAN.into()), ("srv2cli", f64::NAN.into())]);
    }
    let sent = below(mix(flow.salt, 4), 101);
    table([("cli2srv", sent.into()), ("srv2cli", (100 - sent).into())])
}

/// The TCP counters: empty tables for other transports.
fn tcp(flow: &Flow) -> Json {
    let empty = || Json::Table(Vec::new());
    if flow.kind().l4.1 != "TCP" {
        return table([
            ("retransmissions", empty()),
            ("nw_latency", empty()),
            ("lost", empty()),
            ("out_of_order", empty()),
        ]);
    }
    let both = |sent: u32, rcvd: u32| table([("cli2srv", sent.into()), ("srv2cli", rcvd.into())]);
    table([
        ("retransmissions", both(0, below(mix(flow.salt, 5), 5))),
        ("nw_latency", table([("cli", 0.0.into()), ("srv", 0.0.into())])),
        ("appl_latency", (f64::from(below(mix(flow.salt, 6), 900)) / 1000.0).into()),
        ("lost", both(0, 0)),
        ("out_of_order", both(0, 0)),
    ])
}
