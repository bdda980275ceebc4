//! One application sends each event to every region: the same payloads, arrivals and offsets of their own.
//!
//! ```text
//!   sent        a   b c
//!   region 0     a   c b        each event has its own delay, so neighbours may change places
//!   region 1       ab  [gone] c    what arrives at a region that is gone is sent again until it is back
//! ```
//!
//! A delay is a function of the region's salt and the event's index: no dice. Invariant: in each partition
//! arrivals never decrease and offsets are consecutive.

use std::sync::Arc;

use rewindow_query::{Entry, History, Span, Timestamp};

use super::{Region, RegionsCase};

/// The history of one region.
pub(super) fn fan(case: &RegionsCase, region: &Region) -> Arc<History> {
    let mut arrived: Vec<(Timestamp, usize, &Entry)> = Vec::new();
    for (index, entry) in case.base.history.entries.iter().enumerate() {
        let at = accepted(region, entry.arrival.plus(delay(region, index)));
        arrived.push((at, index, entry));
        if region.twice.binary_search(&index).is_ok() {
            arrived.push((at, index, entry));
        }
    }
    arrived.sort_by_key(|&(at, index, _)| (at, index));
    let mut next: Vec<Vec<u64>> =
        case.base.inputs.iter().map(|input| vec![0; input.partitions as usize]).collect();
    let mut take = |(arrival, _, entry): (Timestamp, usize, &Entry)| {
        let next = &mut next[entry.input][entry.partition as usize];
        *next += 1;
        Entry { arrival, offset: *next - 1, ..entry.clone() }
    };
    let entries = arrived.into_iter().map(&mut take).collect();
    Arc::new(case.base.history.with_entries(entries))
}

/// How long an event is on its way.
fn delay(region: &Region, index: usize) -> Span {
    let (least, most) = region.delay;
    let width = most.0.saturating_sub(least.0).unsigned_abs().saturating_add(1);
    Span(least.0 + (mixed(u64::from(region.salt) << 32 ^ index as u64) % width).cast_signed())
}

/// A region that is gone accepts an event when it is back.
fn accepted(region: &Region, at: Timestamp) -> Timestamp {
    let outage = region.outages.iter().find(|outage| outage.at <= at && at < outage.back);
    outage.map_or(at, |outage| outage.back)
}

/// The finalizer of SplitMix64: every bit of the result depends on every bit of the number.
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use rewindow_query::{Payload, Record};

    use super::*;
    use crate::regions::{Outage, file::tests::pair};

    fn seconds(case: &RegionsCase, region: usize) -> Vec<i64> {
        let begin = case.base.history.entries[0].arrival;
        let history = fan(case, &case.regions[region]);
        history.entries.iter().map(|entry| entry.arrival.since(begin).0 / 10_000_000).collect()
    }

    #[test]
    fn each_region_gets_every_payload_in_its_own_order() {
        let mut case = pair(20);
        case.regions[1].delay = (Span::ZERO, Span::seconds(9));
        let [one, two] = [0, 1].map(|region| fan(&case, &case.regions[region]));
        let payloads = |history: &History| -> Vec<Arc<Record>> {
            let event = |entry: &Entry| match &entry.payload {
                Payload::Event(record) => record.clone(),
                other => panic!("{other:?}"),
            };
            history.entries.iter().map(event).collect()
        };
        let (mut a, mut b) = (payloads(&one), payloads(&two));
        assert_ne!(a, b, "neighbours change places");
        a.sort();
        b.sort();
        assert_eq!(a, b);
        assert_eq!(fan(&case, &case.regions[1]), two, "the same delays again");
    }

    #[test]
    fn what_meets_an_outage_arrives_when_the_region_is_back_and_twice_is_twice() {
        let mut case = pair(6);
        let begin = case.base.history.entries[0].arrival;
        let at = |s: i64| begin.plus(Span::seconds(s));
        case.regions[0].delay = (Span::ZERO, Span::ZERO);
        case.regions[0].outages = vec![Outage { at: at(2), back: at(4) }];
        case.regions[0].twice = vec![5];
        assert_eq!(seconds(&case, 0), [0, 1, 4, 4, 4, 5, 5]);
    }
}
