//! Fields that flow and host alerts share, and how they look with and without HTML (vendors.md A6 and A10 "Alerts").

use std::net::IpAddr;

use super::answer::{Setting, time_label};
use super::json::{Json, labelled, table};
use super::kinds::{Category, Severity};
use super::names;
use crate::appliance::dice::pick;

/// How a list is rendered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) setting: Setting,
    /// Decides on names.
    pub(super) seed: u64,
    /// Labels with HTML: what a request without `format=json` gets.
    pub(super) html: bool,
}

/// An epoch with its label and colour.
pub(super) fn time_stamp(epoch: i64, severity: &Severity, setting: Setting) -> Json {
    table([("value", epoch.into()), ("label", time_label(epoch, setting).into()), ("highlight", severity.color.into())])
}

/// A severity: its label is HTML for the GUI.
pub(super) fn severity_field(severity: &'static Severity, html: bool) -> Json {
    let Severity { value, label, color, class, icon, .. } = severity;
    let text = if html {
        format!("<i class='{icon} {class}' style='color: {color}!important' title='{label}'></i> ").into()
    } else {
        Json::Plain(label)
    };
    table([("value", (*value).into()), ("label", text), ("color", Json::Plain(color))])
}

/// A score with its label and colour.
pub(super) fn score(score: u16, severity: &Severity) -> Json {
    table([("value", score.into()), ("label", score.to_string().into()), ("color", severity.color.into())])
}

/// The category of an alert.
pub(super) fn category(category: &Category) -> Json {
    table([("value", category.value.into()), ("label", category.label.into()), ("icon", category.icon.into())])
}

/// What the community build knows about MITRE: nothing.
pub(super) fn mitre() -> Json {
    table([
        ("mitre_id", "".into()),
        ("mitre_tactic", "".into()),
        ("mitre_tactic_i18n", "".into()),
        ("mitre_technique", "".into()),
        ("mitre_technique_i18n", "".into()),
        ("mitre_subtechnique", "".into()),
        ("mitre_subtechnique_i18n", "".into()),
    ])
}

/// The link to the settings of a check, HTML whatever the format.
pub(super) fn configset_ref(family: &str, script: &str) -> Json {
    format!(
        " <a href=\"/lua/admin/edit_configset.lua?subdir={family}&check={script}#all\"><i class=\"fas fa-cog\" \
         title=\"Edit Configuration\"></i></a>"
    )
    .into()
}

/// The local network of an address, empty for a remote one.
pub(super) fn network(ip: IpAddr) -> Json {
    match ip {
        IpAddr::V4(_) if names::is_local(ip) => labelled("0", "10.0.0.0/8"),
        IpAddr::V6(_) if names::is_local(ip) => labelled("1", "fd00::/8"),
        _ => labelled("", ""),
    }
}

/// The country of an address, empty for the local network and wherever ntopng doesn't know.
pub(super) fn country(ip: IpAddr) -> &'static str {
    let known: &&'static str = pick(&["US", "DE", "", "CN", "IT"], names::word(ip));
    if names::is_local(ip) { "" } else { known }
}
