//! The SQL engine, set up so that the same records give the same rows, and nothing but records can be read.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::{ScalarUDF, Volatility};
use datafusion::prelude::SessionConfig;

use super::checked::CheckArithmetic;
use super::{functions, zoned};

/// How much memory sorting, grouping and joining may use before they go on from temporary files: 256 MiB, so that a
/// process with a few slices in hand stays below the memory that a small pod has.
pub const MEMORY_LIMIT: usize = 256 * 1024 * 1024;

/// Makes a session with `now` as its one instant: one partition, names as they are written, no files, no `random()`.
pub(super) fn session(now: DateTime<Utc>, memory_limit: usize) -> Result<SessionState, DataFusionError> {
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(memory_limit))).build_arc()?;
    let mut state = SessionStateBuilder::new()
        .with_session_id("transform".to_owned())
        .with_config(config())
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .with_analyzer_rule(Arc::new(CheckArithmetic))
        .build();
    // Puts the options where the functions read them; the clock that it reads is replaced at once.
    state.mark_start_execution();
    state.execution_props_mut().query_execution_start_time = Some(now);
    Ok(state)
}

fn config() -> SessionConfig {
    // One partition: with more, the order of rows would depend on which finishes first.
    let mut config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("UTC".to_owned());
    config
}

/// Every function of the engine that gives the same answer for the same arguments, and ours.
fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = SessionStateDefaults::default_scalar_functions();
    functions
        .retain(|function| function.signature().volatility != Volatility::Volatile && function.name() != "version");
    functions.extend(functions::ours());
    functions.extend(functions::of_json());
    functions.into_iter().map(zoned::mended).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::registry::FunctionRegistry as _;

    use super::*;
    use crate::lang::sql::{ADDED_FUNCTIONS, unknown_function};

    #[test]
    fn the_functions_that_there_are_are_those_that_a_pipeline_file_may_name() {
        let state = session(DateTime::UNIX_EPOCH, MEMORY_LIMIT).unwrap();
        for name in ADDED_FUNCTIONS {
            assert!(state.udf(name).is_ok(), "{name} isn't there");
        }
        for name in state.udfs().into_iter().chain(state.udafs()).chain(state.udwfs()) {
            assert_eq!(unknown_function(&name), None);
        }
        assert!(unknown_function("no_such_function").is_some());
    }
}
