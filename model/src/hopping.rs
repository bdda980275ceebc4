//! Rule 4.7 (hopping window): windows `(end - size, end]` with ends at `k * hop + offset`.
//!
//! An event is in every window with `end - size < ts <= end`: in several where hop < size, in none
//! where it falls between windows (A-HOP-GT-SIZE). Size need not be a multiple of hop.

use std::collections::BTreeMap;

use rewindow_query::Span;
use rewindow_query::plan::Group;

use crate::fact::{Fact, Failures};
use crate::group::{Member, close};
use crate::tumbling::window_end;

pub(crate) fn hopping(
    group: &Group,
    size: Span,
    hop: Span,
    offset: Span,
    members: &[Member],
    failures: &mut Failures,
) -> Vec<Fact> {
    let mut windows: BTreeMap<_, Vec<&Member>> = BTreeMap::new();
    for member in members {
        let mut end = window_end(member.timestamp, hop, offset);
        while end.minus(size) < member.timestamp {
            windows.entry((end, member.key.clone())).or_default().push(member);
            end = end.plus(hop);
        }
    }
    windows
        .into_iter()
        .filter_map(|((end, key), content)| close(group, end, key, &content, failures))
        .collect()
}
