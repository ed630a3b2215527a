//! Extraction: the request tree, authentication, paginators (no I/O), and the HTTP client with its retries and limits.

pub mod auth;
pub mod http;
pub mod paginate;
pub mod request;
