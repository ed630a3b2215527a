//! Requests, errors and the form of answers.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Form, NOW, Sim, TOKEN, cell, hour, instant, rank, rich, truth};
use crate::appliance::faults::Faults;
use crate::appliance::scrutinizer::{Direction, ScrutinizerConfig};

#[tokio::test]
async fn errors_of_the_token_have_the_status_200_and_two_shapes() {
    let sim = Sim::start(ScrutinizerConfig::default()).await;
    let missing = sim.post(&Form { token: None, ..Form::page(0, 10) }).await;
    assert!(missing["err"].is_string() && missing.get("details").is_none(), "{missing}");
    let wrong = sim.post(&Form { token: Some("wrong"), ..Form::page(0, 10) }).await;
    assert!(wrong["err"].is_string() && wrong["details"] == "invalidToken", "{wrong}");
    assert!(sim.scrutinizer.requests().iter().all(|entry| entry.range.is_none() && entry.error.is_some()));
}

#[tokio::test]
async fn a_report_that_fails_says_so_inside_the_report() {
    let sim = Sim::start(ScrutinizerConfig::default()).await;
    sim.scrutinizer.fail_reports_over(Some(hour().0));
    assert_eq!(sim.post(&Form::page(0, 10)).await, json!({"report": {"error": "The report could not be run"}}));
    sim.scrutinizer.fail_reports_over(Some(hour().1));
    assert!(!sim.rows(&Form::page(0, 10), "inbound").await.is_empty(), "the range doesn't hold its own end");
    for bad in [
        Form::page(0, 10).with("reportTypeLang", json!("srcHosts")),
        Form::page(0, 10).with("times", json!({"dateRange": "Custom", "start": "now"})),
        Form::page(0, 10).with("times", json!({"dateRange": "Sometime"})),
        Form::page(0, 10).with("filters", json!({"sdfIps_0": "in_10.0.0.1_src"})),
        Form::page(0, 10).with("dataGranularity", json!({"selected": "7"})),
        Form { report: Value::String("{".to_owned()), ..Form::page(0, 10) },
    ] {
        let answer = sim.post(&bad).await;
        assert!(answer["report"]["error"].is_string(), "{} gives {answer}", bad.report);
    }
}

#[tokio::test]
async fn a_row_has_the_cells_of_the_example() {
    let sim = Sim::start(rich()).await;
    let rows = sim.rows(&Form::page(0, 1000).with("rateTotal", json!({"selected": "rate"})), "inbound").await;
    let truth = truth(&sim);
    assert_eq!(rows.len(), truth.len());
    for (index, (row, known)) in rows.iter().zip(&truth).enumerate() {
        let place = index + 1;
        assert_eq!(
            row[0],
            json!({"title": format!("Rank: {place}"), "label": place.to_string(), "klasstd": format!("rank{place}")})
        );
        let octets = cell(row, "sum_octetdeltacount");
        assert_eq!((&octets["rawValue"], &octets["title"]), (&json!(known.octets.to_string()), &json!(known.octets)));
        assert!(octets["label"].is_f64(), "a rate: {octets}");
        assert_eq!(cell(row, "sourceipaddress")["rawValue"], known.source.to_string());
        assert_eq!(cell(row, "destinationipaddress")["title"], known.destination.to_string());
        assert_eq!(cell(row, "commonport")["rawValue"], known.port);
        assert_eq!(cell(row, "sum_packetdeltacount")["rawValue"], known.packets.to_string());
        assert_eq!(cell(row, "first_flow_epoch")["rawValue"], known.first_flow.to_string());
        let (percent, peak) = (cell(row, "percenttotal"), cell(row, "rpt_man_peak"));
        let share = format!("{}.{:02} %", known.percent_hundredths / 100, known.percent_hundredths % 100);
        assert_eq!((&percent["rawValue"], &percent["title"]), (&Value::Null, &json!(share)));
        match known.peak {
            Some(most) => assert_eq!(peak["rawValue"], most.to_string()),
            None => assert_eq!(
                (&peak["rawValue"], &peak["title"], &peak["label"]),
                (&Value::Null, &json!("Value undefined"), &json!("NA"))
            ),
        }
    }
    let labels = |name: &str| rows.iter().map(|row| cell(row, name)["label"].to_string()).collect::<Vec<_>>();
    assert!(labels("destinationipaddress").iter().any(|label| label == "\"\""), "some labels are blank");
    assert!(truth.iter().any(|row| row.peak.is_none()) && truth.iter().any(|row| row.peak.is_some()));
}

#[tokio::test]
async fn counters_pass_the_limits_of_doubles_and_of_signed_numbers() {
    let sim = Sim::start(rich()).await;
    let end = instant(NOW);
    let all = sim.scrutinizer.conversations(Direction::Inbound, end - TimeDelta::hours(6), end);
    assert!(all.iter().any(|row| row.octets > i64::MAX.unsigned_abs()));
    assert!(all.iter().any(|row| row.octets > 1 << 53 && row.octets < 1 << 60 && !row.octets.is_multiple_of(4)));
}

