//! The objects, as YAML that a person would write.

use chrono::{DateTime, SecondsFormat, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};

use super::needs::{FOLDER, Needs};
use super::schedule::{Cron5, unkept as unkept_of};
use crate::pipeline::spec::Pipeline;

/// The most bytes of a `ConfigMap`: <https://kubernetes.io/docs/concepts/configuration/configmap/>.
const MOST_BYTES: usize = 1024 * 1024;

/// The most letters of a `CronJob`'s name, which leaves 11 for those of its jobs:
/// <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/>.
const MOST_LETTERS: usize = 52;

/// What a process takes beside `--memory-limit`, in bytes: as README says.
const BESIDE_LIMIT: u64 = 200 * 1024 * 1024;

/// What an object store's client takes from the environment, and is secret.
const STORE_SECRETS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// What is printed.
pub(super) enum Kind {
    /// A `CronJob`.
    Cron(Cron5),
    /// A Job, an Indexed one where several pods divide it.
    Backfill {
        /// Where it begins.
        from: DateTime<Utc>,
        /// Where it ends.
        to: DateTime<Utc>,
        /// How many pods divide it, at once; one pod has all of it where it is none.
        shards: Option<u32>,
    },
}

/// All that the objects say.
pub(super) struct Manifest<'a> {
    /// The pipeline.
    pub(super) pipeline: &'a Pipeline,
    /// The name of its file.
    pub(super) file: &'a str,
    /// The text of its file.
    pub(super) text: &'a str,
    /// The image.
    pub(super) image: &'a str,
    /// The namespace.
    pub(super) namespace: Option<&'a str>,
    /// The name of the Secret.
    pub(super) secret: String,
    /// What the pods are given.
    pub(super) needs: &'a Needs,
    /// Where the ledger is.
    pub(super) state: &'a str,
    /// The volume claim.
    pub(super) pvc: Option<&'a str>,
    /// The service account.
    pub(super) service_account: Option<&'a str>,
    /// The memory limit of a run, in bytes.
    pub(super) memory: u64,
    /// What is printed.
    pub(super) kind: Kind,
}

impl Manifest<'_> {
    /// Renders the objects. An error says what Kubernetes wouldn't take.
    pub(super) fn render(&self) -> Result<String, String> {
        if self.text.len() > MOST_BYTES {
            return Err(format!("the pipeline file has {} bytes, and a ConfigMap holds 1 MiB", self.text.len()));
        }
        let mut name = format!("tidegate-{}", self.pipeline.name);
        let (mut cron, mut backfill, mut unkept) = (None, None, Vec::new());
        match &self.kind {
            Kind::Cron(schedule) => {
                unkept = self.pipeline.schedule.as_ref().map(unkept_of).unwrap_or_default();
                cron = Some(context! {
                    cron => schedule.cron.as_str(), zone => schedule.zone.name(), deadline => schedule.deadline,
                });
            }
            Kind::Backfill { from, to, shards } => {
                name.push_str("-backfill");
                let instant = |instant: &DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                backfill = Some(context! { from => instant(from), to => instant(to), shards });
            }
        }
        if name.len() > MOST_LETTERS {
            return Err(format!("{name} has more than {MOST_LETTERS} letters: shorten the pipeline's `name`"));
        }
        let in_store = self.state.contains("://");
        let mut secrets = self.needs.secret.clone();
        let mut optional = STORE_SECRETS.map(str::to_owned).to_vec();
        optional.retain(|name| in_store && !secrets.contains(name));
        secrets.extend(optional.iter().cloned());
        let files: Vec<_> = self.needs.files.iter().map(|(path, key)| context! { path, key }).collect();
        let memory = |bytes: u64| format!("{}Mi", bytes.div_ceil(1024 * 1024));
        let values = context! {
            name, cron, backfill, unkept, secrets, optional, files,
            pipeline => self.pipeline.name.as_str(),
            config => format!("tidegate-{}", self.pipeline.name),
            path => format!("{FOLDER}/{}", self.file),
            file => self.file,
            text => block(self.text, "    "),
            image => self.image,
            namespace => self.namespace.map(str::to_owned),
            secret => self.secret.as_str(),
            plain => self.needs.plain.clone(),
            state => self.state,
            pvc => self.pvc.map(str::to_owned),
            service_account => self.service_account.map(str::to_owned),
            limit => memory(self.memory).replace("Mi", "MiB"),
            memory_request => memory(self.memory),
            memory_limit => memory(self.memory + BESIDE_LIMIT),
        };
        Self::fill(&values)
            .map_err(|error| format!("the objects can't be written, which is a bug of Tidegate: {error}"))
    }

    fn fill(values: &minijinja::Value) -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.add_filter("y", |text: &str| scalar(text));
        environment.render_named_str("manifest", include_str!("manifest.yaml.j2"), values)
    }
}

/// Writes a text as a YAML scalar: plain where nothing can misread it.
fn scalar(text: &str) -> String {
    let letter = |char: char| char.is_ascii_alphanumeric() || matches!(char, '/' | '_' | '.' | '-');
    let word = |part: &str| !part.is_empty() && part.chars().all(letter);
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    // What YAML 1.1 takes for a boolean or a null.
    let odd = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if begins && text.split(':').all(word) && !odd.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

/// Writes a text as a literal block, or quoted where a block can't hold it.
fn block(text: &str, indent: &str) -> String {
    let control = |char: char| {
        (char.is_control() && char != '\n' && char != '\t')
            || matches!(char, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}')
    };
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or(" ");
    if text.chars().any(control) || first.starts_with([' ', '\t']) || !text.ends_with('\n') || text.ends_with("\n\n") {
        return serde_json::Value::from(text).to_string();
    }
    let lines = text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") });
    format!("|\n{}", lines.collect::<String>().trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_can_misread_is_plain() {
        for plain in ["s3://lake/_tidegate", "/etc/tidegate/x.yaml", "tidegate:0.1.0", "a"] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in ["", "no", "1", "1e3", "a: b", "a #b", "*", "15 2 * * *", "a:", "2026-01-01", "~"] {
            assert!(scalar(quoted).starts_with('"'), "{quoted}");
        }
    }

    #[test]
    fn a_text_that_a_block_would_change_is_quoted() {
        assert_eq!(block("a: 1\n\nb: 2\n", "  "), "|\n  a: 1\n\n  b: 2");
        for quoted in [" a: 1\n", "a: 1", "a: 1\r\n", "a: 1\n\n", "\n", ""] {
            assert!(block(quoted, "  ").starts_with('"'), "{quoted:?}");
        }
    }
}
