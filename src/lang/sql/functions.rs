//! The functions that there are, by name: those of the engine, and those that the transform adds.

use std::collections::HashSet;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;

/// The functions that the transform adds to the engine's, by all their names.
pub const ADDED_FUNCTIONS: [&str; 16] = [
    "html_text",
    "ip_in",
    "ip_version",
    "json_as_text",
    "json_contains",
    "json_get_array",
    "json_get_bool",
    "json_get_float",
    "json_get_int",
    "json_get_json",
    "json_get_str",
    "json_keys",
    "json_len",
    "json_length",
    "json_object_keys",
    "parse_timestamp",
];

/// What the engine's planner knows without a function of that name.
const OF_THE_PLANNER: [&str; 2] = ["unnest", "unnest_outer"];

static FUNCTIONS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut names: HashSet<String> = ADDED_FUNCTIONS.into_iter().chain(OF_THE_PLANNER).map(str::to_owned).collect();
    let mut add = |name: &str, aliases: &[String]| {
        names.insert(name.to_owned());
        names.extend(aliases.iter().cloned());
    };
    for known in SessionStateDefaults::default_scalar_functions() {
        add(known.name(), known.aliases());
    }
    for known in SessionStateDefaults::default_higher_order_functions() {
        add(known.name(), known.aliases());
    }
    for known in SessionStateDefaults::default_aggregate_functions() {
        add(known.name(), known.aliases());
    }
    for known in SessionStateDefaults::default_window_functions() {
        add(known.name(), known.aliases());
    }
    names
});

/// Says that there is no function `name`, which is in lower case, and which one may be meant; none where there is one.
#[must_use]
pub fn unknown(name: &str) -> Option<String> {
    if FUNCTIONS.contains(name) {
        return None;
    }
    let likeness = |known: &&String| strsim::damerau_levenshtein(name, known);
    let near = FUNCTIONS.iter().min_by_key(|known| (likeness(known), *known));
    let hint = match near.filter(|known| likeness(known) <= (name.chars().count() / 3).max(1)) {
        Some(near) => format!(": did you mean `{near}`?"),
        None => ": the SQL is that of Apache DataFusion, whose documentation lists its functions".to_owned(),
    };
    Some(format!("there is no function `{name}`{hint}"))
}
