//! What the fuzz targets call: functions of bytes that panic if a claim does not hold.
//!
//! They are here, not in `fuzz/`, so that the committed corpora run on stable Rust under `cargo test`
//! (`tests/corpus.rs`) through the same code. They judge nothing by themselves: what is right is said by the
//! judge, or is that a reader of foreign bytes does not panic. Invariant: sizes are capped here, so that any
//! input ends soon.

use std::sync::Arc;

use arbitrary::Unstructured;
use rewindow_engine::instance::Instance;
use rewindow_query::{Entry, Failure, Plan, Row, Shard, Timestamp, analyse};
use rewindow_world::case::Case;
use rewindow_world::engine_subject::EngineSubject;

use crate::choices::Tape;
use crate::generate::small_case;
use crate::judge::{Truth, Verdict};
use crate::report;
use crate::trial::trial;

/// Longest text that is looked at, in bytes.
const TEXT_MAX: usize = 4_096;

/// A whole small case from a tape of choices: the engine under its faults gives what the model owes.
///
/// # Panics
/// With the breach and the case, if it is broken.
pub fn recovery(data: &[u8]) {
    let case = small_case(&mut Tape::new(data));
    let truth = Truth::of(&case).unwrap_or_else(|error| panic!("{error}\n{}", case.to_toml()));
    let subject = EngineSubject::of_case(&truth.plan, &case);
    if let (_, Verdict::Broken(breach)) = trial(&truth, &case, &subject, false) {
        panic!("{}\n{}\n\n{}", report::title(&breach), breach.message, case.to_toml());
    }
}

/// Edits of a checkpoint, then a tape for the case it was taken in: reading it back never panics. Unedited it
/// is read, and what follows is as if nothing had happened. Edited it is refused. Where the sum at the end is
/// made to fit the edits again they reach past the first gate, and then anything but a panic is right.
///
/// # Panics
/// If not so.
pub fn checkpoint_bytes(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(damage) = Damage::read(&mut bytes) else { return };
    let case = small_case(&mut Tape::new(bytes.take_rest()));
    let Ok(truth) = Truth::of(&case) else { return };
    for shard in &truth.shards {
        damaged(&damage, &case, &truth, shard);
    }
}

fn damaged(damage: &Damage, case: &Case, truth: &Truth, shard: &Shard) {
    let plan: &Arc<Plan> = &truth.plan;
    let entries: Vec<&Entry> = case.history.entries.iter().filter(|e| reads(plan, case, shard, e)).collect();
    let cut = usize::from(damage.cut) % (entries.len() + 1);
    let mut instance = Instance::new(plan.clone(), shard.clone(), case.ordering, Timestamp::MIN);
    if feed(&mut instance, plan, case, &entries[..cut]).is_err() {
        return;
    }
    let saved = instance.checkpoint();
    let edited = damage.of(&saved);
    let restored = Instance::restore(plan.clone(), shard.clone(), case.ordering, &edited);
    let rest = |mut instance: Instance| -> Result<Vec<Row>, Failure> {
        let mut rows = feed(&mut instance, plan, case, &entries[cut..])?;
        rows.extend(instance.finish()?.rows);
        instance.explain();
        Ok(rows)
    };
    match restored {
        Ok(restored) if edited == saved => {
            let (rows, owed) = (rest(restored), rest(instance));
            assert_eq!(rows, owed, "restored at entry {cut} of\n{}", case.to_toml());
        }
        Ok(_) => assert!(damage.forged, "a damaged checkpoint was read\n{}", case.to_toml()),
        Err(error) => assert!(edited != saved, "{error}: refused its own checkpoint\n{}", case.to_toml()),
    }
}

fn reads(plan: &Plan, case: &Case, shard: &Shard, entry: &Entry) -> bool {
    let own = plan.input(&case.inputs[entry.input].name);
    own.is_some_and(|input| shard.reads.contains(&(input, entry.partition)))
}

fn feed(instance: &mut Instance, plan: &Plan, case: &Case, entries: &[&Entry]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for &entry in entries {
        let input = plan.input(&case.inputs[entry.input].name).expect("a shard reads inputs of its plan");
        let entry = Entry { input, ..entry.clone() };
        rows.extend(instance.feed(input, entry.partition, &[entry])?.rows);
    }
    Ok(rows)
}

