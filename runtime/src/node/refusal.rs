//! Why a group refuses, in words for whoever asked.

use std::sync::Arc;
use std::time::Duration;

use synod_core::{ChangeRefusal, ReadRefusal, Refusal};

use super::error::{ChangeError, ProposeError, ReadError};

pub(super) fn refused(refusal: Refusal, failed: Option<&Arc<str>>) -> ProposeError {
    match refusal {
        Refusal::Overloaded => ProposeError::Overloaded { retry_after: LOOK_AGAIN },
        // The limit was checked with its numbers before.
        Refusal::TooLarge => ProposeError::TooLarge { bytes: 0, max: 0 },
        Refusal::NotMember => ProposeError::NotMember,
        Refusal::Failed => ProposeError::Failed { reason: reason(failed) },
    }
}

pub(super) fn change_refused(refusal: ChangeRefusal, failed: Option<&Arc<str>>) -> ChangeError {
    match refusal {
        ChangeRefusal::VersionConflict(version) => ChangeError::VersionConflict { version },
        ChangeRefusal::HasLeft(node) => ChangeError::HasLeft(node),
        ChangeRefusal::Overloaded => ChangeError::Overloaded,
        ChangeRefusal::Failed => ChangeError::Failed { reason: reason(failed) },
    }
}

pub(super) fn read_refused(refusal: ReadRefusal, failed: Option<&Arc<str>>) -> ReadError {
    match refusal {
        ReadRefusal::Overloaded => ReadError::Overloaded,
        ReadRefusal::TimedOut => ReadError::TimedOut,
        ReadRefusal::NotMember => ReadError::NotMember,
        ReadRefusal::Failed => ReadError::Failed { reason: reason(failed) },
    }
}

pub(super) fn reason(failed: Option<&Arc<str>>) -> Arc<str> {
    failed.map_or_else(|| "the group has stopped".into(), Arc::clone)
}

/// When to try again what a full queue refused, if nothing better is known.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);
