use serde_json::json;

use super::*;

fn run(program: &str, input: &Value) -> Vec<Value> {
    Jq::compile(program, &[]).unwrap().values(input, &[]).unwrap()
}

fn refused(program: &str, vars: &[&str]) -> JqError {
    Jq::compile(program, vars).unwrap_err()
}

#[test]
fn programs_run_and_keep_their_order() {
    let input = json!({"rsp": {"records": [{"b": 1, "a": 2}, {"a": null}]}, "rc": 0});
    assert_eq!(run(".rsp.records[] | .a", &input), [json!(2), json!(null)]);
    assert_eq!(run(".rsp.records[0] | keys_unsorted", &input), [json!(["b", "a"])]);
    assert_eq!(run("[range(5)] + [range(4; 0; -2)]", &json!(null)), [json!([0, 1, 2, 3, 4, 4, 2])]);
    assert_eq!(
        run(
            "[limit(3; repeat(1))], ([1,[2]] | flatten), (\"2026-01-01 00:00:00\" | strptime(\"%Y-%m-%d %H:%M:%S\") | mktime)",
            &json!(null)
        ),
        [json!([1, 1, 1]), json!([1, 2]), json!(1_767_225_600)]
    );
    assert_eq!(
        run("(.rsp.records[] | select(.a == 2) | .a) |= . + 1 | del(.rc) | [paths(type == \"number\")]", &input),
        [json!([["rsp", "records", 0, "b"], ["rsp", "records", 0, "a"]])]
    );
}

