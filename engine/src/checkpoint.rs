//! A checkpoint: the whole state of an instance as bytes, and back.
//!
//! ```text
//!   "RWCK" | version | fingerprint | shard | ordering | output_from | frontier | failure
//!          | sum of the reference data met, if the plan has any | positions
//!          | for each node: id, frontier, length, state | sum of all bytes before
//! ```
//!
//! The first four bytes and the last eight mean the same in every version, so a torn checkpoint is told
//! from one of another version. Invariants: saving changes nothing; bytes are read whole or refused by name,
//! never misread, and no bytes make the reader panic.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::{Failure, Ordering, Plan, Policy, Shard, Timestamp};

use crate::codec::{Corrupt, Reader, Writer};
use crate::instance::{Instance, Work};
use crate::layout::Part;
use crate::plant::{Plant, Plants};
use crate::setup::Setup;

/// The version of the format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 4] = b"RWCK";

/// Bytes that this instance cannot go on from.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    /// They do not begin as a checkpoint does.
    #[error("these bytes are no checkpoint")]
    Foreign,
    /// They were cut short or changed since they were written.
    #[error("the checkpoint is torn {0}")]
    Torn(Corrupt),
    /// They have a format this program does not read.
    #[error("the checkpoint has format {found}, this program reads {FORMAT}")]
    Version {
        /// The format they name.
        found: u32,
    },
    /// They belong to another query.
    #[error("the checkpoint belongs to the query {found:016x}, not to {expected:016x}")]
    Query {
        /// The fingerprint they name.
        found: u64,
        /// The plan's.
        expected: u64,
    },
    /// They belong to another part of the job.
    #[error("the checkpoint belongs to another shard of the job")]
    Shard,
    /// They were written under other tolerances.
    #[error("the checkpoint was written with other settings of late and out-of-order events")]
    Ordering,
    /// They belong to another epoch of the shard: what it has in common with the other tasks is gone.
    #[error("the checkpoint belongs to epoch {found} of the shard, not to {expected}")]
    Epoch {
        /// The epoch they name.
        found: u64,
        /// The one that is opened.
        expected: u64,
    },
    /// They were written over other reference data than this one: a version in force before has changed.
    #[error("the checkpoint was written with other reference data")]
    References,
}

impl CheckpointError {
    /// The stable code of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            CheckpointError::Foreign => "checkpoint-foreign",
            CheckpointError::Torn(_) => "checkpoint-torn",
            CheckpointError::Version { .. } => "checkpoint-version",
            CheckpointError::Query { .. } => "checkpoint-query",
            CheckpointError::Shard => "checkpoint-shard",
            CheckpointError::Ordering => "checkpoint-ordering",
            CheckpointError::Epoch { .. } => "checkpoint-epoch",
            CheckpointError::References => "checkpoint-references",
        }
    }

    /// Whether the bytes are damaged rather than somebody else's: then there is as good as no checkpoint.
    pub fn is_damage(&self) -> bool {
        matches!(self, CheckpointError::Foreign | CheckpointError::Torn(_))
    }
}

impl From<Corrupt> for CheckpointError {
    fn from(corrupt: Corrupt) -> CheckpointError {
        CheckpointError::Torn(corrupt)
    }
}

