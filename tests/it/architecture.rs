//! The rules of ARCHITECTURE.md that a machine can check: who may use whom, who may print, and how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::source::{Token, tokens, uses, without_tests};

/// A module uses only modules of a lower rank, or its own folder.
const RANKS: &[(&str, u8)] = &[
    ("model", 0),
    ("objects", 0),
    ("secret", 0),
    ("clock", 0),
    ("asking", 0),
    ("telemetry", 0),
    ("lang", 0),
    ("pipeline", 1),
    ("plan", 2),
    ("extract", 3),
    ("decode", 3),
    ("transform", 3),
    ("sink", 3),
    ("ledger", 4),
    ("run", 5),
    ("schedule", 6),
    ("appliance", 6),
    ("server", 7),
    ("cli", 8),
    ("main", 9),
];

/// Modules that may use less than their rank says, and the highest rank that they may use.
const CEILINGS: &[(&str, u8, &str)] =
    &[("appliance", 0, "a simulator that shares code with the exporter would share its mistakes")];

/// Where things may be printed and the process may exit.
const SPEAKERS: &[&str] = &["cli", "main"];

/// How many lines a file may have.
const LINES: usize = 450;

/// The files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[
    ("src/pipeline/load/tests/bad_files.rs", "one snapshot after the other of what is said about bad files"),
    ("tests/it/help.rs", "one snapshot after the other of what is said of the verbs"),
];

/// A source file.
#[derive(Debug, Clone)]
struct SourceFile {
    /// Its path below the top level, with `/`.
    path: String,
    text: String,
}

impl SourceFile {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Returns the modules that lead to this file: `["plan", "grid"]`. None for `lib.rs` and `main.rs`.
    fn module_path(&self) -> Vec<&str> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.split('/').filter(|name| !["mod", "lib", "main"].contains(name)).collect()
    }

    /// Returns the module right below the root that this file belongs to; `main` for `main.rs`. None for `lib.rs`.
    fn module(&self) -> Option<&str> {
        if self.path == "src/main.rs" { Some("main") } else { self.module_path().first().copied() }
    }

    /// Returns the path below which this file's test modules lie, or of the folder that they are named by.
    fn children(&self) -> PathBuf {
        let path = Path::new(&self.path);
        match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib" | "main") | None => path.parent().unwrap_or(path).to_owned(),
            Some(_) => path.with_extension(""),
        }
    }
}

/// What the program itself is made of: each file's tokens, without tests.
fn program(files: &[SourceFile]) -> Vec<(&SourceFile, Vec<Token>)> {
    let read: Vec<_> = files.iter().map(|file| (file, without_tests(&tokens(&file.text)))).collect();
    let for_tests: BTreeSet<PathBuf> = read
        .iter()
        .flat_map(|(file, (_, modules))| modules.iter().map(move |module| (*file, module)))
        .map(|(file, module)| match &module.path {
            Some(path) => Path::new(&file.path).with_file_name(path).with_extension(""),
            None => file.children().join(&module.name),
        })
        .collect();
    let is_for_tests =
        |file: &SourceFile| for_tests.iter().any(|test| Path::new(&file.path).with_extension("").starts_with(test));
    read.into_iter().filter(|(file, _)| !is_for_tests(file)).map(|(file, (kept, _))| (file, kept)).collect()
}

fn rank(module: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == module).map(|(_, rank)| *rank)
}

fn rank_mistakes(files: &[SourceFile]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (file, kept) in program(files) {
        let Some(own) = file.module() else { continue };
        let Some(own_rank) = rank(own) else {
            mistakes.push(format!(
                "{}: the module {own} is unknown: give it a rank in tests/it/architecture.rs",
                file.path
            ));
            continue;
        };
        let roots: &[&str] = if own == "main" { &["crate", "tidegate"] } else { &["crate"] };
        for used in uses(&kept, roots, file.module_path().len()) {
            let at = format!("{}:{}", file.path, used.line);
            let ceiling = CEILINGS.iter().find(|(name, ..)| *name == own);
            match (rank(&used.name), ceiling) {
                _ if used.name == own => {}
                (None, _) => mistakes.push(format!("{at}: uses {}, which is no module with a rank", used.name)),
                (Some(rank), _) if rank >= own_rank => {
                    mistakes.push(format!("{at}: {own} (rank {own_rank}) uses {} (rank {rank})", used.name));
                }
                (Some(rank), Some((_, most, reason))) if rank > *most => {
                    mistakes.push(format!("{at}: {own} uses {} (rank {rank}, above {most}): {reason}", used.name));
                }
                _ => {}
            }
        }
    }
    mistakes
}

fn speech_mistakes(files: &[SourceFile]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (file, kept) in program(files) {
        if file.module().is_some_and(|module| SPEAKERS.contains(&module)) {
            continue;
        }
        for three in kept.windows(3) {
            let prints = ["print", "println", "eprint", "eprintln", "dbg"].iter().any(|name| three[0].is(name))
                && three[1].is("!");
            let exits = three[0].is("process")
                && three[1].is("::")
                && ["exit", "abort", "{"].iter().any(|name| three[2].is(name));
            if prints || exits {
                let what = if prints { "prints" } else { "ends the process" };
                mistakes.push(format!("{}:{}: {what}: only cli/ and main.rs may", file.path, three[0].line));
            }
        }
    }
    mistakes
}

