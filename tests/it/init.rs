//! `tidegate init`: the file that it writes by one answer reads the whole list.

use std::fs;
use std::ops::Range;

use serde_json::{Value, json};

use crate::support::api::{Answer, Api, Request};
use crate::support::duck;
use crate::support::workspace::{Outcome, Workspace};

/// How many rows each list has.
const ROWS: usize = 57;

fn rows(range: Range<usize>) -> Value {
    range
        .filter(|id| *id < ROWS)
        .map(|id| json!({"name": format!("n{id}"), "id": id, "updated_at": "2026-01-01T00:00:00Z"}))
        .collect()
}

/// Serves the same rows, twenty a page, under a path for each way to page.
fn lists() -> Api {
    Api::start(|request: &Request| {
        let page = |from: usize| rows(from..from + 20);
        let (number, offset) = (request.number("page").max(1), request.number("offset"));
        let from = (number - 1) * 20;
        match request.path.as_str() {
            "/link/orders" if from + 20 < ROWS => {
                Answer::json(&page(from)).header("link", format!("</link/orders?page={}>; rel=\"next\"", number + 1))
            }
            "/link/orders" => Answer::json(&page(from)),
            "/odata/Orders" => {
                let from = request.number("$skip");
                let next = (from + 20 < ROWS).then(|| format!("/odata/Orders?$skip={}", from + 20));
                Answer::json(
                    &json!({"@odata.context": "x", "@odata.count": ROWS, "value": page(from), "@odata.nextLink": next}),
                )
            }
            "/cursor/orders" => {
                let from = request.number("cursor");
                let (next, more) = (from + 20, from + 20 < ROWS);
                Answer::json(
                    &json!({"data": {"orders": page(from)}, "meta": {"next_cursor": more.then(|| next.to_string()), "has_more": more}}),
                )
            }
            "/offset/orders" => Answer::json(&json!({"items": page(offset), "count": 20, "total": ROWS})),
            "/page/orders" => {
                Answer::json(&json!({"results": page(from), "page": number, "per_page": 20, "total": ROWS}))
            }
            "/after/orders" => {
                let from = request.query.get("starting_after").map_or(0, |id| id.parse::<usize>().unwrap() + 1);
                Answer::json(&json!({"data": page(from), "has_more": from + 20 < ROWS}))
            }
            "/all/orders.json" | "/slash/orders/" => Answer::json(&json!({"rows": rows(0..ROWS), "count": ROWS})),
            "/locked/orders"
                if request.headers.get("authorization").map(String::as_str) != Some("Bearer tok-en-tok-en") =>
            {
                Answer::json(&json!({"message": "who are you?"})).status(401)
            }
            "/bare/orders" | "/locked/orders" => Answer::json(&rows(0..ROWS)),
            path => panic!("{path}"),
        }
    })
}

fn init(workspace: &Workspace, arguments: &[&str]) -> Outcome {
    workspace.tidegate(&[&["init"], arguments].concat()).env("TOKEN", "tok-en-tok-en").run()
}

