//! Names: partition directories, files and staging places. Pure: values in, text out.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::SinkError;
use super::spec::Landing;
use crate::model::{JobName, PipelineName, SinkName, SliceId};

/// The directory below the root of a data set where files wait to be published.
pub(super) const STAGED_DIR: &str = ".tidegate-staged";

/// What every staged file ends with, so that no glob for a format matches it.
pub(super) const STAGED_SUFFIX: &str = ".staged";

/// Files of one slice in one sink at most: as many as five digits can number.
pub(super) const MAX_FILES: u32 = 100_000;

/// Hive's name for null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Bytes of an escaped partition value at most; a file system takes 255 for a whole `name=value`.
const MAX_VALUE: usize = 128;

/// Bytes of an escaped column, pipeline or job name at most.
const MAX_NAME: usize = 40;

/// Bytes of a slice's id in a file name at most: with the other parts and [`STAGED_SUFFIX`] it stays below 255.
const MAX_SLICE: usize = 110;

/// Bytes that mark a text as cut: `~` and 16 hexadecimal digits.
const CUT_MARK: usize = 17;

const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
const VALUE: &AsciiSet = &NAME.remove(b'.');

/// Returns the directory of one partition value, `name=value`.
///
/// Both are percent-encoded down to `[A-Za-z0-9_.-]`, as readers of Hive partitions decode values, so no data can leave the
/// directory. Null and the empty text are different directories, and so are any two other values: what is too long is cut
/// and marked with `~` and 16 hexadecimal digits of its SHA-256, and no encoded text holds a `~`.
pub(super) fn partition_dir(name: &str, value: Option<&str>) -> String {
    let value = match value {
        None => HIVE_NULL.to_owned(),
        Some(HIVE_NULL) => HIVE_NULL.replacen('_', "%5F", 1),
        Some(text) => encoded(text, VALUE, MAX_VALUE),
    };
    format!("{}={value}", encoded(name, NAME, MAX_NAME))
}

/// Returns the name of a published file.
pub(super) fn file_name(landing: &Landing, part: u32, extension: &str) -> String {
    let pipeline = encoded(landing.pipeline.as_str(), NAME, MAX_NAME);
    let job = encoded(landing.job.as_str(), NAME, MAX_NAME);
    format!("{pipeline}-{job}-{}-{part:05}.{extension}", slice_part(&landing.slice, landing.generation))
}

/// Returns the directory below the root that holds all staged files of a pipeline.
pub(super) fn staged_pipeline_dir(pipeline: &PipelineName) -> String {
    format!("{STAGED_DIR}/{}", encoded(pipeline.as_str(), NAME, MAX_NAME))
}

/// Returns the directory below the root that holds the staged files of one generation of a slice.
pub(super) fn staged_slice_dir(landing: &Landing) -> String {
    let job = encoded(landing.job.as_str(), NAME, MAX_NAME);
    let slice = slice_part(&landing.slice, landing.generation);
    format!("{}/{job}/{slice}", staged_pipeline_dir(&landing.pipeline))
}

/// Returns what a sink's own staging directory begins with, before its random part.
pub(super) fn staged_sink_prefix(sink: &SinkName) -> String {
    format!("{}-", encoded(sink.as_str(), NAME, MAX_NAME))
}

/// One generation of a slice that has staged files, as [`sweep_staged`](super::DataSets::sweep_staged) found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedSlice {
    pub(super) job: String,
    pub(super) slice: String,
}

impl StagedSlice {
    /// Tells whether it is this generation of this slice.
    #[must_use]
    pub fn is(&self, job: &JobName, slice: &SliceId, generation: u32) -> bool {
        self.job == encoded(job.as_str(), NAME, MAX_NAME) && self.slice == slice_part(slice, generation)
    }

    /// Returns the name of its job's directory: the job's name, unless that is very long.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Returns its name, `<slice>-g<generation>`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.slice
    }
}

/// Refuses a path that isn't plain components below a root, whoever wrote it.
pub(super) fn checked(path: &str) -> Result<&str, SinkError> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    if path.split('/').all(plain) { Ok(path) } else { Err(SinkError::UnsafePath { path: path.to_owned() }) }
}

/// What the name of a published file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The slice, as [`slice_name`] writes it.
    pub slice: String,
    /// The generation.
    pub generation: u32,
}

impl NamedFile {
    /// Reads a name that a job of a pipeline may have given; `None` where it can't have.
    #[must_use]
    pub fn parse(name: &str, pipeline: &PipelineName, job: &JobName) -> Option<Self> {
        let pipeline = encoded(pipeline.as_str(), NAME, MAX_NAME);
        let job = encoded(job.as_str(), NAME, MAX_NAME);
        let rest = name.strip_prefix(&format!("{pipeline}-{job}-"))?;
        let (stem, extension) = rest.split_once('.')?;
        let (rest, part) = stem.rsplit_once('-')?;
        let (slice, generation) = rest.rsplit_once("-g")?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let ours = part.len() == 5 && digits(part) && digits(generation) && !slice.is_empty() && !extension.is_empty();
        ours.then_some(Self { slice: slice.to_owned(), generation: generation.parse().ok()? })
    }
}

/// Returns a slice's identity as names of files have it.
#[must_use]
pub fn slice_name(slice: &SliceId) -> String {
    encoded(slice.as_str(), NAME, MAX_SLICE)
}

fn slice_part(slice: &SliceId, generation: u32) -> String {
    format!("{}-g{generation}", encoded(slice.as_str(), NAME, MAX_SLICE))
}

