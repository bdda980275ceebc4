//! Rule 4.9 (session window): events without a longer silence between them than the timeout.
//!
//! ```text
//!   timeout 5, max 10      check points at 10, 20, 30: multiples of max, counted from tick zero
//!
//!   events   5  8  11  14  17  19   22  25  28   31  34
//!            [ start 5 ............]20 at 10 the session is 5 old, at 20 it is 15 >= 10 old: ended at 20
//!                                  [ start 20 ...]30            at 30 it is 10 old: ended at 30
//!                                                [ start 30 ...... ]39 the silence: last event 34 + 5
//! ```
//!
//! A gap equal to the timeout extends (A-SESSION-TIMEOUT-EDGE); an event stamped at a check point is in the
//! session that ends there (A-SESSION-CHECK-EDGE). A forced end leaves an empty window that starts at the
//! check point and lives until the timeout of the last event; an event within it continues there, a later
//! one opens a session of its own (A-SESSION-CONTINUE). Borders are set by all events that agree in
//! PARTITION BY, grouping keys only split the contents (A-SESSION-NOPART, choice C-SESSION).

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::plan::Group;
use rewindow_query::{Span, Timestamp, Value};

use crate::fact::{Fact, Failures};
use crate::group::{Member, close};
use crate::tumbling::window_end;

/// End, grouping key and value of PARTITION BY: the order of the rows.
type Place<'a> = (Timestamp, Arc<[Value]>, &'a [Value]);

pub(crate) fn session(
    group: &Group,
    timeout: Span,
    max: Span,
    members: &[Member],
    failures: &mut Failures,
) -> Vec<Fact> {
    let mut lines: BTreeMap<&[Value], Vec<&Member>> = BTreeMap::new();
    for member in members {
        lines.entry(&member.session).or_default().push(member);
    }
    let mut contents: BTreeMap<Place<'_>, Vec<&Member>> = BTreeMap::new();
    for (session_by, line) in lines {
        for (end, content) in sessions(&line, timeout, max) {
            for member in content {
                contents.entry((end, member.key.clone(), session_by)).or_default().push(member);
            }
        }
    }
    contents
        .into_iter()
        .filter_map(|((end, key, _), content)| close(group, end, key, &content, failures))
        .collect()
}

/// The sessions of events that share borders, each with its end and content.
fn sessions<'a>(line: &[&'a Member], timeout: Span, max: Span) -> Vec<(Timestamp, Vec<&'a Member>)> {
    let mut ended = Vec::new();
    let Some(first) = line.first() else { return ended };
    let (mut start, mut last) = (first.timestamp, first.timestamp);
    let mut content: Vec<&Member> = Vec::new();
    for member in line {
        let end = silence(last, timeout);
        // Check points before this event, as long as the session lives.
        let forced = window_end(start.plus(max), max, Span::ZERO);
        if forced <= end && forced < member.timestamp {
            ended.push((forced, std::mem::take(&mut content)));
            start = last_check_point(end.min(member.timestamp.minus(Span::TICK)), max);
        }
        if member.timestamp > end {
            ended.push((end, std::mem::take(&mut content)));
            start = member.timestamp;
        }
        content.push(member);
        last = member.timestamp;
    }
    let end = silence(last, timeout);
    ended.push((window_end(start.plus(max), max, Span::ZERO).min(end), content));
    ended.retain(|(_, content)| !content.is_empty());
    ended
}

/// When a session ends if nothing follows its last event.
fn silence(last: Timestamp, timeout: Span) -> Timestamp {
    last.plus(timeout)
}

/// The last check point at or before the instant: windows without events are closed there, unseen, and the
/// next one starts there.
fn last_check_point(instant: Timestamp, max: Span) -> Timestamp {
    window_end(instant.minus(max).plus(Span::TICK), max, Span::ZERO)
}
