//! Rows that could be lost or doubled quietly.
