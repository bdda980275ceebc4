//! Our engine: the query text below through the analysis, one shard, batches of 8192 events as columns, with the
//! ordering stage on; rows by column, as the engine hands them to whoever gave it columns.
use std::sync::Arc;

use common::*;
use rewindow_engine::column::{Column, Data};
use rewindow_engine::{Instance, OutputBatch, ProducedColumns};
use rewindow_query::plan::{Op, Source, SourceColumn};
use rewindow_query::{Ordering, Plan, Policy, Span, Timestamp, analyse};

const BATCH: usize = 8192;

/// Query of a workload, and the columns whose sum is its checksum field.
fn workload(name: &str) -> (&'static str, &'static [usize]) {
    match name {
        "w1" | "w6a" => (
            "SELECT k, COUNT(*) AS c, SUM(v) AS s, MIN(v) AS l, MAX(v) AS h, AVG(v) AS a \
             FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 10)",
            &[1, 2, 3, 4, 5],
        ),
        "w2" => {
            ("SELECT k, SUM(v) AS s FROM a TIMESTAMP BY t GROUP BY k, HoppingWindow(second, 60, 1)", &[1])
        }
        "w3" | "w6b" => (
            "SELECT SUM(v) OVER (PARTITION BY k LIMIT DURATION(second, 60)) AS s, \
             MAX(v) OVER (PARTITION BY k LIMIT DURATION(second, 60)) AS h FROM a TIMESTAMP BY t",
            &[0, 1],
        ),
        "w3s" => (
            "SELECT k, SUM(v) AS s, MAX(v) AS h FROM a TIMESTAMP BY t GROUP BY k, SlidingWindow(second, 60)",
            &[1, 2],
        ),
        "w4" => (
            "SELECT l.v AS x, r.v AS y FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t \
             ON l.k = r.k AND DATEDIFF(microsecond, l, r) BETWEEN 0 AND 10000000",
            &[0, 1],
        ),
        "w5" => (
            "SELECT LAG(v) OVER (PARTITION BY k LIMIT DURATION(second, 60)) AS p, \
             LAST(v) OVER (PARTITION BY k LIMIT DURATION(second, 60) WHEN v >= 90000) AS q FROM a TIMESTAMP BY t",
            &[0, 1],
        ),
        "w7" => (
            "SELECT k, COUNT(*) AS c, SUM(v) AS s, DATEDIFF(microsecond, MIN(t), MAX(t)) AS d \
             FROM a TIMESTAMP BY t GROUP BY k, SessionWindow(second, 5, 86400) OVER (PARTITION BY k)",
            &[1, 2, 3],
        ),
        other => panic!("workload {other} is not one the engine can answer"),
    }
}

/// Adds the rows of a batch. A float is cut, NULL is -1.
fn fold(out: &mut Out, batch: &OutputBatch, fields: &[usize]) {
    let mut sums = vec![0; batch.timestamps.len()];
    for &field in fields {
        let Column { data, nulls } = &*batch.columns[field];
        match data {
            Data::Int(ints) => sums.iter_mut().zip(ints).for_each(|(sum, int)| *sum += int),
            Data::Float(floats) => sums.iter_mut().zip(floats).for_each(|(sum, float)| *sum += *float as i64),
            Data::Null(_) => sums.iter_mut().for_each(|sum| *sum -= 1),
            other => panic!("{other:?} are no numbers"),
        }
        // A NULL's number is 0.
        let marks = sums.iter_mut().zip(nulls.iter().flatten());
        marks.for_each(|(sum, &null)| *sum -= i64::from(null));
    }
    sums.into_iter().for_each(|sum| out.add(sum));
}

/// Events of one stream as the engine takes them: arrivals, then one column for each of the Source node.
struct Batches {
    input: usize,
    next: usize,
    offset: u64,
    /// In order; the first arrival tells which of two streams is fed next.
    batches: Vec<Option<(Vec<i64>, Vec<Column>)>>,
}