/// What jq has and jaq leaves out. What each gives is what jq 1.8 gives.
#[test]
fn filters_that_jaq_lacks() {
    for (program, input, expected) in [
        (".[] | select(IN(2, 3))", json!([1, 2, 3]), vec![json!(2), json!(3)]),
        ("IN(.[]; 7, 3), IN(.[]; 9)", json!([1, 3]), vec![json!(true), json!(false)]),
        ("IN(.a; .b)", json!({"a": 1, "b": 1}), vec![json!(true)]),
        (
            "INDEX(.id)",
            json!([{"id": 1}, {"id": "x", "n": 2}]),
            vec![json!({"1": {"id": 1}, "x": {"id": "x", "n": 2}})],
        ),
        ("INDEX(.a[]; .)", json!({"a": [true]}), vec![json!({"true": true})]),
        ("toarray, (.[0] | toarray)", json!([5]), vec![json!([5]), json!([5])]),
        (r#"trimstr("ab")"#, json!("abcab"), vec![json!("c")]),
        ("map(ascii) | add", json!([72, 105]), vec![json!("Hi")]),
    ] {
        assert_eq!(run(program, &input), expected, "{program}");
    }
}

#[test]
fn the_programs_of_the_design_compile() {
    let vars = ["status", "headers", "direction", "last"];
    for program in [
        r#"$status == 302 and ($headers.location | contains("login.lua"))"#,
        ".rc == 0",
        ".report.table[$direction].rows[] | map(select(.dataJson) | {(.dataJson | fromjson.column): (.rawValue // .title)}) | add",
        r#".error_code as $c | ([3001, 3002, 3003, 3004] | any(. == $c)) or ($c == null and ((.error // "") | contains("Permission denied")))"#,
        r#"[.data[].time_series | map(.[0] | strptime("%Y-%m-%d %H:%M:%S") | mktime) | [.[1:], .[:-1]] | transpose[] | .[0] - .[1]] | min"#,
        ".data | to_entries[] | .key as $uuid | .value as $a | $a.time_series[] | {appliance_uuid: $uuid, appliance_type: $a.appliance_type, ts: .[0], value: .[1]}",
        ". == [] or . == {}",
        "$last.row_id",
    ] {
        Jq::compile(program, &vars).unwrap_or_else(|error| panic!("{program}: {error}"));
    }
}

#[test]
fn variables_come_in_the_order_of_their_names() {
    let program = Jq::compile("[$a, $b, .]", &["a", "b"]).unwrap();
    assert_eq!(program.one(&json!(3), &[json!(1), json!({"x": [2.5]})]).unwrap(), json!([1, {"x": [2.5]}, 3]));
    assert_eq!(program.one(&json!(3), &[]), Err(JqRunError::Variables { expected: 2, got: 0 }));
    assert_eq!(run("def f($x): $x + 1; . as $y | f($y)", &json!(1)), [json!(2)]);
}

#[test]
fn one_and_truthy() {
    let empty = Jq::compile("empty", &[]).unwrap();
    assert_eq!(empty.one(&json!(1), &[]).unwrap(), json!(null));
    assert!(!empty.truthy(&json!(1), &[]).unwrap());
    assert!(Jq::compile(".", &[]).unwrap().truthy(&json!(0), &[]).unwrap());
    assert!(Jq::compile("1, error", &[]).unwrap().truthy(&json!(0), &[]).unwrap());
}

#[test]
fn mistakes_say_where_and_what_exists() {
    let error = refused(".a | $rosw", &["rows", "status"]);
    assert_eq!(
        (error.offset, error.message.as_str()),
        (5, "there is no variable `$rosw`: there are `$rows`, `$status`")
    );
    assert_eq!(refused("$x", &[]).message, "there is no variable `$x`: no variable can be used here");
    let error = refused(".a | lenght", &[]);
    assert_eq!((error.offset, error.message.as_str()), (5, "there is no filter `lenght`: did you mean `length`?"));
    let error = refused(".a | map(.; .)", &[]);
    assert!(error.message.starts_with("there is no filter `map` with 2 argument(s)"), "{error}");
    let error = refused(".a |", &[]);
    assert_eq!((error.offset, error.message.as_str()), (4, "expected term, found the end of the program"));
    let error = refused(".a ] b", &[]);
    assert_eq!((error.offset, error.message.as_str()), (3, "expected token, found `]`"));
    assert_eq!(refused("(.a", &[]).message, "expected closing parenthesis, found the end of the program");
    assert_eq!(refused(&"[".repeat(200), &[]).offset, 100);
    assert!(refused("", &[]).message.starts_with("expected term"));
}

#[test]
fn nothing_but_the_input_can_be_seen() {
    for name in
        ["env", "now", "halt", "halt_error", "debug", "stderr", "input", "inputs", "input_filename", "localtime"]
    {
        let error = refused(name, &[]);
        assert!(error.message.contains("can't be used"), "{name}: {error}");
    }
    for program in
        ["$ENV", "$__prog_args", "import \"a\" as a; .", "include \"a\"; .", "halt(1)", "debug(1)", "debug_empty"]
    {
        refused(program, &[]);
    }
}

#[test]
fn a_program_that_never_ends_is_stopped() {
    for program in [
        "try (reduce range(0; infinite) as $x (0; .)) catch 1",
        "[repeat(1)]",
        "def f: f; f",
        "first(range(0; infinite) | select(. < 0))",
        "last(range(1e9))",
        "1 | until(. < 0; . + 1)",
        "foreach range(0; infinite) as $x (0; . + 1; empty)",
        "recurse",
    ] {
        let result = Jq::bounded(program, &[], 2000).unwrap().values(&json!({"a": [1]}), &[]);
        match program {
            "recurse" => assert_eq!(result.unwrap().len(), 3),
            _ => assert_eq!(result, Err(JqRunError::Endless { steps: 2001 }), "{program}"),
        }
    }
}

#[test]
fn a_program_that_calls_itself_too_deep_is_stopped() {
    let program = Jq::compile("def f: 1 + f; try f catch 2", &[]).unwrap();
    assert_eq!(program.values(&json!(null), &[]), Err(JqRunError::TooDeep));
}

#[test]
fn big_numbers_keep_their_digits() {
    let program = Jq::compile(".[] | {n: .}", &[]).unwrap();
    let body = br#"[123456789012345678901234567890, 18446744073709551615, 1.10, -9007199254740993, 1e3, "\u00e9\n"]"#;
    assert_eq!(
        program.run_on_bytes(body, &[]).unwrap(),
        [
            r#"{"n":123456789012345678901234567890}"#,
            r#"{"n":18446744073709551615}"#,
            r#"{"n":1.10}"#,
            r#"{"n":-9007199254740993}"#,
            r#"{"n":1e3}"#,
            r#"{"n":"é\n"}"#,
        ]
    );
    assert_eq!(run(".", &json!(u64::MAX)), [json!(u64::MAX)]);
    let big = Jq::compile("18446744073709551615 * 10", &[]).unwrap().one(&json!(null), &[]);
    assert!(matches!(big, Err(JqRunError::NotJson { .. })), "{big:?}");
}

#[test]
fn what_json_cannot_hold_is_an_error() {
    for program in ["nan", "infinite", "{(1|tostring): 1} | with_entries(.key |= tonumber)", "[255] | tobytes"] {
        let error = Jq::compile(program, &[]).unwrap().values(&json!(null), &[]).unwrap_err();
        assert!(matches!(error, JqRunError::NotJson { .. }), "{program}: {error}");
    }
    let error = Jq::compile(".", &[]).unwrap().run_on_bytes(b"{\"a\": nan}", &[]).unwrap_err();
    assert!(matches!(error, JqRunError::Input { .. }));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = Jq::compile(".", &[]).unwrap().run_on_bytes(deep.as_bytes(), &[]).unwrap_err();
    assert!(matches!(error, JqRunError::Input { .. }));
}

#[test]
fn a_program_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&Jq::compile(".", &[]).unwrap());
}

