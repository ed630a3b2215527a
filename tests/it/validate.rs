//! `tidegate validate`: what it prints where, and how it ends.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::python::check_json_schema;
use crate::support::workspace::{Outcome, Workspace};

const GOOD: &str = "version: 1\nname: good\nsource: {base_url: 'http://h'}\njobs:\n  a:\n    get: /x\n    paginate: none\n    records: '.[]'\n";

/// Runs `tidegate validate` in a folder with a good file, one with two mistakes, and one with a warning.
fn validate(arguments: &[&str]) -> (Workspace, Outcome) {
    let workspace = Workspace::new();
    workspace.write("good.yaml", GOOD);
    workspace.write("bad.yaml", &GOOD.replace("paginate: none", "paginate: nome").replace("'.[]'", "'.[ü] |'"));
    workspace.write("odd.yaml", &GOOD.replace("    paginate: none\n", concat!(
        "    window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: {into: query.b, bound: inclusive}}\n",
        "    sinks: {lake: {jsonl: {url: ./lake}}}\n    paginate: none\n",
    )));
    let outcome = workspace.tidegate(&[&["validate"], arguments].concat()).run();
    (workspace, outcome)
}

/// A mistake beside a secret, and a field for one that is misspelt, are shown without it.
#[test]
fn a_literal_secret_is_never_quoted() {
    let workspace = Workspace::new();
    for auth in [
        "basic: {username: 7, password: hunter2pl4nted}",
        "basic: {username: me, passwrod: hunter2pl4nted}",
        "login: {post: /l, body: {secret_key: hunter2pl4nted, x: '${NOTHERE}'}, tokne: hunter2pl4nted}",
        "bearer: hunter2pl4nted, nonsense: 1",
        "basic: {username: me, password: hunter2pl4nted",
        "basic: {username: me, pasword: hunter2pl4nted",
    ] {
        let file = GOOD.replace("base_url: 'http://h'", &format!("base_url: 'http://h', auth: {{{auth}}}"));
        workspace.write("x.yaml", &file);
        for arguments in [
            &["validate", "x.yaml"][..],
            &["validate", "--output", "json", "x.yaml"],
            &["plan", "x.yaml"],
            &["run", "x.yaml"],
        ] {
            let outcome = workspace.tidegate(arguments).run();
            assert_eq!(outcome.code, Some(2), "{outcome:?}");
            assert!(!format!("{outcome:?}").contains("hunter2"), "{auth}, {arguments:?}: {outcome:?}");
        }
    }
}

/// A window whose rows aren't cut by their time is a matter for those who write the file, and `none` is an answer.
#[test]
fn a_window_without_a_time_is_warned_of_once() {
    let workspace = Workspace::new();
    let window = "    window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b TIME}\n";
    let file = |time: &str| {
        let job = format!(
            "{}    sinks: {{lake: {{jsonl: {{url: ./lake}}}}}}\n    paginate: none\n",
            window.replace(" TIME", time)
        );
        GOOD.replace("    paginate: none\n", &job)
    };
    let check = |verb: &str, time: &str| {
        workspace.write("x.yaml", &file(time));
        let outcome = workspace.tidegate(&[verb, "x.yaml"]).run();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stderr
    };
    insta::assert_snapshot!(check("validate", ""), @r"
    warning: nothing shows whether rows lie in the window: a server that ignores it isn't noticed
     --> x.yaml:7:21
      |
    7 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: query.b}
      |                     ^^
      |
      = help: add `time:`, SQL for a row's own time, such as `time: created_at`; where rows have none, write `time: none`
    ");
    assert_eq!([check("validate", ", time: none"), check("validate", ", time: at"), check("plan", "")], ["", "", ""]);
}

