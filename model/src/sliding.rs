//! Rule 4.8 (sliding window): the window `(T - size, T]` at every instant T at which a group's content
//! changes.
//!
//! ```text
//!   events        34          38          42
//!   size 5        (…34]                          in at ts, out at ts + size
//!   rows at       34          38 39       42 43  (47: the content is empty, no row)
//! ```
//!
//! Content changes at `ts` of an event that enters and at `ts + size` of one that leaves, and at
//! `ts + size` it is already out. All changes of one instant make one row with the content after them,
//! also where the aggregate stays equal (A-SLIDING-EXIT); only groups that changed give a row
//! (A-SLIDING-GROUP).

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::plan::Group;
use rewindow_query::{Span, Timestamp};

use crate::fact::{Fact, Failures};
use crate::group::{Member, close};

pub(crate) fn sliding(group: &Group, size: Span, members: &[Member], failures: &mut Failures) -> Vec<Fact> {
    let mut groups: BTreeMap<_, Vec<&Member>> = BTreeMap::new();
    for member in members {
        groups.entry(member.key.clone()).or_default().push(member);
    }
    let mut rows = Vec::new();
    for (key, members) in groups {
        let changes = |member: &&Member| [member.timestamp, member.timestamp.plus(size)];
        let instants: BTreeSet<Timestamp> = members.iter().flat_map(changes).collect();
        for instant in instants {
            let entered = members.partition_point(|member| member.timestamp <= instant);
            let left = members.partition_point(|member| member.timestamp <= instant.minus(size));
            let content = &members[left..entered]; // members are sorted by timestamp
            rows.extend(close(group, instant, key.clone(), content, failures));
        }
    }
    rows.sort_by_key(|row| row.timestamp); // stable: equal instants in the order of keys
    rows
}