#[tokio::test]
async fn labels_are_for_people() {
    let sim = Sim::start(rich()).await;
    let label = |rows: &[Value]| cell(&rows[0], "sum_octetdeltacount")["label"].clone();
    let total = sim.rows(&Form::page(0, 1), "inbound").await;
    assert_eq!(label(&total), truth(&sim)[0].octets);
    let normal = sim.rows(&Form::page(0, 1).with("dataFormat", json!({"selected": "normal"})), "inbound").await;
    assert!(label(&normal).as_str().unwrap().ends_with(" G"), "{normal:?}");
    assert_eq!(cell(&normal[0], "sum_octetdeltacount")["rawValue"], truth(&sim)[0].octets.to_string());
}

#[tokio::test]
async fn only_the_tables_that_are_selected_and_asked_for_come() {
    let sim = Sim::start(ScrutinizerConfig::default()).await;
    let limit = |rows: usize| json!({"table": {"query_limit": {"offset": "1", "max_num_rows": rows.to_string()}}});
    let both = Form { requested: json!({"inbound": limit(2), "outbound": limit(3)}), ..Form::page(0, 0) };
    let both = both.with("reportDirections", json!({"selected": "both"}));
    assert_eq!((sim.rows(&both, "inbound").await.len(), sim.rows(&both, "outbound").await.len()), (2, 3));
    assert_eq!(rank(&sim.rows(&both, "outbound").await[0]), "Rank: 2", "each pages separately");
    let other = sim.post(&Form::page(0, 5).with("reportDirections", json!({"selected": "outbound"}))).await;
    assert_eq!(other["report"]["table"], json!({}));
    let bare = Form { requested: json!({"inbound": {"table": {}}}), ..Form::page(0, 0) };
    assert_eq!(sim.rows(&bare, "inbound").await.len(), 10, "ten rows where none are asked for");
    let entry = sim.scrutinizer.requests()[0].clone();
    assert_eq!(entry.pages, [(Direction::Inbound, 1, 2), (Direction::Outbound, 1, 3)]);
    assert_eq!((entry.rows, entry.range), (5, Some(hour())));
}

#[tokio::test]
async fn the_url_may_carry_what_the_form_does_and_the_log_tells() {
    let sim = Sim::start(ScrutinizerConfig::default()).await;
    let get = |query: &str| format!("GET /fcgi/scrut_fcgi.fcgi?{query} HTTP/1.1\r\nHost: scrutinizer\r\n\r\n");
    let (_, _, body) = sim.exchange(&get(&Form::page(0, 3).encode())).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["report"]["table"]["inbound"]["rows"].as_array().unwrap().len(), 3);
    assert_eq!(answer["report"]["exporter_details"]["10.1.1.251"]["exporter_hex"], "0A0101FB");
    assert!(answer["report"]["request_id"].as_str().unwrap().starts_with("0x"));
    let (_, _, devices) = sim.exchange(&get(&format!("rm=get_known_objects&type=devices&authToken={TOKEN}"))).await;
    assert!(serde_json::from_str::<Value>(&devices).unwrap()[0]["ip"].is_string(), "a bare list: {devices}");
    assert!(sim.scrutinizer.requests().iter().all(|entry| entry.token_in_url));
    let (status, ..) = sim.exchange("GET /other HTTP/1.1\r\nHost: scrutinizer\r\n\r\n").await;
    assert_eq!(status, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn the_plain_port_redirects_to_https() {
    let sim = Sim::start(ScrutinizerConfig { https_only: true, ..ScrutinizerConfig::default() }).await;
    let (status, headers, _) =
        sim.exchange("GET /fcgi/scrut_fcgi.fcgi?a=1 HTTP/1.1\r\nHost: scrutinizer\r\n\r\n").await;
    assert_eq!(status, "HTTP/1.1 302 Found");
    assert!(headers.contains("Location: https://scrutinizer/fcgi/scrut_fcgi.fcgi?a=1"), "{headers}");
}

#[tokio::test]
async fn faults_strike_by_count() {
    let faults = Faults { every_nth_503: 2, ..Faults::default() };
    let sim = Sim::start(ScrutinizerConfig { faults, ..ScrutinizerConfig::default() }).await;
    let request = "GET /fcgi/scrut_fcgi.fcgi HTTP/1.1\r\nHost: scrutinizer\r\n\r\n";
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(sim.exchange(request).await.0);
    }
    assert_eq!(statuses, ["HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable", "HTTP/1.1 200 OK"]);
    assert_eq!((sim.scrutinizer.faults().injected(), sim.scrutinizer.requests().len()), (1, 2));
}