/// What happens to a checkpoint.
struct Damage {
    /// After how many entries it is taken, modulo what there is.
    cut: u8,
    /// It is replaced by these bytes instead of being edited.
    foreign: Option<Vec<u8>>,
    /// Place, modulo the length, and the bits that are turned.
    edits: Vec<(u16, u8)>,
    /// It is cut short by so many bytes.
    short: u8,
    /// The sum at the end is made to fit.
    forged: bool,
}

impl Damage {
    fn read(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Damage> {
        let [cut, kind, count, short]: [u8; 4] = bytes.arbitrary()?;
        let foreign = match kind % 8 {
            0 => Some(bytes.bytes(usize::from(count).min(bytes.len()))?.to_vec()),
            _ => None,
        };
        let edits = match foreign {
            Some(_) => Vec::new(),
            None => (0..count % 5).map(|_| bytes.arbitrary()).collect::<arbitrary::Result<_>>()?,
        };
        let short = if kind & 8 == 0 { 0 } else { short };
        Ok(Damage { cut, foreign, edits, short, forged: kind & 16 != 0 })
    }

    fn of(&self, saved: &[u8]) -> Vec<u8> {
        let mut bytes = self.foreign.clone().unwrap_or_else(|| saved.to_vec());
        bytes.truncate(bytes.len().saturating_sub(usize::from(self.short)));
        let len = bytes.len();
        for &(place, bits) in self.edits.iter().filter(|_| len > 0) {
            bytes[usize::from(place) % len] ^= bits;
        }
        if let Some(body) = len.checked_sub(SUM_LEN).filter(|_| self.forged) {
            let sum = sum(&bytes[..body]).to_le_bytes();
            bytes[body..].copy_from_slice(&sum);
        }
        bytes
    }
}

/// Bytes of the sum that ends a checkpoint.
const SUM_LEN: usize = 8;

/// The sum of a checkpoint's bytes, as the engine makes it (a test notices when it does not any more).
fn sum(bytes: &[u8]) -> u64 {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    let start = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let sum = bytes
        .chunks(8)
        .fold(start, |sum, chunk| (sum ^ word(chunk)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29));
    sum ^ (sum >> 32)
}

/// Any text as a query: never a panic, a refusal points into the text, and what is accepted is accepted
/// again, in the same way.
///
/// # Panics
/// If not so.
pub fn query_text(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(TEXT_MAX)]);
    let streams = ["a".to_owned(), "b".to_owned()];
    for known in [None, Some(&streams[..])] {
        match analyse(&text, known) {
            Ok(plan) => {
                assert_eq!(analyse(&text, known).as_ref(), Ok(&plan), "analysed in two ways");
                for output in 0..plan.outputs.len() {
                    plan.lookback(output);
                }
            }
            Err(error) => {
                assert!(error.place.start <= error.place.end, "{error:?}");
                assert!(text.get(error.place.clone()).is_some(), "{error:?} is not in {text:?}");
                assert!(error.line_and_column(&text) >= (1, 1));
            }
        }
    }
}

/// Any text as a case file or a report: never a panic, and what can be read is written and read back
/// equal.
///
/// # Panics
/// If not so.
pub fn case_file(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(4 * TEXT_MAX)]);
    if let Ok(case) = report::read(&text) {
        case.check().expect("a case that was read can be run");
        let written = case.to_toml();
        assert_eq!(Case::from_toml(&written), Ok(case), "{written}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Seeded;

    #[test]
    fn a_forged_sum_is_the_engines() {
        let case = small_case(&mut Seeded::new(1, 1));
        let truth = Truth::of(&case).unwrap();
        let shard = truth.shards[0].clone();
        let saved = Instance::new(truth.plan.clone(), shard, case.ordering, Timestamp::MIN).checkpoint();
        let forged = Damage { cut: 0, foreign: None, edits: Vec::new(), short: 0, forged: true };
        assert_eq!(forged.of(&saved), saved);
        let edited = Damage { edits: vec![(20, 1)], forged: false, ..forged };
        assert_ne!(edited.of(&saved), saved);
    }
}
