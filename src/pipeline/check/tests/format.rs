//! The format of answers, and what it leaves of the rest of a job.

use super::{say, say_landing};

/// As [`say_landing`], for a job that lands a page of this format.
fn say_of(format: &str, lines: &str) -> String {
    say_landing(&format!("    snapshot: daily\n    format: {format}\n{lines}"))
}

#[test]
fn formats_that_are_fine() {
    for format in
        ["json", "jsonl", "{csv: {}}", "{csv: {delimiter: '|', header: false}}", "{csv: {delimiter: \"\\t\"}}"]
    {
        for records in ["'.[]'", "'.[]?'", "'.[] | select(.ok)'"] {
            assert_eq!(say_of(format, &format!("    records: {records}\n")), "", "{format} {records}");
        }
    }
    let shared = "version: 1\nname: x\nsource: {base_url: 'http://h', format: jsonl, success: '.rc == 0'}\njobs:\n  a: {get: /x, format: json, paginate: none, records: '.rows[]', snapshot: daily, sinks: {l: {jsonl: {url: ./l}}}}\n";
    assert_eq!(say(shared), "", "a job's own format wins");
    assert_eq!(say_of("jsonl", "    records: '.[]'\n    success: '$headers[\"x-rows\"] != null'\n"), "");
    assert_eq!(say_of("{csv: {}}", "    records: '.[]'\n    success: . == null\n    error_message: .error.text\n"), "");
}

#[test]
fn records_that_find_nothing() {
    insta::assert_snapshot!(say_of("jsonl", "    records: '.rows[]'\n"), @r"
    error: a page of `jsonl` is the list of its lines' documents, so `.rows[]` finds nothing
     --> p.yaml:8:14
      |
    8 |     records: '.rows[]'
      |              ^^^^^^^^^
      |
      = help: write `.[]` for one record each, or a jq program that begins with `.[]`
    ");
    insta::assert_snapshot!(say_of("{csv: {}}", "    records: ['.[]', '.rows[]?']\n"), @r"
    error: a page of `csv` is the list of its rows, so `.rows[]?` finds nothing
     --> p.yaml:8:22
      |
    8 |     records: ['.[]', '.rows[]?']
      |                      ^^^^^^^^^^
      |
      = help: write `.[]` for one record each, or a jq program that begins with `.[]`
    ");
    insta::assert_snapshot!(say_of("jsonl", "    records: .\n"), @r"
    error: `.` is the whole page, the list of its lines' documents
     --> p.yaml:8:14
      |
    8 |     records: .
      |              ^
      |
      = help: write `.[]` for one record each, or a jq program that begins with `.[]`
    ");
}

#[test]
fn what_a_page_leaves_out_is_told_by_its_header() {
    assert_eq!(say_of("{csv: {sparse: true}}", "    records: '.[]'\n"), "");
    let said = say_of("{csv: {header: false, sparse: true}}", "    records: '.[]'\n");
    assert!(said.contains("without a header nothing tells which columns a page leaves out"), "{said}");
}

#[test]
fn delimiters_that_are_none() {
    for text in ["''", "','", "'\\t'", "'\"'", "é"] {
        let said = say_of(&format!("{{csv: {{delimiter: {text}}}}}"), "    records: '.[]'\n");
        assert_eq!(said.is_empty(), text == "','", "{text}: {said}");
    }
    insta::assert_snapshot!(say_of("{csv: {delimiter: '||'}}", "    records: '.[]'\n"), @r#"
    error: `||` can't stand between two cells
     --> p.yaml:7:31
      |
    7 |     format: {csv: {delimiter: '||'}}
      |                               ^^^^
      |
      = help: write one ASCII character, such as ',' or '|' or a tab ("\t")
    "#);
}

#[test]
fn expressions_over_a_page_that_is_nothing_but_records() {
    insta::assert_snapshot!(say_of("jsonl", "    records: '.[]'\n    success: .rc == 0\n    paginate: {cursor: {into: query.c, value: .next}}\n"), @r"
    error: no page passes `success`: it sees null of a page that is nothing but records
     --> p.yaml:9:14
      |
    9 |     success: .rc == 0
      |              ^^^^^^^^
      |
      = help: let it be true for null, such as `. == null`; or make `records` a jq program: then it sees the list

    error: there is no `.next`: a page that is nothing but records has nothing beside them
      --> p.yaml:10:47
       |
    10 |     paginate: {cursor: {into: query.c, value: .next}}
       |                                               ^^^^^
       |
       = help: use `$rows` (how many), `$first` or `$last` (one record) or `$headers`, or make `records` a jq program: then the whole list is seen
    ");
    assert_eq!(
        say_of(
            "jsonl",
            "    records: '.[]'\n    paginate: {cursor: {into: query.c, value: '$last.next'}, total: '$headers[\"x-total\"]'}\n"
        ),
        ""
    );
    assert_eq!(
        say_of("jsonl", "    records: '.[] | .rows[]'\n    paginate: {cursor: {into: query.c, value: '.[-1].next'}}\n"),
        ""
    );
}

#[test]
fn columns_that_no_cell_can_hold() {
    let columns = "    records: '.[]'\n    schema: {columns: {at: timestamp(s), tags: list<string>}}\n";
    insta::assert_snapshot!(say_of("{csv: {}}", columns), @r"
    error: `tags` is a cell of `csv`, which can't hold a list or a struct
     --> p.yaml:9:48
      |
    9 |     schema: {columns: {at: timestamp(s), tags: list<string>}}
      |                                                ^^^^^^^^^^^^
      |
      = help: type it as `json` or `string`, and read it in `transform`
    ");
    assert_eq!(say_of("jsonl", columns), "");
}

#[test]
fn an_expression_that_gives_the_same_for_every_page_is_refused() {
    for value in ["last", ".[-1].id", "length", ". as $all | $all[-1]"] {
        let said = say_of(
            "jsonl",
            &format!("    records: '.[]'\n    paginate: {{cursor: {{into: query.c, value: '{value}'}}}}\n"),
        );
        // A name that the program binds itself may be one of the page's: it isn't looked through.
        let bound = value.contains('$');
        assert_eq!(said.contains("sees nothing of a page that is nothing but records"), !bound, "{value}: {said}");
    }
    let said = say_of("jsonl", "    records: '.[]'\n    paginate: {cursor: {into: query.c, value: 'last.id'}}\n");
    assert!(said.contains("there is no `.id`"), "{said}");
    for value in ["$last.id", "$last | .id", "$headers.next", "if $rows == 0 then null else $last.id end"] {
        let said = say_of(
            "jsonl",
            &format!("    records: '.[]'\n    paginate: {{cursor: {{into: query.c, value: '{value}'}}}}\n"),
        );
        assert!(!said.contains("nothing but records"), "{value}: {said}");
    }
}
