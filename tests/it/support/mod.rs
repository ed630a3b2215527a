//! What the tests share.

pub(crate) mod api;
pub(crate) mod appliance;
pub(crate) mod bench;
pub(crate) mod desk;
pub(crate) mod duck;
pub(crate) mod faulty;
pub(crate) mod files;
pub(crate) mod lake;
pub(crate) mod patience;
pub(crate) mod python;
pub(crate) mod recorded;
pub(crate) mod s3;
pub(crate) mod source;
pub(crate) mod workspace;
