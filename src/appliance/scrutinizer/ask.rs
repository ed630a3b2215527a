//! What a request asks for: the form's fields, and the JSON inside two of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::flows::{Direction, MINUTE};
use super::report::{OrderBy, Range, automatic};
use crate::appliance::server::Request;

/// The rows of a page where a request doesn't say.
const DEFAULT_ROWS: usize = 10;

/// Why a report can't be run. The texts are ours: those of the real one aren't known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AskError {
    /// A field isn't JSON.
    #[error("{field} is not valid JSON")]
    Json { field: &'static str },
    /// Something in a field can't be understood.
    #[error("{field}: {found} is not supported")]
    Unsupported { field: &'static str, found: String },
}

/// A report that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) range: Range,
    pub(super) order: OrderBy,
    /// Labels are rates, else totals.
    pub(super) rate: bool,
    /// Labels are plain numbers, else shortened for people.
    pub(super) raw: bool,
    /// The tables, and which rows of each.
    pub(super) tables: Vec<Page>,
}

/// The rows that are wanted of a direction's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) direction: Direction,
    pub(super) offset: usize,
    pub(super) rows: usize,
}

/// Reads the parameters of a request: of its query, and over them of its form.
pub(super) fn parameters(request: &Request) -> BTreeMap<String, String> {
    let mut given: BTreeMap<String, String> =
        url::form_urlencoded::parse(request.query().as_bytes()).into_owned().collect();
    given.extend(url::form_urlencoded::parse(&request.body).into_owned());
    given
}

impl Ask {
    /// Reads what `rpt_json` and `data_requested` ask for at `now`, epoch seconds.
    pub(super) fn read(parameters: &BTreeMap<String, String>, now: i64) -> Result<Self, AskError> {
        let json = |field: &'static str| {
            let text = parameters.get(field).map_or("", String::as_str);
            serde_json::from_str::<Value>(text).map_err(|_| AskError::Json { field })
        };
        let report = json("rpt_json")?;
        let requested = json("data_requested")?;
        one_of("reportTypeLang", &report["reportTypeLang"], &["conversations"])?;
        filters(&report["filters"])?;
        let selected = one_of(
            "reportDirections.selected",
            &report["reportDirections"]["selected"],
            &["inbound", "outbound", "both"],
        )?;
        let order = match report["orderBy"].as_str().unwrap_or("sum_octetdeltacount") {
            "sum_octetdeltacount" => OrderBy::Octets,
            "sum_packetdeltacount" => OrderBy::Packets,
            other => return Err(unsupported("orderBy", &other.into())),
        };
        Ok(Self {
            range: range(&report, now)?,
            order,
            rate: report["rateTotal"]["selected"].as_str().unwrap_or("rate") == "rate",
            raw: report["dataFormat"]["selected"] == "raw",
            tables: Direction::ALL
                .into_iter()
                .filter(|direction| selected == "both" || selected == direction.name())
                .filter_map(|direction| page(direction, &requested))
                .collect(),
        })
    }
}

/// The rows that are wanted of a direction; none where `data_requested` doesn't name its table.
fn page(direction: Direction, requested: &Value) -> Option<Page> {
    let limit = &requested.get(direction.name())?.get("table")?["query_limit"];
    let number = |name: &str| whole(&limit[name]).and_then(|number| usize::try_from(number).ok());
    let (offset, rows) = (number("offset").unwrap_or(0), number("max_num_rows").unwrap_or(DEFAULT_ROWS));
    Some(Page { direction, offset, rows })
}

fn range(report: &Value, now: i64) -> Result<Range, AskError> {
    let times = &report["times"];
    let back = |seconds: i64| (now - seconds, now);
    let (start, end) = match times["dateRange"].as_str().unwrap_or_default() {
        "Custom" => {
            let edge = |field: &'static str, value: &Value| whole(value).ok_or_else(|| unsupported(field, value));
            (edge("times.start", &times["start"])?, edge("times.end", &times["end"])?)
        }
        // These slide with the clock, between two pages as well.
        "LastTenMinutes" => back(600),
        "LastHour" => back(3600),
        "Last24Hours" => back(86_400),
        _ => return Err(unsupported("times.dateRange", &times["dateRange"])),
    };
    if end <= start {
        return Err(unsupported("times.end", &times["end"]));
    }
    let selected = &report["dataGranularity"]["selected"];
    let text = selected.as_str().map_or_else(|| selected.to_string(), str::to_owned);
    let granularity = match text.trim_end_matches('m') {
        "auto" | "null" => automatic(end - start),
        minutes @ ("1" | "5" | "30" | "120" | "720") => minutes.parse().unwrap_or(1) * MINUTE,
        _ => return Err(unsupported("dataGranularity.selected", selected)),
    };
    Ok(Range { start, end, granularity })
}

/// Accepts all exporters only: the simulator has one, and no interfaces, so whatever else is asked for would be answered wrongly.
fn filters(filters: &Value) -> Result<(), AskError> {
    let members = filters.as_object().filter(|members| !members.is_empty());
    let Some(members) = members else { return Err(unsupported("filters", filters)) };
    let wrong = members.iter().find(|(name, value)| !name.starts_with("sdfDips_") || *value != "in_GROUP_ALL");
    wrong.map_or(Ok(()), |_| Err(unsupported("filters", filters)))
}

fn one_of<'v>(field: &'static str, value: &'v Value, known: &[&str]) -> Result<&'v str, AskError> {
    value.as_str().filter(|text| known.contains(text)).ok_or_else(|| unsupported(field, value))
}

/// A whole number, or its digits in a text: clients send both.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn unsupported(field: &'static str, found: &Value) -> AskError {
    AskError::Unsupported { field, found: found.to_string() }
}