impl Batches {
    /// Windows are (start, end] here and [start, end) in the limit's loops: a microsecond later everywhere makes
    /// the contents equal. The arrival is the greatest event time so far.
    fn new(cols: &Cols, plan: &Plan, input: usize) -> Batches {
        let start = Timestamp::parse("2024-01-01T00:00:00Z").expect("a date is an instant").0;
        let source = source(plan, input);
        let mut arrived = i64::MIN;
        let batch = |from: usize| {
            let range = from..(from + BATCH).min(cols.len());
            let times: Vec<i64> = cols.ts[range.clone()].iter().map(|t| start + (t + 1) * 10).collect();
            let arrivals: Vec<i64> = times
                .iter()
                .map(|&time| {
                    arrived = arrived.max(time);
                    arrived
                })
                .collect();
            let column = |column: &SourceColumn| match column {
                SourceColumn::Member(name) if &**name == "t" => Column::datetimes(times.clone()),
                SourceColumn::Member(name) if &**name == "k" => {
                    Column::ints(cols.key[range.clone()].iter().map(|&key| i64::from(key)).collect())
                }
                SourceColumn::Member(name) if &**name == "v" => {
                    Column::ints(cols.val[range.clone()].to_vec())
                }
                SourceColumn::Member(name) => panic!("the data has no {name}"),
                // The engine fills these in.
                _ => Column { data: Data::Null(range.len()), nulls: None },
            };
            let columns = source.columns.iter().map(column).collect();
            Some((arrivals, columns))
        };
        Batches { input, next: 0, offset: 0, batches: (0..cols.len()).step_by(BATCH).map(batch).collect() }
    }

    fn first_arrival(&self) -> i64 {
        self.batches.get(self.next).and_then(Option::as_ref).map_or(i64::MAX, |(arrivals, _)| arrivals[0])
    }

    fn feed(&mut self, instance: &mut Instance) -> ProducedColumns {
        let (arrivals, columns) = self.batches[self.next].take().expect("a batch is fed once");
        let offset = self.offset;
        self.next += 1;
        self.offset += arrivals.len() as u64;
        instance.feed_columns(self.input, 0, offset, &arrivals, columns).expect("no row fails")
    }
}

fn source(plan: &Plan, input: usize) -> &Source {
    let mut sources = plan.nodes.iter().map(|node| &node.op).filter_map(|op| match op {
        Op::Source(source) if source.input == input => Some(source),
        _ => None,
    });
    sources.next().expect("the plan reads each input")
}

fn main() {
    let a = args();
    let (query, fields) = workload(&a.wl);
    let plan = Arc::new(analyse(query, None).unwrap_or_else(|error| panic!("{error}")));
    let names =
        if a.wl == "w4" { vec![format!("{}_l", a.ds), format!("{}_r", a.ds)] } else { vec![a.ds.clone()] };
    let mut n = 0;
    let mut streams: Vec<Batches> = names
        .iter()
        .enumerate()
        .map(|(input, name)| {
            let cols = Cols::load(&a.dir, name, a.n);
            n += cols.len();
            Batches::new(&cols, &plan, input)
        })
        .collect();
    let out_of_order = if a.ds.ends_with("_ooo") { Span::seconds(5) } else { Span::ZERO };
    let ordering = Ordering { late: Span::seconds(10), out_of_order, policy: Policy::Adjust };
    let shard = plan.shards(&vec![1; names.len()]).remove(0);
    let mut instance = Instance::new(plan, shard, ordering, Timestamp::MIN);
    report("rewindow", &a, n, || {
        let mut out = Out::default();
        let mut take = |produced: ProducedColumns| {
            assert!(produced.dropped.is_empty(), "no event is dropped");
            produced.batches.iter().for_each(|batch| fold(&mut out, batch, fields));
        };
        // Of two streams the one that is behind.
        while let Some(stream) =
            streams.iter_mut().min_by_key(|s| s.first_arrival()).filter(|s| s.first_arrival() < i64::MAX)
        {
            take(stream.feed(&mut instance));
        }
        take(instance.finish_columns().expect("no row fails"));
        out
    });
}
