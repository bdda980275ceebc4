//! What waits in front of the sink: the line of one shard.
//!
//! Only state; `writing.rs` moves it. Invariant: the first that waits is the one that was tried.

use std::collections::VecDeque;

use rewindow_engine::commit::{Stage, Writer};
use rewindow_query::Timestamp;

use crate::outcome::Delivery;

use super::Seen;

/// One shard in front of the sink.
#[derive(Default)]
pub(super) struct Line {
    pub(super) seen: Seen,
    /// What the sink has not taken, or not acknowledged, in order.
    pub(super) waiting: VecDeque<Waiting>,
    /// Until then the first of them is not tried again.
    pub(super) rest_until: Option<Timestamp>,
    /// The writer's side of a transactional sink.
    pub(super) writer: Option<Writer>,
}

/// Something to be written.
pub(super) struct Waiting {
    pub(super) job: Job,
    /// It was done, and its acknowledgement was lost.
    pub(super) done: bool,
}

#[derive(Clone)]
pub(super) enum Job {
    /// Rows from a worker whose frontier is now this.
    Rows { delivery: Delivery, stage: Option<Stage>, frontier: Timestamp },
    /// Transactions become visible.
    Commit { by: u32, numbers: Vec<u64>, successor: bool },
    /// Transactions are given up.
    Abort { by: u32, numbers: Vec<u64> },
}
