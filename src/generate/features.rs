//! What a case may use of the language: drawn first, so that what is left meets more often (swarm testing).
//!
//! Every kind of SELECT is named after the operator it is there for; it may hold others besides. Knows no
//! text. Invariant: a plain projection is never switched off, so there is always something to write.

use super::expression::{Column, Family, Scope};
use crate::choices::Choices;

/// What a SELECT is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Project,
    Tumbling,
    Hopping,
    Sliding,
    Session,
    Snapshot,
    /// Windows(…)
    Several,
    Lag,
    Last,
    IsFirst,
    Over,
    Apply,
    Join,
    LeftJoin,
    Reference,
    LeftReference,
    Match,
    Union,
}

impl Kind {
    const ALL: [Kind; 18] = [
        Kind::Project,
        Kind::Tumbling,
        Kind::Hopping,
        Kind::Sliding,
        Kind::Session,
        Kind::Snapshot,
        Kind::Several,
        Kind::Lag,
        Kind::Last,
        Kind::IsFirst,
        Kind::Over,
        Kind::Apply,
        Kind::Join,
        Kind::LeftJoin,
        Kind::Reference,
        Kind::LeftReference,
        Kind::Match,
        Kind::Union,
    ];

    /// Windows that stand alone in GROUP BY.
    pub(super) const WINDOWS: [Kind; 5] =
        [Kind::Tumbling, Kind::Hopping, Kind::Sliding, Kind::Session, Kind::Snapshot];
    pub(super) const ANALYTICS: [Kind; 4] = [Kind::Lag, Kind::Last, Kind::IsFirst, Kind::Over];
    pub(super) const JOINS: [Kind; 2] = [Kind::Join, Kind::LeftJoin];
    pub(super) const REFERENCES: [Kind; 2] = [Kind::Reference, Kind::LeftReference];

    pub(super) fn is_grouped(self) -> bool {
        self == Kind::Several || Kind::WINDOWS.contains(&self)
    }
}

/// How events get their timestamps and are split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// TIMESTAMP BY alone.
    Plain,
    /// PARTITION BY PartitionId, mostly all the way.
    Parallel,
    /// PARTITION BY of other columns here and there (C-PARTITION).
    Repartitioned,
    /// TIMESTAMP BY … OVER (rule 3.9).
    Substreams,
}

/// What a case may use.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Features {
    /// What SELECTs may be there for.
    pub(super) kinds: Vec<Kind>,
    /// Families of functions that are switched off.
    pub(super) off: Vec<Family>,
    /// The same, and whatever looks into records and arrays.
    flat: Vec<Family>,
    pub(super) mode: Mode,
    /// By arrival instead of TIMESTAMP BY.
    pub(super) by_arrival: bool,
    /// WHERE and HAVING.
    pub(super) filters: bool,
    /// Several of these operators in one SELECT.
    pub(super) mixed: bool,
    /// Units and lengths in all spellings.
    pub(super) spellings: bool,
    /// `*` and `x.*`.
    pub(super) stars: bool,
    /// CREATE TABLE.
    pub(super) tables: bool,
    /// Arguments that often fail.
    pub(super) risky: bool,
    /// Of all windows, bounds and limits. Minutes outgrow the five minutes that every replay reaches
    /// back anyway (rule 12.3), seconds make edges collide.
    pub(super) unit: Unit,
}

/// A unit of lengths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Second,
    Minute,
}

impl Features {
    pub(super) fn draw(choices: &mut dyn Choices) -> Features {
        let swarm = choices.chance(1, 2);
        let kinds =
            Kind::ALL.into_iter().filter(|&kind| kind == Kind::Project || !swarm || choices.chance(1, 2));
        let kinds = kinds.collect();
        let mode = [Mode::Plain, Mode::Parallel, Mode::Repartitioned, Mode::Substreams];
        let mode = mode[choices.weighted(&[9, 4, 2, 2])];
        let off = Family::some(choices);
        Features {
            kinds,
            flat: off.iter().copied().chain([Family::Nested]).collect(),
            off,
            mode,
            by_arrival: mode != Mode::Substreams && choices.chance(1, 10),
            filters: !choices.chance(1, 4),
            mixed: choices.chance(1, 2),
            spellings: choices.chance(1, 3),
            stars: choices.chance(1, 4),
            tables: choices.chance(1, 8),
            risky: choices.chance(1, 8),
            unit: if choices.chance(1, 3) { Unit::Minute } else { Unit::Second },
        }
    }

    /// What an expression over these columns may use. `LAG(…) OVER (…).y` is no path, so where calls stand
    /// among the columns nothing is looked into.
    pub(super) fn scope<'s>(&'s self, columns: &'s [Column]) -> Scope<'s> {
        let calls = columns.iter().any(|column| column.name.ends_with(')'));
        let off = if calls { &self.flat } else { &self.off };
        Scope { columns, qualifier: "", timestamp: true, off, risky: self.risky }
    }

    /// What an expression over groups may use: a part of a key is no key (rule 5.4).
    pub(super) fn scope_above<'s>(&'s self, columns: &'s [Column]) -> Scope<'s> {
        Scope { off: &self.flat, ..self.scope(columns) }
    }

    /// Those of a list that are not switched off.
    pub(super) fn among(&self, kinds: &[Kind]) -> Vec<Kind> {
        kinds.iter().copied().filter(|kind| self.kinds.contains(kind)).collect()
    }
}
