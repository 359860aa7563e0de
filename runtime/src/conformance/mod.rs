//! Checks for what you put in the place of a part of Synod: whether it keeps the promises that the
//! rest relies on.
//!
//! For the tests of that part; feature `conformance`.

pub mod transport;
