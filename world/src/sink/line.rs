//! What waits in front of the sink: the line of one shard.
//!
//! It is in the memory of the process that writes for the shard: it is lost with it, and stands still while that hangs.
//! Only state; `writing.rs` moves it. Invariant: the first that waits is the one that was tried.

use std::collections::VecDeque;

use rewindow_engine::commit::{Stage, Writer};
use rewindow_query::Timestamp;

use crate::outcome::Delivery;

/// One shard in front of the sink, as the process that writes for it has it in memory.
#[derive(Default)]
pub(crate) struct Line {
    /// What the sink has not taken, or not acknowledged, in order.
    pub(super) waiting: VecDeque<Waiting>,
    /// Until then the first of them is not tried again.
    pub(super) rest_until: Option<Timestamp>,
    /// The writer's side of a transactional sink.
    pub(super) writer: Option<Writer>,
    /// The generation that began when the task that writes was opened.
    pub(super) by: u32,
}

impl Line {
    /// Whether anything waits.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What waits in a process that was replaced: it is written after so many openings, and what it says of how far the
    /// shard has come is out of date.
    pub(crate) fn of_replaced(mut self, opened: u32) -> Line {
        for waiting in &mut self.waiting {
            if let Job::Rows { delivery, frontier, .. } = &mut waiting.job {
                (delivery.generation, *frontier) = (opened, Timestamp::MIN);
            }
        }
        self
    }
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