#[test]
fn variables_are_found_wherever_they_stand() {
    assert_eq!(variables("$last.sort"), ["last"]);
    assert_eq!(variables(r#".a | if .b then "\($first.x)" else [$rows, {c: $last}] end"#), ["first", "last", "rows"]);
    assert_eq!(variables(".last | .[.rows]"), [] as [&str; 0]);
    assert_eq!(variables("not jq ]"), [] as [&str; 0]);
}

#[test]
fn the_key_whose_value_a_program_gives_is_known() {
    for gives in ["$last.id", " $last[\"id\"] ", "$last.id | tostring", "$last.id? | tonumber"] {
        assert_eq!(key_of(gives, "last").as_deref(), Some("id"), "{gives}");
    }
    for other in [
        "$last",
        "$last.id.at",
        "$first.id",
        ".id",
        "$last.id / 1000",
        "$last.id | floor",
        "$last.id // 1",
        "$last.id ]",
    ] {
        assert_eq!(key_of(other, "last"), None, "{other}");
    }
}

#[test]
fn root_paths_are_found() {
    let paths = |text| root_paths(text).into_iter().map(|keys| keys.join("/")).collect::<Vec<_>>();
    assert_eq!(paths(".rsp.records | length"), ["rsp/records"]);
    assert_eq!(paths(".rsp | .records[0].id"), ["rsp/records"]);
    assert_eq!(paths(". as $b | $b.rsp[\"records\"] | length"), ["rsp/records"]);
    assert_eq!(paths(".offset // .Offset"), ["Offset", "offset"]);
    assert_eq!(paths("{next: .a.b, c}"), ["a/b", "c"]);
    assert_eq!(paths("$last.row_id"), Vec::<String>::new());
    assert_eq!(paths(". == []"), [""]);
    assert_eq!(paths("if .a? then \"\\(.b)\" else [.c[]] end"), ["a", "b", "c"]);
    let keys = ["rsp".to_owned(), "records".to_owned()];
    assert!(reaches_into(".rsp.records | length", &keys));
    assert!(reaches_into(".rsp.records[-1].id", &keys));
    assert!(!reaches_into(".rsp | length", &keys));
    assert!(!reaches_into(".rsp.total", &keys));
    assert!(!reaches_into(".", &[]));
    let rows = ["rows".to_owned()];
    for reaches in [
        "if .error then {rows: []} end | .rows | length == 2",
        ".n = 1 | (.rows | length) == 2",
        "(.n |= 1) as $d | ($d.rows | length) == 2",
        "[.n, (.n |= 1)][1] | .rows | length == 2",
        ".n += 1 | .rows",
        ".n //= 1 | .rows",
        "{r: .} | .r.rows",
        "(. + {}) | .rows",
        "first(.) | .rows",
        "def f: .rows; . | f",
        "def f(g): g | .rows; f(.)",
        "to_entries | from_entries | .rows",
        "reduce .x as $x (.; .rows)",
        "foreach .x as $x (.; .; .rows)",
        "{d: .} as {d: $d} | $d.rows",
        "[.] as [$d] | $d.rows",
        "try error catch .rows",
        "tojson | fromjson | .rows",
        "\"\\(.)\" | fromjson | .rows",
        "(.a // .) | .rows",
        "label $l | ., break $l | .rows",
        "with_entries(.) | .rows | length",
    ] {
        assert!(reaches_into(reaches, &rows), "{reaches}: {:?}", root_paths(reaches));
    }
    for apart in [
        ".total",
        ".meta | keys",
        ".links | map(select(.rel == \"next\")) | .[0].href",
        "{total: .n} | .total",
        ".a.rows",
    ] {
        assert!(!reaches_into(apart, &rows), "{apart}: {:?}", root_paths(apart));
    }
}

#[test]
fn a_list_is_taken_apart_item_by_item() {
    let vars = ["status", "kind"];
    let values = [json!(200), json!("a b")];
    let keys = |program: &str| Jq::compile(program, &vars).unwrap().items(&values).map(|keys| keys.join("/"));
    for (program, expected) in [
        (".rsp[$kind].\"c\"[] | map(.x) | add", Some("rsp/a b/c")),
        (".[]", Some("")),
        (".rsp[$kind][]", Some("rsp/a b")),
        // Each of these may say something about the list as a whole, or doesn't begin with one.
        (".a[] as $x | $x", None),
        (".a[][] | .x", None),
        (".a[]? | .x", None),
        (".a?[] | .x", None),
        (".a[1:][] | .x", None),
        (".a[] , .b", None),
        (".a[$status][]", None),
        ("[.a[] | .x]", None),
        ("$kind[] | .x", None),
    ] {
        assert_eq!(keys(program).as_deref(), expected, "{program}");
    }
    let counted = |program: &str| Jq::compile(program, &vars).unwrap().counted(&values);
    assert_eq!(counted(".a[$kind] | length"), Some(vec!["a".to_owned(), "a b".to_owned()]));
    assert_eq!((counted(".a | length | . + 1"), counted(".a[] | length"), counted("length")), (None, None, None));
}

#[test]
fn items_give_what_the_whole_gives() {
    let items = [r#"{"x": 1.10, "t": "[1, 2]"}"#, "null", r#"{"x": 18446744073709551616, "y": [true]}"#, "[]"];
    let whole = format!(r#"{{"l": [{}]}}"#, items.join(", "));
    for program in [
        ".l[]",
        ".l[] | .x?",
        ".l[] | .x",
        ".l[] | [.] | map(select(.)) | add",
        ".l[] | (.t | fromjson)?, $v, .",
        ".l[] | def f: if . > 9 then . else . + 1 | f end; 0 | f",
        ".l[] | error(\"no\")",
        ".l[] | limit(1; .[]?)",
        ".l[] | nan",
    ] {
        let program = Jq::compile(program, &["v"]).unwrap();
        let vars = [json!({"k": [1]})];
        assert!(program.items(&vars).is_some(), "{program:?}");
        assert_eq!(program.run_on_items(&items, &vars), program.run_on_bytes(whole.as_bytes(), &vars), "{program:?}");
    }
    let endless = Jq::bounded(".[] | 0 | until(. > 9; . + 1)", &[], 25).unwrap();
    assert_eq!(endless.run_on_items(&["1"], &[]).unwrap(), ["10"]);
    let error = endless.run_on_items(&["1", "2", "3"], &[]).unwrap_err();
    assert!(matches!(error, JqRunError::Endless { .. }), "the steps of all items count: {error}");
}

#[test]
fn a_list_is_hidden_from_programs_that_look_elsewhere() {
    let records = Jq::compile(".report.table[$v].rows[] | .x", &["v"]).unwrap();
    for other in [
        "(.err // .report.error) == null",
        "$v == 200",
        ".report.table2 | length",
        ".report[\"total\"] | tonumber",
        "if .report.ok then .report.total else .total end",
        "true",
        ".report as $r | .total",
    ] {
        assert!(records.hides_items_from(other), "{other}: {:?}", root_paths(other));
    }
    for other in [
        ".",
        ".report",
        ".report.table.inbound | length",
        ".report.table[\"inbound\"].rows[0].x",
        ".. | .error? // empty",
        "to_entries | length",
        "getpath([\"report\", \"table\"])",
        "[paths] | length",
        ".[] | .table?",
        "(.report // .other) | .table",
        ".report | keys",
        "first(.report) | .table",
        "if .err then . else .report end | .table",
        "reduce .report as $r (0; . + ($r.table | length))",
        "def f: .report; f.table",
        "{report} | .report.table",
        "[.report][0].table",
        "with_entries(.value |= length)",
        "del(.report)",
        "tojson",
        "any(.report; .table)",
        "label $out | .report, break $out",
        "limit(1; .report)",
        "\"\\(.report)\"",
        "try .report catch .",
        "(.report | objects | .table) == null",
        ".report?.table?",
        "any(.[]; . == 1)",
        "input_line_number as $x | .",
        "-(.report | length)",
        "[limit(3; ..)]",
        "path(.report)",
        "walk(.)",
        "isempty(.report.table.x.rows[])",
        ". as {report: $r} | $r.table",
        ". as {report: {table: $t}} | $t",
        ". as [$a] | $a",
        "def null: .table; .report | null",
    ] {
        assert!(!records.hides_items_from(other), "{other}: {:?}", root_paths(other));
    }
}
