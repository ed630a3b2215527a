//! The tests that look at Tidegate from outside: its binary, its files, its manners. One test binary, so that it is linked once.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends by them; clippy knows only functions marked #[test]"
)]
#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::cast_possible_wrap,
    clippy::needless_for_each,
    clippy::too_many_lines,
    reason = "the files are our own, the numbers are small, and a snapshot is as long as what it shows"
)]

mod ahead;
mod allocations;
mod architecture;
mod crash;
mod crash_points;
mod demo;
mod docs;
mod doubts;
mod drift;
mod early;
mod edits;
mod ends;
mod enrich;
mod examples;
mod fan_out;
mod faults;
mod foreign;
mod formats;
mod full_disk;
mod generic;
mod help;
mod hostile;
mod increment_templates;
mod increments;
mod init;
mod interim;
mod interrupted;
mod k8s;
mod keyless;
mod lastline;
mod layout;
mod manners;
mod many_keys;
mod memory;
mod moving_lists;
mod moving_on;
mod names;
mod ntopng;
mod ntopng_again;
mod ntopng_faults;
mod ntopng_fixtures;
mod null_columns;
mod oauth2;
mod odd_keys;
mod odd_numbers;
mod odd_pages;
mod operated;
mod page;
mod places;
mod quarantine;
mod quiet;
mod readers;
mod recording;
mod refetch;
mod review;
mod round_trip;
mod s3;
mod schema;
mod scrutinizer;
mod secrets;
mod secure_workload;
mod serve;
mod sessions;
mod sessions_secrets;
mod shards;
mod shrunk;
mod silent;
mod stood_still;
mod stopped_early;
mod stores;
mod support;
mod tickets;
mod tickets_doubts;
mod tickets_killed;
mod told;
mod transform;
mod types;
mod validate;
mod verbs;
mod what_failed;
mod windows;