fn length_mistakes(files: &[SourceFile], allowed: &[(&str, &str)]) -> Vec<String> {
    let lines = |file: &SourceFile| file.text.lines().count();
    let mut mistakes: Vec<_> = files
        .iter()
        .filter(|file| lines(file) > LINES && !allowed.iter().any(|(path, _)| *path == file.path))
        .map(|file| format!("{}: {} lines, more than {LINES}: split it by concern", file.path, lines(file)))
        .collect();
    let is_long = |path: &str| files.iter().any(|file| file.path == path && lines(file) > LINES);
    let stale = allowed.iter().filter(|(path, _)| !is_long(path));
    mistakes.extend(stale.map(|(path, _)| format!("{path}: isn't long any more: take it off the list")));
    mistakes
}

/// Reads every Rust file below `folder`, in order.
fn read(folder: &str) -> Vec<SourceFile> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![top.join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(top).unwrap().to_str().unwrap().replace('\\', "/");
                files.push(SourceFile { text: fs::read_to_string(&path).unwrap(), path: below });
            }
        }
    }
    files.sort_by(|one, two| one.path.cmp(&two.path));
    files
}

fn assert_none(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
}

#[test]
fn modules_use_only_modules_of_a_lower_rank() {
    let files = read("src");
    assert!(files.len() > 20, "only {} files were found", files.len());
    assert_none(&rank_mistakes(&files));
}

#[test]
fn only_the_command_line_prints_and_exits() {
    assert_none(&speech_mistakes(&read("src")));
}

#[test]
fn files_are_short() {
    let files = [read("src"), read("tests")].concat();
    assert_none(&length_mistakes(&files, LONG_FILES));
}

#[test]
fn a_breach_of_the_ranks_is_named_with_its_line() {
    let files = [
        SourceFile::new("src/lib.rs", "pub mod plan;"),
        SourceFile::new("src/main.rs", "fn main() { tidegate::cli::main() }"),
        SourceFile::new(
            "src/plan/grid.rs",
            "use crate::model::Slice;\nuse crate::{pipeline::Spec, plan::Cell, run::Run};",
        ),
        SourceFile::new("src/sink/disk.rs", "use super::super::decode::Batch;"),
        SourceFile::new("src/appliance/ntopng/mod.rs", "use crate::{clock::Clock, appliance::server, plan::Grid};"),
        SourceFile::new("src/model/mod.rs", "use crate::secret::Secret;\nuse crate::Everything;"),
        SourceFile::new("src/novelty.rs", ""),
    ];
    assert_eq!(
        rank_mistakes(&files),
        [
            "src/plan/grid.rs:2: plan (rank 2) uses run (rank 5)",
            "src/sink/disk.rs:1: sink (rank 3) uses decode (rank 3)",
            "src/appliance/ntopng/mod.rs:1: appliance uses plan (rank 2, above 0): \
             a simulator that shares code with the exporter would share its mistakes",
            "src/model/mod.rs:1: model (rank 0) uses secret (rank 0)",
            "src/model/mod.rs:2: uses Everything, which is no module with a rank",
            "src/novelty.rs: the module novelty is unknown: give it a rank in tests/it/architecture.rs",
        ]
    );
}

#[test]
fn tests_may_use_what_they_like() {
    let breach = "use crate::run::Run;";
    let files = [
        SourceFile::new("src/plan/mod.rs", "#[cfg(test)]\nmod tests;"),
        SourceFile::new("src/plan/tests.rs", breach),
        SourceFile::new("src/plan/tests/more.rs", breach),
        SourceFile::new("src/lang/jq.rs", "#[cfg(test)] #[path = \"jq_tests.rs\"] mod tests;"),
        SourceFile::new("src/lang/jq_tests.rs", breach),
        SourceFile::new("src/sink/store.rs", "#[cfg(test)]\nmod tests;"),
        SourceFile::new("src/sink/store/tests.rs", breach),
        SourceFile::new("src/sink/tests.rs", breach),
    ];
    assert_eq!(rank_mistakes(&files), ["src/sink/tests.rs:1: sink (rank 3) uses run (rank 5)"]);
}

#[test]
fn printing_and_exiting_elsewhere_is_named() {
    let files = [
        SourceFile::new("src/cli/run.rs", "fn f() { println!(); std::process::exit(1) }"),
        SourceFile::new(
            "src/run/mod.rs",
            "fn f() {\n// println!()\neprintln!(\"println!()\");\nstd::process::exit(1) }",
        ),
        SourceFile::new("src/plan/mod.rs", "#[cfg(test)] mod tests { fn f() { dbg!(1); } }"),
    ];
    assert_eq!(
        speech_mistakes(&files),
        [
            "src/run/mod.rs:3: prints: only cli/ and main.rs may",
            "src/run/mod.rs:4: ends the process: only cli/ and main.rs may",
        ]
    );
}

#[test]
fn long_files_are_named_and_so_are_needless_exceptions() {
    let long = "\n".repeat(LINES + 1);
    let files =
        [SourceFile::new("src/a.rs", &long), SourceFile::new("src/b.rs", &long), SourceFile::new("src/c.rs", "")];
    assert_eq!(
        length_mistakes(&files, &[("src/b.rs", "a reason"), ("src/c.rs", "a reason")]),
        [
            "src/a.rs: 451 lines, more than 450: split it by concern",
            "src/c.rs: isn't long any more: take it off the list",
        ]
    );
}