impl Instance {
    /// The state as bytes. Changes nothing.
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.raw(MAGIC);
        writer.u32(FORMAT);
        writer.u64(self.fingerprint);
        save_shard(&self.shard, &mut writer);
        save_ordering(self.ordering, &mut writer);
        writer.timestamp(self.output_from);
        writer.timestamp(self.frontier);
        save_failure(self.failure.as_ref(), &mut writer);
        if !self.plan.references.is_empty() {
            writer.u64(self.references.sum_before(self.frontier));
        }
        for &position in self.positions.values() {
            let position = position + u64::from(self.plants.is(Plant::OffsetOneTooFar));
            writer.u64(position.saturating_sub(u64::from(self.plants.is(Plant::OffsetOneShort))));
        }
        for stage in &self.stages {
            let mut state = Writer::default();
            match &stage.work {
                Work::Source(source) => source.save(&mut state),
                Work::Operator(operator) => operator.save(&mut state),
                // Always given and taken in one go.
                Work::Fed(..) => {}
            }
            let state = state.finish();
            writer.len(stage.node);
            writer.timestamp(stage.until);
            writer.len(state.len());
            writer.raw(&state);
        }
        let mut bytes = writer.finish();
        seal(&mut bytes);
        bytes
    }

    /// The shard as it was when the checkpoint was taken.
    ///
    /// # Errors
    /// Bytes that are damaged, or belong to another query, shard, setting or version.
    pub fn restore(
        plan: Arc<Plan>,
        shard: Shard,
        ordering: Ordering,
        bytes: &[u8],
    ) -> Result<Instance, CheckpointError> {
        Setup::new(plan, shard, ordering).restore(bytes)
    }

    /// Whether a checkpoint is whole and names another query than this.
    pub(crate) fn is_of_another_query(setup: &Setup, bytes: &[u8]) -> bool {
        let mut reader = match checked(bytes, MAGIC) {
            Ok(bytes) => Reader::new(bytes),
            Err(_) => return false,
        };
        let named = reader.raw(MAGIC.len()).and_then(|_| reader.u32()).and_then(|_| reader.u64());
        named.is_ok_and(|named| named != setup.fingerprint)
    }

    pub(crate) fn restore_planted(
        setup: Setup,
        bytes: &[u8],
        plants: Plants,
    ) -> Result<Instance, CheckpointError> {
        let part = Part::whole(&setup.plan, &setup.shard);
        Instance::restore_part(setup, part, bytes, plants)
    }

    /// A part of the shard; the shard's reads are those of the part.
    pub(crate) fn restore_part(
        setup: Setup,
        part: Part,
        bytes: &[u8],
        plants: Plants,
    ) -> Result<Instance, CheckpointError> {
        let mut reader = Reader::new(checked(bytes, MAGIC)?);
        reader.raw(MAGIC.len())?;
        let found = reader.u32()?;
        if found != FORMAT {
            return Err(CheckpointError::Version { found });
        }
        let (found, expected) = (reader.u64()?, setup.fingerprint);
        if found != expected && !plants.is(Plant::FingerprintIgnored) {
            return Err(CheckpointError::Query { found, expected });
        }
        if load_shard(&mut reader)? != setup.shard {
            return Err(CheckpointError::Shard);
        }
        if load_ordering(&mut reader)? != setup.ordering {
            return Err(CheckpointError::Ordering);
        }
        let output_from = reader.timestamp()?;
        let mut instance = Instance::part(setup, part, output_from, plants);
        instance.frontier = reader.timestamp()?;
        instance.failure = load_failure(&mut reader)?;
        if !instance.plan.references.is_empty()
            && reader.u64()? != instance.references.sum_before(instance.frontier)
        {
            return Err(CheckpointError::References);
        }
        let mut positions = BTreeMap::new();
        for &place in instance.positions.keys() {
            positions.insert(place, reader.u64()?);
        }
        instance.positions = positions;
        load_stages(&mut instance, &mut reader)?;
        reader.end()?;
        Ok(instance)
    }
}