#[test]
fn a_good_file_is_fine() {
    let (_, outcome) = validate(&["good.yaml"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.stdout, "good.yaml: fine, 1 job\n");
}

#[test]
fn a_warning_is_no_mistake() {
    let (_, outcome) = validate(&["odd.yaml"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "odd.yaml: fine, 1 job\n"));
    insta::assert_snapshot!(outcome.stderr, @r"
    warning: the server includes the end of the window, and rows aren't cut by their own time
     --> odd.yaml:7:69
      |
    7 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: {into: query.b, bound: inclusive}}
      |                                                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: add `time:`, SQL for a row's own time; else the end is sent one unit of `as` earlier, which is right only if times are whole units
    ");
}

#[test]
fn each_file_is_judged_by_itself() {
    let (_, outcome) = validate(&["bad.yaml", "good.yaml", "odd.yaml"]);
    assert_eq!(outcome.code, Some(2));
    assert_eq!(outcome.stdout, "good.yaml: fine, 1 job\nodd.yaml: fine, 1 job\n");
    insta::assert_snapshot!(outcome.stderr, @r"
    error: expected `none`, or a map with one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none: true`, found the text `nome`
     --> bad.yaml:7:15
      |
    7 |     paginate: nome
      |               ^^^^

    error: jq: expected closing bracket, found `ü]`
     --> bad.yaml:8:17
      |
    8 |     records: '.[ü] |'
      |                 ^
      |
      = help: write a plain path such as `.rsp.records[]`, a list of them, or one jq program

    bad.yaml: refused, 2 mistakes

    warning: the pipeline `good` is in good.yaml already: `tidegate serve` takes only one of them
     --> odd.yaml:1:1
      |
    1 | version: 1
      | ^
      |
      = help: give one of them another name, or remove it

    warning: the server includes the end of the window, and rows aren't cut by their own time
     --> odd.yaml:7:69
      |
    7 |     window: {every: 1d, start: -1d, as: epoch_s, from: query.a, to: {into: query.b, bound: inclusive}}
      |                                                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: add `time:`, SQL for a row's own time; else the end is sent one unit of `as` earlier, which is right only if times are whole units
    ");
}

#[test]
fn programs_get_one_document() {
    let (_, outcome) = validate(&["--output", "json", "bad.yaml", "good.yaml", "odd.yaml"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(2), ""));
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let files: Vec<_> = document.as_array().unwrap().iter().map(|file| (&file["file"], &file["valid"])).collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(files, [(&json!("bad.yaml"), &no), (&json!("good.yaml"), &yes), (&json!("odd.yaml"), &yes)]);
    assert_eq!(document[1], json!({"file": "good.yaml", "valid": true, "diagnostics": []}));
    assert_eq!(document[2]["diagnostics"][0]["severity"], "warning");
    // Lines and columns count from 1, columns in characters.
    insta::assert_snapshot!(serde_json::to_string_pretty(&document[0]["diagnostics"]).unwrap(), @r#"
    [
      {
        "severity": "error",
        "file": "bad.yaml",
        "line": 7,
        "column": 15,
        "message": "expected `none`, or a map with one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none: true`, found the text `nome`",
        "expected": "`none`, or a map with one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none: true`",
        "help": null
      },
      {
        "severity": "error",
        "file": "bad.yaml",
        "line": 8,
        "column": 17,
        "message": "jq: expected closing bracket, found `ü]`",
        "expected": null,
        "help": "write a plain path such as `.rsp.records[]`, a list of them, or one jq program"
      }
    ]
    "#);
}