/// Percent-encodes `text` into `max` bytes at most. What is longer is cut between two characters: readers that decode a name want
/// whole ones.
fn encoded(text: &str, set: &'static AsciiSet, max: usize) -> String {
    let safe = utf8_percent_encode(text, set).to_string();
    if safe.len() <= max {
        return safe;
    }
    let mut cut = String::new();
    let mut bytes = [0; 4];
    for character in text.chars() {
        let next = utf8_percent_encode(character.encode_utf8(&mut bytes), set).to_string();
        if cut.len() + next.len() + CUT_MARK > max {
            break;
        }
        cut.push_str(&next);
    }
    format!("{cut}~{}", hex::encode(&Sha256::digest(text.as_bytes())[..8]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn landing(slice: &str) -> Landing {
        Landing {
            pipeline: PipelineName::new("ntopng"),
            job: JobName::new("flow_alerts"),
            slice: SliceId::new(slice),
            generation: 3,
            snapshot: None,
            schema_version: 1,
        }
    }

    #[test]
    fn file_names_are_fixed_for_ever() {
        let name = file_name(&landing("20260101T000000Z-8010e1e6fb705832"), 7, "parquet");
        assert_eq!(name, "ntopng-flow_alerts-20260101T000000Z-8010e1e6fb705832-g3-00007.parquet");
        let dir = staged_slice_dir(&landing("s0-41"));
        assert_eq!(dir, ".tidegate-staged/ntopng/flow_alerts/s0-41-g3");
    }

    #[test]
    fn names_read_back_and_others_are_not_ours() {
        let landing = landing("20260101T000000Z-8010e1e6fb705832");
        let parse = |name: &str| NamedFile::parse(name, &landing.pipeline, &landing.job);
        let named = parse(&file_name(&landing, 7, "csv.gz")).unwrap();
        assert_eq!(named, NamedFile { slice: slice_name(&landing.slice), generation: 3 });
        for name in [
            "ntopng-flow_alerts-20260101T000000Z-g1-0000.csv",
            "ntopng-flow_alerts-20260101T000000Z-g1-00000",
            "ntopng-flow_alerts-g1-00000.csv",
            "ntopng-flow-20260101T000000Z-g1-00000.csv",
            "notes.csv",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_very_long_slice_still_gives_a_file_name() {
        let mut long = landing(&"_2f".repeat(300));
        long.pipeline = PipelineName::new("p".repeat(300));
        long.job = JobName::new("j".repeat(300));
        long.generation = u32::MAX;
        assert!(file_name(&long, 99_999, "jsonl.zst").len() + STAGED_SUFFIX.len() <= 255);
        let dir = staged_slice_dir(&long);
        let mut parts = dir.split('/').skip(2).map(str::to_owned);
        let found = StagedSlice { job: parts.next().unwrap(), slice: parts.next().unwrap() };
        assert!(found.is(&long.job, &long.slice, u32::MAX));
        assert!(!found.is(&long.job, &long.slice, 1));
    }

    #[test]
    fn partition_values_are_escaped_once() {
        let check = |value: Option<&str>, expect: &str| assert_eq!(partition_dir("c", value), format!("c={expect}"));
        check(Some("Critical"), "Critical");
        check(Some("2026-01-01"), "2026-01-01");
        check(Some("../../etc"), "..%2F..%2Fetc");
        check(Some("a=b%2F\0\n"), "a%3Db%252F%00%0A");
        check(Some("é"), "%C3%A9");
        check(None, "__HIVE_DEFAULT_PARTITION__");
        check(Some("__HIVE_DEFAULT_PARTITION__"), "%5F_HIVE_DEFAULT_PARTITION__");
        check(Some(""), "");
        assert_eq!(partition_dir("../x", Some("1")), "%2E%2E%2Fx=1");
    }

    #[test]
    fn paths_that_leave_the_root_are_refused() {
        for path in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.", "a/b\0", "a\\b"] {
            assert!(checked(path).is_err(), "{path:?}");
        }
        assert!(checked("ts_day=2026-01-01/a.parquet").is_ok());
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_directory(name in "\\PC{0,60}|[./=%~\0-\x1f]{0,20}", value in "\\PC{0,300}|[./=%~\0-\x1f]{0,80}") {
            let dir = partition_dir(&name, Some(&value));
            prop_assert!(dir.len() <= 255);
            prop_assert!(checked(&dir).is_ok());
            prop_assert!(!dir.contains('/') && !dir.starts_with('.'));
            prop_assert_eq!(dir.matches('=').count(), 1);
            prop_assert!(dir.chars().all(|c| c.is_ascii_alphanumeric() || "-_.%=~".contains(c)));
        }

        #[test]
        fn two_values_never_share_a_directory(a in "[ab./=%~_]{0,6}|a{120,140}|é{20,30}", b in "[ab./=%~_]{0,6}|a{120,140}|é{20,30}") {
            prop_assert_eq!(a == b, partition_dir("c", Some(&a)) == partition_dir("c", Some(&b)));
            prop_assert_ne!(partition_dir("c", None), partition_dir("c", Some(&a)));
        }

        #[test]
        fn an_escaped_value_reads_back(value in "[^~]{0,60}") {
            let dir = partition_dir("c", Some(&value));
            let text = percent_encoding::percent_decode_str(dir.strip_prefix("c=").unwrap()).decode_utf8().unwrap();
            // Cut: what is there is a beginning of it.
            if let Some((beginning, _)) = text.split_once('~') {
                prop_assert!(value.starts_with(beginning));
            } else {
                prop_assert_eq!(text, value);
            }
        }
    }
}
