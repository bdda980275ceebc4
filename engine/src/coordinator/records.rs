//! What the coordinator keeps of shards and tasks, as bytes and back.
//!
//! Knows nothing of when it changes. Invariant: read whole or refused, and no bytes make the reader panic.

use std::collections::BTreeMap;

use rewindow_query::Timestamp;

use crate::checkpoint::sum;
use crate::codec::{Corrupt, Reader, Writer};
use crate::layout::{Layout, Role};
use crate::store::Seal;

/// Where a shard is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ShardRecord {
    /// How it is cut: an epoch of a shard that is cut otherwise is over.
    pub(super) cut: u64,
    /// The epoch; 0 in front of the first.
    pub(super) epoch: u64,
    /// Rows from here on are wanted of it.
    pub(super) output_from: Timestamp,
}

/// Where a task is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct TaskRecord {
    /// How its shard was cut.
    pub(super) cut: u64,
    /// The epoch in which it was last opened.
    pub(super) epoch: u64,
    /// The one that may act for it.
    pub(super) incarnation: u64,
    /// The number of its latest checkpoint, of whatever epoch.
    pub(super) number: u64,
    /// Where it began to read in this epoch.
    pub(super) begin: Option<BTreeMap<(usize, u32), u64>>,
    /// For each upstream link, the number of the first row that may be asked for again.
    pub(super) floor: Vec<u64>,
    /// The checkpoints of this epoch, oldest first: two at most.
    pub(super) kept: Vec<Entry>,
}

/// A checkpoint that was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    /// Of the program that wrote it.
    pub(super) version: u32,
    pub(super) seal: Seal,
    /// For each upstream link, the number of the next row wanted.
    pub(super) received: Vec<u64>,
}

impl ShardRecord {
    pub(super) fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.cut);
        writer.u64(self.epoch);
        writer.timestamp(self.output_from);
        writer.finish()
    }

    pub(super) fn load(bytes: &[u8]) -> Result<ShardRecord, Corrupt> {
        let mut reader = Reader::new(bytes);
        let (cut, epoch, output_from) = (reader.u64()?, reader.u64()?, reader.timestamp()?);
        reader.end()?;
        Ok(ShardRecord { cut, epoch, output_from })
    }
}

impl TaskRecord {
    pub(super) fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u64(self.cut);
        writer.u64(self.epoch);
        writer.u64(self.incarnation);
        writer.u64(self.number);
        writer.u8(self.begin.is_some().into());
        if let Some(begin) = &self.begin {
            writer.len(begin.len());
            for (&(input, partition), &position) in begin {
                writer.len(input);
                writer.u32(partition);
                writer.u64(position);
            }
        }
        save_numbers(&self.floor, &mut writer);
        writer.len(self.kept.len());
        for entry in &self.kept {
            writer.u64(entry.number);
            writer.u32(entry.version);
            writer.u64(entry.seal.len);
            writer.u64(entry.seal.sum);
            save_numbers(&entry.received, &mut writer);
        }
        writer.finish()
    }

    pub(super) fn load(bytes: &[u8]) -> Result<TaskRecord, Corrupt> {
        let mut reader = Reader::new(bytes);
        let (cut, epoch, incarnation, number) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
        let begin = if reader.bool()? { Some(load_begin(&mut reader)?) } else { None };
        let floor = load_numbers(&mut reader)?;
        let kept = (0..reader.len(36)?).map(|_| load_entry(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(TaskRecord { cut, epoch, incarnation, number, begin, floor, kept })
    }
}

fn save_numbers(numbers: &[u64], writer: &mut Writer) {
    writer.len(numbers.len());
    numbers.iter().for_each(|&number| writer.u64(number));
}

fn load_numbers(reader: &mut Reader<'_>) -> Result<Vec<u64>, Corrupt> {
    (0..reader.len(8)?).map(|_| reader.u64()).collect()
}

fn load_begin(reader: &mut Reader<'_>) -> Result<BTreeMap<(usize, u32), u64>, Corrupt> {
    let mut begin = BTreeMap::new();
    for _ in 0..reader.len(20)? {
        let input = usize::try_from(reader.u64()?).map_err(|_| reader.corrupt("an index"))?;
        let place = (input, reader.u32()?);
        begin.insert(place, reader.u64()?);
    }
    Ok(begin)
}

fn load_entry(reader: &mut Reader<'_>) -> Result<Entry, Corrupt> {
    let (number, version) = (reader.u64()?, reader.u32()?);
    let seal = Seal { len: reader.u64()?, sum: reader.u64()? };
    Ok(Entry { number, version, seal, received: load_numbers(reader)? })
}

/// How the shard is cut, in a number: its tasks, what they read and whom they hear.
pub(super) fn cut_of(layout: &Layout, shard: usize) -> u64 {
    let mut writer = Writer::default();
    for (task, spec) in layout.tasks.iter().enumerate().filter(|(_, spec)| spec.shard == shard) {
        writer.len(task);
        let (role, index) = match spec.role {
            Role::Whole => (0, 0),
            // What it reads follows.
            Role::Partition { .. } => (1, 0),
            Role::Keyed { index } => (2, index),
            Role::Merge => (3, 0),
        };
        writer.u8(role);
        writer.u32(index);
        writer.len(spec.reads.len());
        for &(input, partition) in &spec.reads {
            writer.len(input);
            writer.u32(partition);
        }
        writer.len(spec.upstream.len());
        spec.upstream.iter().for_each(|&from| writer.len(from));
    }
    sum(&writer.finish())
}