/// Each way to page: what `paginate` says, and that a run by the file lands all rows, known to be all where the server says so.
#[test]
fn a_file_by_one_answer_reads_the_whole_list() {
    let api = lists();
    let statuses = |request: &&Request| request.path.contains("bare") && request.query["status"] == "b c";
    for (path, paginate, verdict) in [
        ("link/orders", "{next_link: {header: link}}", "complete"),
        ("odata/Orders", "{next_link: {url: '.[\"@odata.nextLink\"]'}, total: '.[\"@odata.count\"]'}", "complete"),
        ("cursor/orders", "{cursor: {into: query.cursor, value: .meta.next_cursor}, more: .meta.has_more}", "complete"),
        (
            "offset/orders?offset=0&limit=50",
            "{offset: {into: query.offset, size_into: query.limit, size: 20}, total: .total}",
            "complete",
        ),
        ("page/orders", "{page: {into: query.page, size_into: query.per_page, size: 20}, total: .total}", "complete"),
        ("after/orders", "{cursor: {into: query.starting_after, value: $last.id}, more: .has_more}", "complete"),
        ("all/orders.json", "{none: true, total: .count}", "complete"),
        ("slash/orders/", "{none: true, total: .count}", "complete"),
        ("bare/orders?status=a&status=b%20c", "none", "unknown"),
        ("locked/orders", "none", "unknown"),
    ] {
        let workspace = Workspace::new();
        let url = format!("{}/{path}", api.url());
        let written = init(&workspace, &[&url, "--name", "shop", "--header", "Authorization: Bearer ${TOKEN}"]);
        assert_eq!((written.code, written.stderr.as_str()), (Some(0), ""), "{path}: {written:?}");
        let text = fs::read_to_string(workspace.path("shop.yaml")).unwrap();
        assert!(
            text.contains(&format!("    paginate: {paginate}\n")) && text.contains("    key: id\n"),
            "{path}: {text}"
        );
        assert!(text.contains("auth: {bearer: '${TOKEN}'}") && !text.contains("tok-en"), "{text}");
        let valid = workspace.tidegate(&["validate", "shop.yaml"]).env("TOKEN", "tok-en-tok-en").run();
        assert_eq!((valid.code, valid.stderr.as_str()), (Some(0), ""), "{path}: {valid:?}");
        let ran = workspace.tidegate(&["run", "shop.yaml", "--output", "json"]).env("TOKEN", "tok-en-tok-en").run();
        assert_eq!(ran.code, Some(0), "{path}: {ran:?}");
        assert!(ran.stdout.contains(&format!("\"verdict\": \"{verdict}\"")), "{path}: {ran:?}");
        let landed = workspace.path("lake/shop/orders/**/*.parquet");
        let sql = format!("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM read_parquet('{}')", landed.display());
        assert_eq!(duck::rows(&sql), [json!({"n": ROWS, "ids": ROWS})], "{path}");
    }
    assert_eq!(api.asked().iter().filter(statuses).count(), 2, "a list is sent as it was");
}

