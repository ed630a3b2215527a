//! The kinds of alerts that the simulator raises, with names, scores and severities as a real ntopng 6.2 has them (vendors.md A10).

/// What an attacker got to write into `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Info {
    Empty,
    Url,
    Query,
    Hostile,
}

/// A kind of flow alert.
#[derive(Debug)]
pub(super) struct FlowKind {
    pub(super) id: u16,
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    /// The page of the manual that the GUI links: family and number of the risk.
    pub(super) risk: (&'static str, &'static str),
    pub(super) score: u16,
    /// Number and name of the transport.
    pub(super) l4: (u8, &'static str),
    /// Number and name of the application protocol.
    pub(super) l7: (u16, &'static str),
    /// The server's port and its name.
    pub(super) port: (u16, &'static str),
    pub(super) info: Info,
    /// Further alerts of the same flow.
    pub(super) more: &'static [&'static str],
    pub(super) category: &'static Category,
}

/// A category of alerts.
#[derive(Debug)]
pub(super) struct Category {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) icon: &'static str,
}

/// Where attacks are filed.
pub(super) const CYBERSECURITY: Category = Category { value: "1", label: "Cybersecurity", icon: "fas fa-shield-alt" };
/// Where the rest is filed.
pub(super) const OTHER: Category = Category { value: "0", label: "Other", icon: "fas fa-scroll" };
/// Where trouble of the network is filed.
const NETWORK: Category = Category { value: "2", label: "Network", icon: "fas fa-network-wired" };

const TCP: (u8, &str) = (6, "TCP");
const UDP: (u8, &str) = (17, "UDP");

/// The kinds of flow alerts.
pub(super) const FLOW_KINDS: [FlowKind; 8] = [
    FlowKind {
        id: 13,
        name: "Blacklisted Server Contact",
        script: "blacklisted_server_contact",
        risk: ("ntopng", "013"),
        score: 200,
        l4: TCP,
        l7: (91, "TLS"),
        port: (443, "https"),
        info: Info::Empty,
        more: &[],
        category: &CYBERSECURITY,
    },
    FlowKind {
        id: 29,
        name: "Binary App/.exe Transfer",
        script: "binary_application_transfer",
        risk: ("ndpi", "004"),
        score: 210,
        l4: TCP,
        l7: (7, "HTTP"),
        port: (8081, "tproxy"),
        info: Info::Url,
        more: &["Known Proto on Non Std Port", "HTTP/TLS/QUIC Numeric Hostname/SNI"],
        category: &CYBERSECURITY,
    },
    FlowKind {
        id: 40,
        name: "Possible SQL Inj",
        script: "ndpi_url_possible_sql_injection",
        risk: ("ndpi", "002"),
        score: 150,
        l4: TCP,
        l7: (7, "HTTP"),
        port: (80, "http"),
        info: Info::Hostile,
        more: &[],
        category: &CYBERSECURITY,
    },
    FlowKind {
        id: 53,
        name: "Susp. DNS Traffic",
        script: "ndpi_dns_suspicious_traffic",
        risk: ("ndpi", "023"),
        score: 70,
        l4: UDP,
        l7: (5, "DNS"),
        port: (53, "domain"),
        info: Info::Query,
        more: &["Error Code", "Susp. Entropy"],
        category: &CYBERSECURITY,
    },
    FlowKind {
        id: 26,
        name: "TLS Certificate Expired",
        script: "tls_certificate_expired",
        risk: ("ndpi", "009"),
        score: 100,
        l4: TCP,
        l7: (91, "TLS"),
        port: (443, "https"),
        info: Info::Hostile,
        more: &[],
        category: &CYBERSECURITY,
    },
    FlowKind {
        id: 36,
        name: "Known Proto on Non Std Port",
        script: "known_proto_on_non_std_port",
        risk: ("ndpi", "005"),
        score: 10,
        l4: TCP,
        l7: (92, "SSH"),
        port: (2222, "2222"),
        info: Info::Empty,
        more: &[],
        category: &NETWORK,
    },
    FlowKind {
        id: 67,
        name: "Unidirectional Traffic",
        script: "ndpi_unidirectional_traffic",
        risk: ("ndpi", "046"),
        score: 10,
        l4: UDP,
        l7: (9, "NTP"),
        port: (123, "123"),
        info: Info::Empty,
        more: &[],
        category: &NETWORK,
    },
    FlowKind {
        id: 71,
        name: "Remote Code Execution Attempt",
        script: "ndpi_url_possible_rce_injection",
        risk: ("ndpi", "003"),
        score: 250,
        l4: TCP,
        l7: (7, "HTTP"),
        port: (80, "http"),
        info: Info::Hostile,
        more: &["HTTP Susp Content"],
        category: &OTHER,
    },
];

/// A kind of host alert.
#[derive(Debug)]
pub(super) struct HostKind {
    pub(super) id: u16,
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    pub(super) score: u16,
}

/// The kinds of host alerts.
pub(super) const HOST_KINDS: [HostKind; 3] = [
    HostKind { id: 17, name: "Score Threshold Exceeded", script: "score_threshold", score: 150 },
    HostKind { id: 5, name: "TCP SYN Scan", script: "syn_scan", score: 50 },
    HostKind { id: 20, name: "Scan Detected", script: "scan_detection", score: 100 },
];

/// A severity: its number, its name in the API and in labels, its colour and the colour class and icon of the GUI.
#[derive(Debug)]
pub(super) struct Severity {
    pub(super) value: u8,
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) color: &'static str,
    pub(super) class: &'static str,
    pub(super) icon: &'static str,
}

/// The severities, in the order that consts.lua happened to give them.
pub(super) const SEVERITIES: [Severity; 8] = [
    severity(5, "error", "Error", "#ff3231", "text-danger", "fas fa-exclamation-triangle"),
    severity(0, "none", "None", "#5cd65c", "text-success", "fas fa-check"),
    severity(1, "debug", "Debug", "#5cd65c", "text-success", "fas fa-bug"),
    severity(2, "info", "Info", "#5cd65c", "text-info", "fas fa-info-circle"),
    severity(6, "critical", "Critical", "#fb6962", "text-danger", "fas fa-exclamation-triangle"),
    severity(8, "emergency", "Emergency", "#fb6962", "text-danger", "fas fa-bomb"),
    severity(4, "warning", "Warning", "#ffc007", "text-warning", "fas fa-exclamation-triangle"),
    severity(3, "notice", "Notice", "#5cd65c", "text-info", "fas fa-hand-paper"),
];

const fn severity(
    value: u8,
    key: &'static str,
    label: &'static str,
    color: &'static str,
    class: &'static str,
    icon: &'static str,
) -> Severity {
    Severity { value, key, label, color, class, icon }
}

/// The severity of a score, as its value; see [`severity_of`].
pub(super) const fn severity_value(score: u16) -> u8 {
    match score {
        0..10 => 2,
        10..50 => 3,
        50..100 => 4,
        100..200 => 5,
        200..250 => 6,
        _ => 8,
    }
}

/// The severity with this value.
pub(super) fn severity_of(value: u8) -> &'static Severity {
    SEVERITIES.iter().find(|severity| severity.value == value).unwrap_or(&SEVERITIES[1])
}
