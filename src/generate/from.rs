//! FROM: a stream, a step or a pattern, then joins of streams and reference data, and APPLY.
//!
//! Invariant: joined inputs are partitioned alike, ON equates their keys and the columns of their substreams
//! (rules 3.9, 8.6), and every name is qualified where there is more than one side.

use rewindow_query::value::Type;

use super::expression::{Column, Scope, Want, predicate};
use super::features::Kind;
use super::query::Writer;
use super::relation::{self, INPUTS, REFERENCES, Relation, Side, column};
use super::select::Draft;

/// Aliases of the streams of a SELECT, in order.
const ALIASES: [&str; 4] = ["l", "r", "m", "o"];

impl Writer<'_> {
    /// FROM of a SELECT that is there for this.
    pub(super) fn from(&mut self, kind: Kind) -> Draft {
        let mixed = self.features.mixed;
        let mut joins = Vec::new();
        if Kind::JOINS.contains(&kind) {
            joins.push(kind);
        }
        let others = self.features.among(&Kind::JOINS);
        let one_in = if joins.is_empty() { 8 } else { 3 };
        while mixed && joins.len() < 3 && !others.is_empty() && self.choices.chance(1, one_in) {
            joins.push(*self.choices.pick(&others));
        }
        let mut besides = Vec::new();
        if kind == Kind::Apply || Kind::REFERENCES.contains(&kind) {
            besides.push(kind);
        }
        for other in self.features.among(&[Kind::Apply, Kind::Reference, Kind::LeftReference]) {
            if mixed && besides.len() < 2 && self.choices.chance(1, 10) {
                besides.push(other);
            }
        }
        let alone = joins.is_empty() && besides.is_empty();
        let aliased = !alone || self.choices.chance(1, 6);
        let alias = if aliased { ALIASES[0] } else { "" };
        let matches = kind == Kind::Match
            || mixed && self.features.kinds.contains(&Kind::Match) && self.choices.chance(1, 16);
        let (first, rights) = self.sides(alias, matches && joins.is_empty(), joins.len());
        let text = first.text.clone();
        let (columns, streams) = (first.qualified(), vec![first]);
        let mut draft = Draft { text, columns, streams, calls: Vec::new(), mains: Vec::new(), alone };
        if kind == Kind::Match {
            draft.mains.push(draft.columns[0].clone());
        }
        let early = !besides.is_empty() && self.choices.chance(1, 3);
        let late = if early { besides.split_off(1) } else { std::mem::take(&mut besides) };
        besides.into_iter().for_each(|beside| self.beside(beside, beside == kind, &mut draft));
        for (join, right) in joins.into_iter().zip(rights) {
            self.join(join, right, join == kind, &mut draft);
        }
        late.into_iter().for_each(|beside| self.beside(beside, beside == kind, &mut draft));
        draft
    }

    /// The first side, and so many to be joined to it, all partitioned alike.
    fn sides(&mut self, alias: &str, matches: bool, joined: usize) -> (Side, Vec<Side>) {
        if matches {
            return (self.pattern(alias), Vec::new());
        }
        if joined == 0 {
            let from = self.relation();
            let by = self.key(&[&from]);
            return (self.side(&from, alias, by.as_deref()), Vec::new());
        }
        let relations: Vec<Relation> = (0..=joined).map(|_| self.whole_relation()).collect();
        let by = self.key(&relations.iter().collect::<Vec<_>>());
        let mut sides: Vec<Side> = Vec::new();
        for (relation, alias) in relations.iter().zip(ALIASES) {
            sides.push(self.side(relation, alias, by.as_deref()));
        }
        (sides.remove(0), sides)
    }

    /// A relation that carries what names its substreams.
    pub(super) fn whole_relation(&mut self) -> Relation {
        let relation = self.relation();
        match relation.over {
            Some(_) => relation,
            None => self.relations[self.choices.index(INPUTS.len())].clone(),
        }
    }

    // ---- joins --------------------------------------------------------------------------------------

    fn join(&mut self, kind: Kind, right: Side, main: bool, draft: &mut Draft) {
        let left = self.choices.index(draft.streams.len());
        let left = draft.streams[left].clone();
        let names = [&left, &right].map(|side| side.qualifier.trim_end_matches('.').to_owned());
        let mut on = vec![self.bound(&names[0], &names[1])];
        if let Some(by) = &right.by {
            on.push(format!("{}{by} = {}{by}", left.qualifier, right.qualifier));
        }
        let substreams =
            left.substream().unwrap_or_default().into_iter().zip(right.substream().unwrap_or_default());
        on.extend(substreams.map(|(l, r)| format!("{l} = {r}")));
        let (lefts, rights) = (draft.columns.clone(), right.qualified());
        self.further(&lefts, &rights, false, &mut on);
        if self.choices.chance(1, 6) {
            on.reverse();
        }
        let join = match kind {
            Kind::LeftJoin => *self.choices.pick(&["LEFT JOIN", "LEFT OUTER JOIN"]),
            _ => *self.choices.pick(&["JOIN", "INNER JOIN"]),
        };
        draft.text.push_str(&format!(" {join} {} ON {}", right.text, on.join(" AND ")));
        if main {
            draft.mains.push(self.choices.pick(&rights).clone());
        }
        draft.columns.extend(rights);
        draft.streams.push(right);
    }

    /// The bound in time, in one of the ways to write it.
    fn bound(&mut self, left: &str, right: &str) -> String {
        let low = self.choices.range(-3, 2);
        let high = low + self.choices.range(0, 5);
        let unit = self.features.unit.name();
        let (far, near) =
            (format!("DATEDIFF({unit}, {left}, {right})"), format!("DATEDIFF({unit}, {right}, {left})"));
        match self.choices.weighted(&[8, 1, 1, 1, 1]) {
            1 => format!("{far} >= {low} AND {high} >= {far}"),
            2 => format!("{near} BETWEEN {} AND {}", -high, -low),
            3 => format!("{far} = {low}"),
            4 => {
                format!("DATEDIFF(ms, {left}, {right}) BETWEEN {} AND {}", low * 1_000 - 1, high * 1_000 + 1)
            }
            _ => format!("{far} BETWEEN {low} AND {high}"),
        }
    }

    /// Further conditions of an ON: equalities, and conditions on one side or on both.
    fn further(&mut self, lefts: &[Column], rights: &[Column], timestamp: bool, on: &mut Vec<String>) {
        if self.choices.chance(1, 2) {
            let (l, r) = (self.choices.pick(lefts).clone(), self.choices.pick(rights).clone());
            let pair = [l.name, r.name];
            on.push(match self.choices.chance(1, 4) {
                true => format!("{} = {}", pair[1], pair[0]),
                false => format!("{} = {}", pair[0], pair[1]),
            });
        }
        if self.choices.chance(1, 4) {
            let columns: Vec<Column> = match self.choices.weighted(&[2, 2, 1]) {
                0 => lefts.to_vec(),
                1 => rights.to_vec(),
                _ => lefts.iter().chain(rights).cloned().collect(),
            };
            // System.Timestamp() has no meaning for a pair (rule 8.1).
            let scope = Scope { timestamp, ..self.features.scope(&columns) };
            on.push(format!("({})", predicate(self.choices, &scope, 1)));
        }
    }

    // ---- APPLY and reference data ---------------------------------------------------------------------

    fn beside(&mut self, kind: Kind, main: bool, draft: &mut Draft) {
        match kind {
            Kind::Apply => self.apply(main, draft),
            _ => self.reference(kind, main, draft),
        }
    }

    fn apply(&mut self, main: bool, draft: &mut Draft) {
        let elements = !self.choices.chance(1, 3);
        let alias = format!("e{}", draft.text.matches(" APPLY ").count());
        let (usual, ty, word) = match elements {
            true => (Want::Array, Type::Array, "array"),
            false => (Want::Record, Type::Record, "record"),
        };
        let fits: Vec<&Column> =
            draft.columns.iter().filter(|c| c.usual == usual && c.ty.is_none_or(|have| have == ty)).collect();
        let argument = match fits.is_empty() || self.choices.chance(1, 6) {
            false => self.choices.pick(&fits).name.clone(),
            true => match self.choices.weighted(&[3, 1]) {
                0 if elements => {
                    "GetRecordPropertyValue(JSON_PARSE('{\"v\":[1,null,\"a\"]}'), 'v')".to_owned()
                }
                0 => "JSON_PARSE('{\"v\":1,\"k\":\"a\"}')".to_owned(),
                _ => format!("TRY_CAST({} AS {word})", self.choices.pick(&draft.columns).name),
            },
        };
        let function = if elements { "GetArrayElements" } else { "GetRecordProperties" };
        let outer = if self.choices.chance(1, 2) { "OUTER" } else { "CROSS" };
        draft.text.push_str(&format!(" {outer} APPLY {function}({argument}) AS {alias}"));
        let columns = match elements {
            true => [("ArrayIndex", Want::Number, Some(Type::Bigint)), ("ArrayValue", Want::Anything, None)],
            false => {
                [("PropertyName", Want::Text, Some(Type::Text)), ("PropertyValue", Want::Anything, None)]
            }
        };
        let columns = columns.map(|(name, usual, ty)| column(&format!("{alias}.{name}"), usual, ty));
        if main {
            draft.mains.push(self.choices.pick(&columns).clone());
        }
        draft.columns.extend(columns);
    }

    fn reference(&mut self, kind: Kind, main: bool, draft: &mut Draft) {
        let place = draft.text.matches(" ref").count();
        let (name, alias) = (*self.choices.pick(&REFERENCES), format!("ref{place}"));
        let side = Side {
            text: format!("{name} {alias}"),
            qualifier: format!("{alias}."),
            columns: relation::reference_columns(),
            by: None,
            over: None,
            open: true,
        };
        let (lefts, rights) = (draft.columns.clone(), side.qualified());
        let mut on = Vec::new();
        if !self.choices.chance(1, 5) {
            let keys: Vec<&Column> = lefts.iter().filter(|c| c.usual == Want::Anything).collect();
            let key = if keys.is_empty() { self.choices.pick(&lefts) } else { *self.choices.pick(&keys) };
            on.push(format!("{} = {alias}.k", key.name));
        }
        self.further(&lefts, &rights, true, &mut on);
        if on.is_empty() {
            on.push(format!("{alias}.v > {}", self.choices.range(0, 2)));
        }
        let join = if kind == Kind::LeftReference { "LEFT JOIN" } else { "JOIN" };
        draft.text.push_str(&format!(" {join} {} ON {}", side.text, on.join(" AND ")));
        if main {
            draft.mains.push(self.choices.pick(&rights).clone());
        }
        draft.columns.extend(rights);
    }
}
