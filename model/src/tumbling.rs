//! Rule 4.6 (tumbling window): windows `(end - size, end]` with ends at `k * size + offset`.
//!
//! ```text
//!        (         ](         ](         ]
//!   offset       +size     +2 size             an event stamped exactly at an end belongs to that end
//! ```
//!
//! Every event is in exactly one window, the one that ends at `ceil((ts - offset) / size) * size + offset`.
//! A group without events gives no row (rule 4.4); a row is stamped with the end (rule 4.2).

use std::collections::BTreeMap;

use rewindow_query::plan::Group;
use rewindow_query::{Span, Timestamp};

use crate::fact::{Fact, Failures};
use crate::group::{Member, close};

pub(crate) fn tumbling(
    group: &Group,
    size: Span,
    offset: Span,
    members: &[Member],
    failures: &mut Failures,
) -> Vec<Fact> {
    let mut windows: BTreeMap<_, Vec<&Member>> = BTreeMap::new();
    for member in members {
        let end = window_end(member.timestamp, size, offset);
        windows.entry((end, member.key.clone())).or_default().push(member);
    }
    windows
        .into_iter()
        .filter_map(|((end, key), content)| close(group, end, key, &content, failures))
        .collect()
}

/// The first of the instants `k * size + offset` that is not before `timestamp`, `k` any whole number.
pub(crate) fn window_end(timestamp: Timestamp, size: Span, offset: Span) -> Timestamp {
    let (t, size, offset) = (i128::from(timestamp.0), i128::from(size.0), i128::from(offset.0));
    let windows = -(offset - t).div_euclid(size); // ceil((t - offset) / size)
    let end = windows * size + offset;
    Timestamp(i64::try_from(end).unwrap_or(i64::MAX))
}