#[test]
fn files_that_are_none() {
    let workspace = Workspace::new();
    workspace.write("empty.yaml", "");
    workspace.write("folder/x.yaml", GOOD);
    fs::write(workspace.path("junk.yaml"), b"version: 1\n\xff\xfe\x00junk").unwrap();
    fs::write(workspace.path("nul.yaml"), b"version: 1\nname: \x00\x01\n").unwrap();
    let outcome = workspace.tidegate(&["validate", "gone.yaml", "folder", "empty.yaml", "junk.yaml", "nul.yaml"]).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    insta::assert_snapshot!(outcome.stderr, @r"
    error: gone.yaml can't be read: No such file or directory (os error 2)
     |
     = help: give the path of a pipeline file

    gone.yaml: refused, 1 mistake

    error: folder is a folder
     |
     = help: give the path of a pipeline file in it

    folder: refused, 1 mistake

    error: the file is empty
     |
     = help: begin with `version: 1`, `name:`, `source:` and `jobs:`

    empty.yaml: refused, 1 mistake

    error: junk.yaml isn't a text in UTF-8: byte 11, on line 2
     |
     = help: give the path of a pipeline file, and save it as UTF-8

    junk.yaml: refused, 1 mistake

    error: this isn't YAML: unexpected character: `\u{0}'
     --> nul.yaml:2:7
      |
    2 | name: ␀␁
      |       ^
      |
      = help: check the indentation; if it belongs to a text, put it in single quotes

    nul.yaml: refused, 1 mistake
    ");
    let outcome = workspace.tidegate(&["validate", "--output", "json", "gone.yaml"]).run();
    assert_eq!(outcome.code, Some(2));
    insta::assert_snapshot!(outcome.stdout, @r#"
    [
      {
        "file": "gone.yaml",
        "valid": false,
        "diagnostics": [
          {
            "severity": "error",
            "file": "gone.yaml",
            "line": 1,
            "column": 1,
            "message": "gone.yaml can't be read: No such file or directory (os error 2)",
            "expected": null,
            "help": "give the path of a pipeline file"
          }
        ]
      }
    ]
    "#);
}

#[test]
fn other_verbs_refuse_a_bad_file_too() {
    let (workspace, _) = validate(&["good.yaml"]);
    for verb in ["run", "plan", "status"] {
        let outcome = workspace.tidegate(&[verb, "bad.yaml"]).run();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{verb}: {outcome:?}");
        assert!(outcome.stderr.contains("found the text `nome`"), "{verb}: {outcome:?}");
    }
    assert!(!workspace.path(".tidegate").exists());
}

#[test]
fn shipped_files_are_fine_and_name_their_schema() {
    let workspace = Workspace::new();
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["pipelines", "examples"].map(|folder| fs::read_dir(top.join(folder)).unwrap());
    let paths = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../schema/pipeline.json\n"), "{}", path.display());
        let validate = workspace.tidegate(&["validate", path.to_str().unwrap()]);
        let unset = text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        let unset = unset.filter(|name| !name.contains([':', ' ']));
        let made_up = |name: &str| if name.ends_with("_URL") { "https://none.test" } else { "not-a-real-one" };
        let outcome = unset.fold(validate, |validate, name| validate.env(name, made_up(name))).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let whole = "    snapshot: daily\n    sinks: {lake: {parquet: {url: ./lake}}}\n    paginate: {page: {into: query.p, size: 10}}\n";
    let good = GOOD.replace("    paginate: none\n", whole);
    let mistakes = [
        ("version: 1\n", ""),
        ("name: good", "name: Good File"),
        ("name: good", "nmae: good"),
        ("get: /x", "get: [x]"),
        ("'.[]'", "{a: 1}"),
        ("snapshot: daily", "snapshot: hourly"),
        ("{into: query.p, size: 10}", "{into: query.p}"),
        ("{into: query.p, size: 10}", "{into: query.p, size: ten}"),
        ("parquet: {url: ./lake}", "parquet: {}"),
        ("parquet: {url: ./lake}", "parquet: {url: ./lake, compression: lz4}"),
        ("parquet: {url: ./lake}", "parquet: {url: ./lake, bytes_per_file: 1GB}"),
        ("source: {", "source: {timeout: {connect: soon}, "),
        ("source: {", "source: {concurrency: 0, "),
        ("source: {", "source: {auth: {basic: {username: u}}, "),
    ];
    let schema = serde_json::from_str(&Workspace::new().tidegate(&["schema"]).run().stdout).unwrap();
    let bad: Vec<String> = mistakes.iter().map(|(right, wrong)| good.replacen(right, wrong, 1)).collect();
    let texts: Vec<&str> = [good.as_str()].into_iter().chain(bad.iter().map(String::as_str)).collect();
    let complaints = check_json_schema(&schema, &texts);
    assert!(complaints[0].is_empty(), "{:?}", complaints[0]);
    let workspace = Workspace::new();
    assert_eq!(
        workspace.tidegate(&["validate", workspace.write("x.yaml", &good).to_str().unwrap()]).run().code,
        Some(0)
    );
    for ((text, complaints), (_, wrong)) in bad.iter().zip(&complaints[1..]).zip(mistakes) {
        assert!(!complaints.is_empty(), "the schema takes {wrong:?}");
        let path = workspace.write("x.yaml", text);
        assert_eq!(workspace.tidegate(&["validate", path.to_str().unwrap()]).run().code, Some(2), "{wrong:?}");
    }
}

/// A run would say so first at night; and `k8s` may be asked where the files aren't.
#[test]
fn files_of_tls_that_are_not_there_are_named() {
    let workspace = Workspace::new();
    workspace.write("ca.pem", "");
    let tls = "tls: {ca_file: ca.pem, client_cert: gone.pem, client_key: gone.key}";
    workspace.write("x.yaml", &GOOD.replace("base_url: 'http://h'", &format!("base_url: 'https://h', {tls}")));
    let outcome = workspace.tidegate(&["validate", "x.yaml"]).run();
    assert_eq!(outcome.code, Some(0));
    insta::assert_snapshot!(outcome.stderr, @"
    warning: `tls.client_cert` names gone.pem, which isn't there: on this machine each run is going to fail
     --> x.yaml:1:1
      |
    1 | version: 1
      | ^
      |
      = help: a path that doesn't begin with `/` begins at the folder of the pipeline file

    warning: `tls.client_key` names gone.key, which isn't there: on this machine each run is going to fail
     --> x.yaml:1:1
      |
    1 | version: 1
      | ^
      |
      = help: a path that doesn't begin with `/` begins at the folder of the pipeline file
    ");
}
