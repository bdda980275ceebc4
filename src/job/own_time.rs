//! When an event says that it happened: the value of TIMESTAMP BY, for events whose arrival nobody wrote down.
//!
//! The engine's own ordering stage says it, under tolerances that leave every timestamp as it is. Knows
//! nothing of files. Invariant: one answer for each payload, in their order.

use std::sync::Arc;

use rewindow_engine::Instance;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{Input, Item, Node, Op, Output, Project, Source, SourceColumn};
use rewindow_query::time::SECOND;
use rewindow_query::{Entry, Ordering, Payload, Plan, Policy, Span, Timestamp, Value};

/// The service's column for the arrival (rule 3.11), as samples saved from it have it.
const ENQUEUED: &str = "EventEnqueuedUtcTime";

/// The timestamp of events that nothing says the time of: 2000-01-01. As in a local run of the service, all have
/// the same.
pub(super) const NOT_SAID: Timestamp = Timestamp(730_119 * 86_400 * SECOND);

/// The latest instant at which a day's worth of ticks can be added to an arrival, and no event is early.
const LAST: &str = "9999-12-31T23:55:01Z";

/// The time each event says: the value of the first TIMESTAMP BY of the input, or its column
/// EventEnqueuedUtcTime where the query has none. `None` where it says none.
pub(super) fn of(plan: &Plan, input: usize, payloads: &[&Payload]) -> Vec<Option<Timestamp>> {
    match timed(plan, input) {
        Some((source, node)) => timestamps(plan, source, node, payloads),
        None => payloads.iter().map(|payload| enqueued(payload)).collect(),
    }
}

/// Whether the query says when an event of the input was.
pub(super) fn says(plan: &Plan, input: usize) -> bool {
    timed(plan, input).is_some()
}

fn timed(plan: &Plan, input: usize) -> Option<(&Source, &Node)> {
    plan.nodes.iter().find_map(|node| match &node.op {
        Op::Source(source) if source.input == input && source.timestamp_by.is_some() => Some((source, node)),
        _ => None,
    })
}

/// A value as an instant: a datetime, or ISO 8601 text.
pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Datetime(instant) => Some(*instant),
        Value::Text(text) => Timestamp::parse(text),
        _ => None,
    }
}

fn enqueued(payload: &Payload) -> Option<Timestamp> {
    match payload {
        Payload::Event(event) => instant(event.get(ENQUEUED)?),
        _ => None,
    }
}

/// Runs the source alone. Every entry arrives at a tick of its own, by which its row is known again.
fn timestamps(plan: &Plan, source: &Source, node: &Node, payloads: &[&Payload]) -> Vec<Option<Timestamp>> {
    let last = Timestamp::parse(LAST).expect("it is an instant");
    let plan = Arc::new(alone(plan, source, node));
    let entries: Vec<Entry> = (0_u64..)
        .zip(payloads)
        .map(|(offset, payload)| {
            let arrival = last.plus(Span(i64::try_from(offset).unwrap_or(i64::MAX)));
            Entry { input: 0, partition: 0, offset, arrival, payload: (*payload).clone() }
        })
        .collect();
    let wide = Ordering { late: Span(i64::MAX), out_of_order: Span(i64::MAX), policy: Policy::Adjust };
    let mut times = vec![None; payloads.len()];
    for shard in plan.shards(&[1]) {
        let mut instance = Instance::new(plan.clone(), shard, wide, Timestamp::MIN);
        let fed = instance.feed(0, 0, &entries);
        let ended = instance.finish();
        let rows = fed.into_iter().chain(ended).flat_map(|produced| produced.rows);
        for row in rows {
            let arrived = row.record.members().first().and_then(|(_, value)| instant(value));
            let index = arrived.and_then(|arrived| usize::try_from(arrived.since(last).0).ok());
            if let Some(time) = index.and_then(|index| times.get_mut(index)) {
                *time = Some(row.timestamp);
            }
        }
    }
    times
}

/// The plan that reads the source and says when each of its events arrived.
fn alone(plan: &Plan, source: &Source, node: &Node) -> Plan {
    let arrived: Arc<str> = "arrived".into();
    let (mut source, mut columns) = (source.clone(), node.columns.clone());
    let input = plan.inputs[source.input].name.clone();
    let place = source.columns.len();
    source.input = 0;
    source.over.clear();
    source.columns.push(SourceColumn::Arrival);
    columns.push(arrived.clone());
    let items = vec![Item::Column(arrived.clone(), Expr::Column(place))];
    let row =
        Node { op: Op::Project(Project { items }), inputs: vec![0], columns: vec![arrived], ..node.clone() };
    Plan {
        inputs: vec![Input { name: input }],
        references: Vec::new(),
        nodes: vec![Node { op: Op::Source(source), columns, ..node.clone() }, row],
        outputs: vec![Output { name: "own".into(), node: 1 }],
        parallel: false,
        abreast: Vec::new(),
        ..plan.clone()
    }
}

#[cfg(test)]
mod tests {
    use rewindow_query::json;

    use super::*;

    #[test]
    fn an_event_says_when_it_happened_however_far_apart_and_in_whatever_order() {
        let query = "SELECT first.a INTO x FROM first JOIN i TIMESTAMP BY DATEADD(hour, h, t)
            ON DATEDIFF(minute, first, i) BETWEEN 0 AND 1";
        let query = query.replace("FROM first", "FROM first TIMESTAMP BY t");
        let plan = rewindow_query::analyse(&query, None).unwrap();
        let texts = [
            r#"{"h":1,"t":"2024-01-01"}"#,
            r#"{"h":0,"t":"0001-01-01"}"#,
            r#"{"h":0,"t":"9999-12-31T23:59:59.9999999Z"}"#,
            r#"{"h":0,"t":"soon"}"#,
            r#"{"h":0,"t":"2023-01-01"}"#,
        ];
        let mut payloads: Vec<Payload> =
            texts.iter().map(|text| Payload::Event(Arc::new(json::read_event(text).unwrap()))).collect();
        payloads.insert(1, Payload::Malformed("{".into()));
        let times = of(&plan, 1, &payloads.iter().collect::<Vec<_>>());
        let expected = [
            Some("2024-01-01T01:00:00Z"),
            None,
            Some("0001-01-01"),
            Some("9999-12-31T23:59:59.9999999Z"),
            None,
            Some("2023-01-01"),
        ];
        assert_eq!(times, expected.map(|text| text.and_then(Timestamp::parse)));
    }

    #[test]
    fn without_timestamp_by_the_service_s_own_column_says_it() {
        let plan = rewindow_query::analyse("SELECT a FROM i", None).unwrap();
        let event = |text| Payload::Event(Arc::new(json::read_event(text).unwrap()));
        let payloads = [event(r#"{"eventEnqueuedUtcTime":"2024-01-01"}"#), event("{}")];
        let times = of(&plan, 0, &payloads.iter().collect::<Vec<_>>());
        assert_eq!(times, [Timestamp::parse("2024-01-01"), None]);
    }
}
