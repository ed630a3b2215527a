//! A report on the wire: rows of cells, each of which names its column in JSON inside a text (vendors.md C2).

use serde_json::{Value, json};

use super::ask::Ask;
use super::flows::PORTS;
use super::report::Conversation;
use crate::appliance::dice::{mix, pick};

/// The columns of a conversations report, in the order of their cells, after the rank.
pub(super) const COLUMNS: [&str; 8] = [
    "sourceipaddress",
    "commonport",
    "destinationipaddress",
    "rpt_man_peak",
    "sum_packetdeltacount",
    "percenttotal",
    "sum_octetdeltacount",
    "first_flow_epoch",
];

/// Names of hosts that would break a careless reader. A label is a name that someone else chose.
const HOSTILE: [&str; 5] = ["say \"hi\"", "{\"column\":\"label\"}", "NA", "<b>bold</b>", "Rank: 1"];

/// Renders the row that stands at `rank`, counted from 1 over the whole report.
pub(super) fn row(row: &Conversation, rank: usize, ask: &Ask, seed: u64) -> Value {
    let port = PORTS.iter().find(|(raw, _)| *raw == row.port).map_or(row.port, |(_, name)| *name);
    json!([
        {"title": format!("Rank: {rank}"), "label": rank.to_string(), "klasstd": format!("rank{rank}")},
        address(0, &row.source.to_string(), seed),
        text(1, row.port, port),
        address(2, &row.destination.to_string(), seed),
        row.peak.map_or_else(|| undefined(3), |peak| number(3, peak, ask)),
        number(4, row.packets, ask),
        percent(5, row.percent_hundredths),
        number(6, row.octets, ask),
        text(7, &row.first_flow.to_string(), &row.first_flow.to_string()),
    ])
}

/// An address: the label is the host's name, the address, or nothing, as the appliance pleases.
fn address(column: usize, address: &str, seed: u64) -> Value {
    let word = address.bytes().fold(seed, |word, byte| mix(word, byte.into()));
    let label = match word % 8 {
        0 => String::new(),
        1 => address.to_owned(),
        2 if word.is_multiple_of(3) => (*pick(&HOSTILE, word)).to_owned(),
        _ => format!("host{}.lan", word % 1000),
    };
    json!({
        "rawValue": address, "title": address, "label": label, "klassLabel": "ipDns",
        "dataJson": data(column), "klasstd": "alignLeft",
    })
}

/// A text, and what is shown instead.
fn text(column: usize, raw: &str, shown: &str) -> Value {
    json!({
        "rawValue": raw, "title": shown, "label": shown, "klassLabel": "", "dataJson": data(column), "klasstd": "alignLeft",
    })
}

/// A counter: digits in a text, a JSON number, and as label a rate, or what people can read.
fn number(column: usize, total: u64, ask: &Ask) -> Value {
    let label = match (ask.rate, ask.raw) {
        (true, true) => rate(total, ask.range.seconds()).map_or(Value::Null, Value::from),
        (false, true) => total.into(),
        (rate, false) => short(if rate { total / ask.range.seconds().unsigned_abs() } else { total }).into(),
    };
    json!({
        "rawValue": total.to_string(), "title": total, "label": label, "klassLabel": "",
        "dataJson": data(column), "klasstd": "alignRight",
    })
}

/// A share: it has no raw value.
fn percent(column: usize, hundredths: u64) -> Value {
    let text = format!("{}.{:02} %", hundredths / 100, hundredths % 100);
    json!({
        "rawValue": null, "title": text, "label": text, "klassLabel": "", "dataJson": data(column), "klasstd": "alignRight",
    })
}

/// A value that the report can't tell.
fn undefined(column: usize) -> Value {
    json!({
        "rawValue": null, "title": "Value undefined", "label": "NA", "klassLabel": "",
        "dataJson": data(column), "klasstd": "alignRight",
    })
}

fn data(column: usize) -> String {
    json!({"column": COLUMNS.get(column)}).to_string()
}

/// A rate per second with the 15 digits that the real one shows: 7602874112 in 600 seconds is 12671456.8533333.
fn rate(total: u64, seconds: i64) -> Option<f64> {
    // Through text, so that no digit of the total is lost before the division rounds.
    let (total, seconds): (f64, f64) = (total.to_string().parse().ok()?, seconds.to_string().parse().ok()?);
    format!("{:.14e}", total / seconds).parse().ok()
}

/// A number with a unit of thousands, as `dataFormat: normal` shows it.
fn short(number: u64) -> String {
    let units = [(1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")];
    let unit = units.iter().find(|(size, _)| number >= *size);
    unit.map_or_else(
        || number.to_string(),
        |(size, name)| format!("{}.{:02} {name}", number / size, number % size * 100 / size),
    )
}

#[cfg(test)]
mod tests {
    use super::{rate, short};

    #[test]
    fn rates_are_those_of_the_example() {
        assert_eq!(rate(7_602_874_112, 600).unwrap().to_string(), "12671456.8533333");
        assert_eq!(rate(5_873_664, 600).unwrap().to_string(), "9789.44");
    }

    #[test]
    fn people_read_units() {
        assert_eq!(["999", "1.50 k", "7.60 G"], [999, 1500, 7_602_874_112].map(short).each_ref().map(String::as_str));
    }
}