/// Appends the sum that closes a checkpoint; for writers of checkpoints and tests of their reader.
pub fn seal(bytes: &mut Vec<u8>) {
    let sum = sum(bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
}

fn load_stages(instance: &mut Instance, reader: &mut Reader<'_>) -> Result<(), CheckpointError> {
    for stage in &mut instance.stages {
        if reader.u64()? != stage.node as u64 {
            return Err(reader.corrupt("the next node").into());
        }
        stage.until = reader.timestamp()?;
        let len = reader.len(1)?;
        let left = reader.left();
        let mut state = Reader::new(reader.raw(len)?);
        let loaded = match &mut stage.work {
            Work::Source(source) => source.load(&mut state),
            Work::Operator(operator) => operator.load(&mut state),
            Work::Fed(..) => Ok(()),
        };
        loaded.and_then(|()| state.end()).map_err(|corrupt| {
            let at = reader_at(reader, left) + corrupt.at;
            Corrupt { at, ..corrupt }
        })?;
    }
    Ok(())
}

/// Where a state began that was read when so many bytes were left.
fn reader_at(reader: &Reader<'_>, left: usize) -> usize {
    reader.corrupt("").at + reader.left() - left
}

/// The bytes without their sum, which must be right.
pub(crate) fn checked<'a>(bytes: &'a [u8], magic: &[u8; 4]) -> Result<&'a [u8], CheckpointError> {
    if !bytes.starts_with(magic) {
        return Err(CheckpointError::Foreign);
    }
    let torn = |at| CheckpointError::Torn(Corrupt { at, expected: "the sum of all bytes before" });
    let Some((body, tail)) = bytes.split_last_chunk::<8>() else { return Err(torn(bytes.len())) };
    if body.len() < magic.len() || u64::from_le_bytes(*tail) != sum(body) {
        return Err(torn(body.len()));
    }
    Ok(body)
}

/// A 64-bit sum of eight bytes at a time. Every step is a bijection of the sum for given bytes and of the
/// bytes for a given sum, so a change within one word is always noticed, any other almost surely.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut sum = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let mut add = |word| sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(PRIME).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().for_each(|&word| add(word));
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        add(word);
    }
    sum ^ (sum >> 32)
}

pub(crate) fn save_failure(failure: Option<&Failure>, writer: &mut Writer) {
    writer.u8(u8::from(failure.is_some()));
    if let Some(failure) = failure {
        writer.timestamp(failure.at);
        writer.text(&failure.message);
    }
}

pub(crate) fn load_failure(reader: &mut Reader<'_>) -> Result<Option<Failure>, Corrupt> {
    if !reader.bool()? {
        return Ok(None);
    }
    Ok(Some(Failure { at: reader.timestamp()?, message: reader.text()?.to_string() }))
}

fn save_shard(shard: &Shard, writer: &mut Writer) {
    writer.len(shard.outputs.len());
    shard.outputs.iter().for_each(|&output| writer.len(output));
    match shard.partition {
        None => writer.u8(0),
        Some(partition) => {
            writer.u8(1);
            writer.u32(partition);
        }
    }
    writer.len(shard.reads.len());
    for &(input, partition) in &shard.reads {
        writer.len(input);
        writer.u32(partition);
    }
}

fn load_shard(reader: &mut Reader<'_>) -> Result<Shard, Corrupt> {
    fn index(reader: &mut Reader<'_>) -> Result<usize, Corrupt> {
        usize::try_from(reader.u64()?).map_err(|_| reader.corrupt("an index"))
    }
    let outputs = (0..reader.len(8)?).map(|_| index(reader)).collect::<Result<_, _>>()?;
    let partition = if reader.bool()? { Some(reader.u32()?) } else { None };
    let reads =
        (0..reader.len(12)?).map(|_| Ok((index(reader)?, reader.u32()?))).collect::<Result<_, _>>()?;
    Ok(Shard { outputs, partition, reads })
}

fn save_ordering(ordering: Ordering, writer: &mut Writer) {
    writer.i64(ordering.late.0);
    writer.i64(ordering.out_of_order.0);
    writer.u8(u8::from(ordering.policy == Policy::Drop));
}

fn load_ordering(reader: &mut Reader<'_>) -> Result<Ordering, Corrupt> {
    let Timestamp(late) = reader.timestamp()?;
    let Timestamp(out_of_order) = reader.timestamp()?;
    let policy = if reader.bool()? { Policy::Drop } else { Policy::Adjust };
    Ok(Ordering {
        late: rewindow_query::Span(late),
        out_of_order: rewindow_query::Span(out_of_order),
        policy,
    })
}
