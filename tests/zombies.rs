//! Nodes that were replaced and go on: what they write goes through the sink as any other write, if nobody fences them.
//!
//! What no other suite would catch: a world in which a zombie could do no harm anyway, so that fencing is tested by
//! nothing. Each case here holds, and breaks as soon as fencing is taken out.

mod support;

use std::sync::Arc;

use rewindow::judge::{Kind, Truth, judge};
use rewindow_engine::Plant;
use rewindow_world::case::{Case, SinkKind};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::outcome::{Run, What};
use rewindow_world::reached;
use support::{engine, run, truth};

const HEAD: &str = r#"format = 1
name = "a node comes back"
query = '''
SELECT id INTO out FROM readings TIMESTAMP BY t
'''
inputs = [
  { name = "readings", partitions = PARTITIONS },
]
ordering = { late = "00:00:00", out_of_order = "00:00:00", policy = "adjust" }
deployment.nodes = NODES
deployment.keyed = KEYED
deployment.link_delay = "00:00:01"
deployment.checkpoint_interval = "00:04:00"
deployment.poll_interval = "00:00:01"
deployment.batch = 100
deployment.rate = 100
deployment.heartbeat = "1.00:00:00"
deployment.sink = "SINK"
faults = [
FAULTS
]
events = [
EVENTS
]
"#;

/// An event a minute on each partition, from minute 1 to 20.
fn case(sink: SinkKind, partitions: u32, (nodes, keyed): (u32, u32), faults: &str) -> Case {
    let minutes = (1..=20).flat_map(|minute| (0..partitions).map(move |partition| (minute, partition)));
    let event = |(minute, partition): (u32, u32)| {
        let at = format!("2024-01-01T00:{minute:02}:00Z");
        let id = minute * 10 + partition;
        format!(
            r#"  {{ in = "readings", p = {partition}, at = "{at}", data = '{{"t":"{at}","id":{id}}}' }},"#
        )
    };
    let events: Vec<String> = minutes.map(event).collect();
    let values = [
        ("PARTITIONS", partitions.to_string()),
        ("NODES", nodes.to_string()),
        ("KEYED", keyed.to_string()),
        ("SINK", sink.name().to_owned()),
        ("FAULTS", faults.to_owned()),
        ("EVENTS", events.join("\n")),
    ];
    let text = values.iter().fold(HEAD.to_owned(), |text, (name, value)| text.replace(name, value));
    Case::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn hang(node: u32) -> String {
    let at = "2024-01-01T00:09:30Z";
    format!(r#"  {{ at = "{at}", kind = "hang", node = {node}, noticed = "00:01:00", back = "00:04:00" }},"#)
}

/// The run of the healthy engine, which holds, and that without fencing, with what the judge says of it.
fn both(case: &Case) -> (Run, Run, Option<Kind>) {
    let truth: Truth = truth(case);
    let healthy = run(&truth, case, engine(&truth.plan, case).as_ref());
    assert_eq!(judge(&truth, case, &healthy).breach(), None);
    let subject = EngineSubject::of_case(&Arc::clone(&truth.plan), case).with_plant(Plant::FencingAbsent);
    let unfenced = run(&truth, case, &subject);
    let kind = judge(&truth, case, &unfenced).breach().map(|breach| breach.kind);
    (healthy, unfenced, kind)
}

/// How many rows the first opening wrote after it had been replaced.
fn late(run: &Run) -> usize {
    let late = |delivery: &&rewindow_world::outcome::Delivery| {
        let replaced = |r: &rewindow_world::outcome::RecoveryReport| r.role.writes() && r.at < delivery.at;
        delivery.opened < run.recoveries.iter().find(|r| replaced(r)).map_or(0, |r| r.generation)
    };
    run.deliveries.iter().filter(late).map(|delivery| delivery.rows.len()).sum()
}

#[test]
fn a_table_is_written_over_by_a_zombie_that_is_not_fenced() {
    let case = case(SinkKind::Upsert, 1, (1, 0), &hang(0));
    let (healthy, unfenced, kind) = both(&case);
    assert!(healthy.visible.iter().all(|row| row.generation == 1 || row.at < healthy.recoveries[0].at));
    // It read on from minute 10 to 13, whose rows its replacement had written.
    assert_eq!(late(&unfenced), 4);
    let over =
        unfenced.visible.iter().filter(|row| row.generation == 0 && row.at > unfenced.recoveries[0].at);
    assert_eq!(over.count(), 4);
    assert_eq!(kind, Some(Kind::Zombie));
}

#[test]
fn a_unique_key_refuses_what_a_zombie_writes_after_its_replacement() {
    let case = case(SinkKind::Unique, 1, (1, 0), &hang(0));
    let (healthy, unfenced, _) = both(&case);
    let skipped = |run: &Run| run.reached.get(reached::KEY_SKIPPED).copied().unwrap_or(0);
    assert_eq!(skipped(&unfenced), skipped(&healthy) + 4);
}

#[test]
fn a_transaction_of_a_zombie_goes_through_the_ledger() {
    let case = case(SinkKind::Transactional, 1, (1, 0), &hang(0));
    let (_, unfenced, kind) = both(&case);
    assert_eq!(late(&unfenced), 4);
    assert_eq!(kind, Some(Kind::Zombie));
}

/// A merge reads nothing itself: what had come for it while it hung is what it has to write.
#[test]
fn a_merge_that_hangs_goes_on_with_what_had_come_for_it() {
    // Partition tasks on nodes 0 and 1, the merge on node 2.
    let case = case(SinkKind::Append, 2, (3, 1), &hang(2));
    let (healthy, unfenced, kind) = both(&case);
    assert_eq!(late(&healthy), 0);
    let refused = healthy.trace.iter().filter(|step| step.what == What::Fenced);
    assert_eq!(refused.count(), 2, "its rows and its checkpoint");
    assert_eq!(late(&unfenced), 2, "the rows of minute 10, of both partitions");
    assert_eq!(kind, Some(Kind::Zombie));
}
