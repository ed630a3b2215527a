//! Salesforce: the path of the next page, `done`, the total, and a list for an error.
//! <https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_query.htm>

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Example, Once, minutes_after, refuse};
use crate::support::api::{Answer, Api, Request};

const START: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-01-03T03:15:00Z";

/// Accounts that changed every half minute, or so.
fn accounts(count: i64) -> Vec<Value> {
    let printed = |at| minutes_after(START, at).format("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
    let account = |n: i64| {
        let id = format!("001000000{n:06}AAA");
        json!({"attributes": {"type": "Account", "url": format!("/services/data/v62.0/sobjects/Account/{id}")}, "Id": id,
            "Name": format!("Account {n}"), "Type": null, "Industry": null, "OwnerId": "005000000000001AAA", "IsDeleted": n % 100 == 0,
            "AnnualRevenue": if n % 2 == 0 { json!(null) } else { json!(1_000_000.5) },
            "CreatedDate": printed(n / 2 - 90_000), "SystemModstamp": printed(n / 2)})
    };
    (0..count).map(account).collect()
}

/// Queries that have been begun: their rows, by the locator.
type Locators = Mutex<Vec<Vec<Value>>>;

fn page(locator: usize, rows: &[Value], at: usize, size: usize) -> Answer {
    let end = (at + size).min(rows.len());
    let mut body = json!({"totalSize": rows.len(), "done": end == rows.len(), "records": rows[at..end]});
    if end < rows.len() {
        body["nextRecordsUrl"] = json!(format!("/services/data/v62.0/query/01g{locator:012}-{end}"));
    }
    Answer::json(&body)
}

fn query(request: &Request, accounts: &[Value], locators: &Locators) -> Answer {
    assert_eq!(request.headers["sforce-query-options"], "batchSize=2000");
    if let Some(rest) = request.path.strip_prefix("/services/data/v62.0/query/01g") {
        assert!(request.query.is_empty(), "a locator takes no parameters");
        let (locator, at) = rest.split_once('-').unwrap();
        let locator: usize = locator.parse().unwrap();
        return page(locator, &locators.lock().unwrap()[locator], at.parse().unwrap(), 2000);
    }
    assert_eq!(request.path, "/services/data/v62.0/queryAll");
    let soql = &request.query["q"];
    let words: Vec<&str> = soql.split(' ').collect();
    let edge = |operator: &str| {
        words[words.iter().position(|word| *word == operator).unwrap() + 1].trim_end_matches('Z').to_owned()
    };
    let (from, to) = (edge(">="), edge("<"));
    assert!(soql.starts_with("SELECT Id, Name, ") && soql.ends_with(" ORDER BY Id"), "{soql}");
    let inside = |row: &&Value| {
        let changed = &row["SystemModstamp"].as_str().unwrap()[..19];
        changed >= from.as_str() && changed < to.as_str()
    };
    let rows: Vec<Value> = accounts.iter().filter(inside).cloned().collect();
    let mut locators = locators.lock().unwrap();
    locators.push(rows);
    page(locators.len() - 1, &locators[locators.len() - 1], 0, 2000)
}

fn example(accounts: &Arc<Mutex<Vec<Value>>>) -> Example {
    let (accounts, locators) = (Arc::clone(accounts), Locators::default());
    let (expired, torn, tokens) = (Once::new(), Once::new(), Mutex::new(0));
    let api = Api::start(move |request| {
        if request.path == "/services/oauth2/token" {
            let form = request.form();
            if form["client_secret"] != "secret-of-the-app" {
                return refuse(
                    400,
                    &json!({"error": "invalid_client", "error_description": "invalid client credentials"}),
                );
            }
            let mut tokens = tokens.lock().unwrap();
            *tokens += 1;
            // There is no `expires_in`: a session ends when the org's settings say so.
            return Answer::json(
                &json!({"access_token": format!("00D!{tokens}"), "token_type": "Bearer", "instance_url": "https://x"}),
            );
        }
        let is_next = request.path.contains("/query/");
        if expired.now(is_next)
            || request.headers.get("authorization") != Some(&format!("Bearer 00D!{}", tokens.lock().unwrap()))
        {
            *tokens.lock().unwrap() += 100;
            return refuse(401, &json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]));
        }
        let answer = query(request, &accounts.lock().unwrap(), &locators);
        if torn.now(is_next) { answer.torn() } else { answer }
    });
    let env = [
        ("SALESFORCE_CLIENT_ID", "app"),
        ("SALESFORCE_CLIENT_SECRET", "secret-of-the-app"),
        ("SALESFORCE_START", START),
    ];
    Example::new("salesforce", "SALESFORCE_URL", api, &env)
}

#[test]
fn changed_accounts_of_each_day() {
    let all = Arc::new(Mutex::new(accounts(6000)));
    let example = example(&all);
    insta::assert_snapshot!(example.plan("2026-01-02T00:15:00Z"), @"
    accounts: 1 slice due
      2026-01-01 00:00 to 2026-01-02 00:00
        GET /services/data/v62.0/queryAll?q=SELECT%20Id%2C%20Name%2C%20Type%2C%20Industry%2C%20AnnualRevenue%2C%20OwnerId%2C%20IsDeleted%2C%20CreatedDate%2C%20SystemModstamp%20FROM%20Account%20WHERE%20SystemModstamp%20%3E%3D%202026-01-01T00%3A00%3A00Z%20AND%20SystemModstamp%20%3C%202026-01-02T00%3A00%3A00Z%20ORDER%20BY%20Id
    ");
    insta::assert_snapshot!(example.run(NOW).fine(), @"
    20260101T000000Z landed: 2880 of 2880; complete
    20260102T000000Z landed: 2880 of 2880; complete
    ");
    let count = "SELECT changed_day, count(*) AS n, count(DISTINCT id) AS ids, count_if(is_deleted) AS deleted, sum(annual_revenue) AS revenue
                 FROM {set} GROUP BY 1 ORDER BY 1";
    insta::assert_snapshot!(example.show("salesforce/accounts", count), @r#"
    {"changed_day":"2026-01-01","n":2880,"ids":2880,"deleted":29,"revenue":"1440000720.00"}
    {"changed_day":"2026-01-02","n":2880,"ids":2880,"deleted":29,"revenue":"1440000720.00"}
    "#);

    // The next night: two of the first day have changed again, and so have the last ones.
    let mut later = accounts(6000);
    for account in &mut later[10..12] {
        account["SystemModstamp"] = json!("2026-01-03T12:00:00.000+0000");
        account["Name"] = json!("Renamed");
    }
    *all.lock().unwrap() = later;
    insta::assert_snapshot!(example.run("2026-01-04T03:15:00Z").fine(), @"20260103T000000Z landed: 242 of 242; complete");
    let present = "SELECT name = 'Renamed' AS renamed, count(*) AS n
                   FROM (SELECT * FROM {set} QUALIFY row_number() OVER (PARTITION BY id ORDER BY changed DESC) = 1) GROUP BY 1 ORDER BY 1";
    insta::assert_snapshot!(example.show("salesforce/accounts", present), @r#"
    {"renamed":false,"n":5998}
    {"renamed":true,"n":2}
    "#);
    example.recorded(NOW);
}