#[test]
fn what_was_learnt_is_told() {
    let (api, workspace) = (lists(), Workspace::new());
    let told =
        init(&workspace, &[&format!("{}/cursor/orders", api.url()), "--header", "Authorization: Bearer ${TOKEN}"]);
    insta::assert_snapshot!(told.stdout, @"
    records    .data.orders[]: 20 records of 3 fields
    key        id, which differs in each
    paginate   {cursor: {into: query.cursor, value: .meta.next_cursor}, more: .meta.has_more}
               .meta.next_cursor is a token for the next page; .meta.has_more is true

    CHECK that the next page is asked for by the parameter `cursor`: a guess by the name of .meta.next_cursor

    api.yaml is written. Read it, then:

      tidegate preview api.yaml orders
      tidegate run api.yaml
    ");
    insta::assert_snapshot!(workspace.redact(&fs::read_to_string(workspace.path("api.yaml")).unwrap()), @"
    # Written by `tidegate init`, by one answer to GET /cursor/orders
    # Read it before you run it: lines with CHECK are guesses, or left to do. docs/pipeline.md explains each key.
    version: 1
    name: api

    source:
      base_url: http://127.0.0.1:[PORT]/cursor
      auth: {bearer: '${TOKEN}'}

    jobs:
      orders:
        get: /orders
        # The whole list in each run, in place of the one before. Where the API can be asked for a time, `window` reads that alone, and where it
        # can be asked for what comes after an id or a time, `incremental` does.
        snapshot: latest
        # Times of a record: `updated_at`.
        # .meta.next_cursor is a token for the next page; .meta.has_more is true.
        # CHECK that the next page is asked for by the parameter `cursor`: a guess by the name of .meta.next_cursor.
        paginate: {cursor: {into: query.cursor, value: .meta.next_cursor}, more: .meta.has_more}
        records: .data.orders[]
        key: id
        sinks:
          lake: {parquet: {url: '${LAKE:-./lake}/api/orders'}}
    ");
    let url = format!("{}/cursor/orders", api.url());
    let json = init(&workspace, &[&url, "--out", "b.yaml", "--output", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["found"]["records"], ".data.orders[]");
    assert_eq!(json["text"], fs::read_to_string(workspace.path("b.yaml")).unwrap());
    let printed = init(&workspace, &[&url, "--out", "-"]);
    assert_eq!(printed.stdout, json["text"].as_str().unwrap());
}

#[test]
fn without_a_url_there_is_a_file_to_change() {
    let workspace = Workspace::new();
    let written = init(&workspace, &[]);
    assert_eq!((written.code, written.stderr.as_str()), (Some(0), ""));
    assert!(written.stdout.contains("tidegate validate pipeline.yaml"), "{written:?}");
    let valid = workspace.tidegate(&["validate", "pipeline.yaml"]).env("SHOP_TOKEN", "tok-en-tok-en").run();
    assert_eq!((valid.code, valid.stderr.as_str()), (Some(0), ""), "{valid:?}");
}

/// Nothing is overwritten, nothing is sent in vain, and no secret gets into a file.
#[test]
fn what_cannot_be_written_is_refused() {
    let (api, workspace) = (lists(), Workspace::new());
    workspace.write("pipeline.yaml", "mine");
    let url = format!("{}/bare/orders", api.url());
    let with_user = url.replace("://", "://ann:secret@");
    let refused = |arguments: &[&str], code: i32| {
        let outcome = init(&workspace, arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(code), ""), "{arguments:?}: {outcome:?}");
        workspace.redact(&outcome.stderr)
    };
    let told = [
        refused(&[], 2),
        refused(&[&url, "--out", "pipeline.yaml"], 2),
        refused(&["api.example.com/orders"], 2),
        refused(&["ftp://api.example.com/orders"], 2),
        refused(&[&with_user], 2),
        refused(&[&url, "--header", "Authorization: Bearer hunter2hunter2"], 2),
        refused(&[&url, "--header", "X-Nothing"], 2),
        refused(&[&url, "--header", "PRIVATE-TOKEN: hunter2hunter2"], 2),
        refused(&[&format!("{url}?sig=hunter2hunter2")], 2),
        refused(&[&format!("{url}?q={{{{now}}}}")], 2),
        refused(&[&format!("{url}?q=%24%7BHOME%7D")], 2),
        refused(&[&url, "--basic", "ann:${TOKEN}", "--header", "X-Key: ${TOKEN}"], 2),
        refused(&[&format!("{}/locked/orders", api.url()), "--basic", "ann:${TOKEN}"], 1),
        refused(&[&url, "--out", "no/such/folder.yaml"], 2),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    error: pipeline.yaml is there already, and stays as it is: name another file by --out

    error: pipeline.yaml is there already, and stays as it is: name another file by --out

    error: `api.example.com/orders` isn't a URL (relative URL without a base): write all of it, such as 'https://api.example.com/v1/orders?limit=100'

    error: `ftp://api.example.com/orders` doesn't begin with http:// or https://: write all of it, such as 'https://api.example.com/v1/orders?limit=100'

    error: the URL holds a user or a password: give them by --basic 'USER:${PASSWORD}', where the shell leaves ${PASSWORD} as it is

    error: `Authorization` looks like a secret, which isn't written into a file: put it into a variable of the environment, and write --header 'Authorization: ${NAME}'

    error: the header `X-Nothing` has no colon: write --header 'NAME: VALUE'

    error: `PRIVATE-TOKEN` looks like a secret, which isn't written into a file: put it into a variable of the environment, and write --header 'PRIVATE-TOKEN: ${NAME}'

    error: `sig` looks like a secret, which isn't written into a file: put it into a variable of the environment, and write sig=${NAME} in the URL, in single quotes

    error: the URL has {{, {%, {# or ${ in it, which pipeline files evaluate: leave it out, and write it into the file

    error: the URL has {{, {%, {# or ${ in it, which pipeline files evaluate: leave it out, and write it into the file

    error: there are two credentials: give one of them, and write the other into the file

    error: the server refused the credential, so no job sends it again in this run; the first refusal: GET /locked/orders: status 401 after 1 try: the server refused the credential; body: {"message":"who are you?"}; check auth, and that the account isn't locked out

    error: no/such/folder.yaml can't be written: No such file or directory (os error 2)
    "#);
    assert_eq!(fs::read_to_string(workspace.path("pipeline.yaml")).unwrap(), "mine");
    let files: Vec<_> = fs::read_dir(workspace.path("")).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["pipeline.yaml"]);
    assert_eq!(
        api.asked().iter().filter(|request| request.path == "/bare/orders").count(),
        1,
        "the one whose folder is missing"
    );
}

#[test]
fn a_full_disk_leaves_no_half_of_a_file() {
    let workspace = Workspace::new();
    let full = workspace.tidegate(&["init"]).with_small_files(1).run();
    assert_eq!(full.code, Some(2), "{full:?}");
    assert!(full.stderr.contains("pipeline.yaml can't be written"), "{full:?}");
    assert_eq!(init(&workspace, &[]).code, Some(0), "nothing is in the way");
}
