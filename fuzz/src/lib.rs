//! The bodies of the fuzz targets, as plain functions. Each panics if it finds something.
#![forbid(unsafe_code)]

pub mod frames;
pub mod group;
pub mod log_recovery;
pub mod schedule;
