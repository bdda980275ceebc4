//! Small queries: a random walk through the whole language.
//!
//! Up to three steps of WITH, each over the streams or the steps before, and up to three outputs; what a
//! SELECT is there for is drawn evenly, so that every operator feeds every other. Sizes are a few units:
//! small enough for edges to collide. Invariant: the analysis accepts every text made here.

use super::expression::{Column, Want, predicate};
use super::features::{Features, Kind, Mode};
use super::relation::{self, INPUTS, Relation, Side};
use crate::choices::Choices;

/// The text of a query over the streams of [`INPUTS`].
pub(super) fn write(choices: &mut dyn Choices) -> String {
    let features = Features::draw(choices);
    let (relations, tables) = relation::streams(choices, &features);
    let mut writer = Writer { choices, features, relations };
    let steps = writer.choices.weighted(&[2, 4, 3, 1]);
    let mut text = tables;
    for number in 0..steps {
        let name = format!("s{number}");
        let step = writer.query(None);
        text.push_str(if number == 0 { "WITH " } else { ",\n" });
        text.push_str(&format!("{name} AS (\n  {}\n)", step.text));
        writer.relations.push(step.relation(name));
    }
    if steps > 0 {
        text.push('\n');
    }
    text.push_str(&writer.query(Some("out")).text);
    for name in ["more", "third"] {
        if !writer.choices.chance(1, 6) {
            break;
        }
        text.push_str(if writer.choices.chance(1, 4) { "\n" } else { ";\n" });
        text.push_str(&writer.query(Some(name)).text);
    }
    text
}

pub(super) struct Writer<'a> {
    pub(super) choices: &'a mut dyn Choices,
    pub(super) features: Features,
    pub(super) relations: Vec<Relation>,
}

/// A SELECT, or a UNION of some, and what its readers see.
pub(super) struct Selected {
    pub(super) text: String,
    pub(super) columns: Vec<Column>,
    pub(super) by: Option<String>,
    pub(super) over: Option<Vec<String>>,
    pub(super) open: bool,
}

impl Selected {
    fn relation(self, name: String) -> Relation {
        let Selected { columns, by, over, open, .. } = self;
        Relation { name, timed: String::new(), columns, hidden: by.into_iter().collect(), over, open }
    }
}

impl Writer<'_> {
    /// A SELECT, or a UNION of two or three. `into`: the output it writes to; `None` in a step.
    fn query(&mut self, into: Option<&str>) -> Selected {
        let kind = *self.choices.pick(&self.features.kinds.clone());
        match kind {
            Kind::Union => self.union(into),
            _ => self.select(kind, into),
        }
    }

    /// One SELECT; its columns are `q0`, `q1`, … of the same number and of types that unite.
    fn union(&mut self, into: Option<&str>) -> Selected {
        let count = self.choices.range(1, 2);
        let from = self.relation();
        let by = self.key(&[&from]);
        let mut result = self.branch(&from, by.as_deref(), None, usize::try_from(count).unwrap_or(1), into);
        for _ in 0..1 + usize::from(self.choices.chance(1, 4)) {
            let mut next = self.relation();
            if by.as_ref().is_some_and(|by| !keys(&next).contains(by)) {
                next = from.clone();
            }
            let branch = self.branch(&next, by.as_deref(), Some(&result.columns), result.columns.len(), None);
            let all = if self.choices.chance(1, 3) { " ALL" } else { "" };
            result.text = format!("{}\n  UNION{all} {}", result.text, branch.text);
            for (mine, theirs) in result.columns.iter_mut().zip(&branch.columns) {
                mine.ty = mine.ty.filter(|ty| Some(*ty) == theirs.ty);
                if mine.usual != theirs.usual {
                    mine.usual = Want::Anything;
                }
            }
            if result.over != branch.over {
                result.over = None;
            }
        }
        result
    }

    /// A branch of a UNION: plain columns of a relation.
    fn branch(
        &mut self,
        from: &Relation,
        by: Option<&str>,
        like: Option<&[Column]>,
        count: usize,
        into: Option<&str>,
    ) -> Selected {
        let side = self.side(from, "", by);
        let scope = side.columns.clone();
        let kept = side.substream().unwrap_or_default();
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        // The columns of a substream come first, so that they stay at the same places.
        let count = if like.is_some() { count } else { count + kept.len() };
        for place in 0..count {
            let wanted = like.and_then(|like| like[place].ty);
            let found = match kept.get(place) {
                Some(name) => relation::naming(&side.columns, name),
                None => self.choices.pick(&scope).clone(),
            };
            let fits = match (wanted, found.ty) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            };
            let (text, ty, usual) = match fits {
                true => (found.name.clone(), found.ty, found.usual),
                false => ("NULL".to_owned(), None, like.map_or(found.usual, |like| like[place].usual)),
            };
            items.push(format!("{text} AS q{place}"));
            columns.push(relation::column(&format!("q{place}"), usual, ty));
        }
        let carried = |(place, name): (usize, &String)| {
            let item: &String = items.get(place)?;
            item.starts_with(&format!("{name} AS ")).then(|| format!("q{place}"))
        };
        let over = side.over.as_ref().and_then(|_| kept.iter().enumerate().map(carried).collect());
        let filter = self.filter(&scope, 4);
        let into = into.map_or(String::new(), |name| format!(" INTO {name}"));
        let text = format!("SELECT {}{into} FROM {}{filter}", items.join(", "), side.text);
        Selected { text, columns, by: side.by, over, open: false }
    }

    // ---- FROM ---------------------------------------------------------------------------------------

    /// The newest relation most often, so that steps form chains.
    pub(super) fn relation(&mut self) -> Relation {
        let newest = self.relations.len() - 1;
        let index = match newest < INPUTS.len() || self.choices.chance(1, 4) {
            true => self.choices.index(self.relations.len()),
            false => newest,
        };
        self.relations[index].clone()
    }

    /// A key that all of these can be partitioned by, or none.
    pub(super) fn key(&mut self, relations: &[&Relation]) -> Option<String> {
        let shared = |name: &String| relations.iter().all(|other| keys(other).contains(name));
        let shared: Vec<String> = keys(relations[0]).into_iter().filter(shared).collect();
        let id = shared.iter().find(|name| *name == "PartitionId");
        match self.features.mode {
            Mode::Plain => None,
            Mode::Parallel if id.is_some() => self.choices.chance(9, 10).then(|| id.cloned()).flatten(),
            Mode::Parallel => None,
            Mode::Substreams => self.choices.chance(1, 4).then(|| id.cloned()).flatten(),
            Mode::Repartitioned => match shared.is_empty() || !self.choices.chance(1, 2) {
                true => None,
                false => Some(self.choices.pick(&shared).clone()),
            },
        }
    }

    /// FROM or JOIN of a relation under an alias.
    pub(super) fn side(&mut self, from: &Relation, alias: &str, by: Option<&str>) -> Side {
        let mut text = from.name.clone();
        if !alias.is_empty() {
            text.push_str(if self.features.spellings && self.choices.chance(1, 2) { " AS " } else { " " });
            text.push_str(alias);
        }
        text.push_str(&from.timed);
        if let Some(by) = by {
            text.push_str(&format!(" PARTITION BY {by}"));
            if self.choices.chance(1, 6) {
                text.push_str(&format!(" INTO {}", self.choices.range(2, 4)));
            }
        }
        Side {
            text,
            qualifier: if alias.is_empty() { String::new() } else { format!("{alias}.") },
            columns: from.columns.clone(),
            by: by.map(str::to_owned),
            over: from.over.clone(),
            open: from.open,
        }
    }

    // ---- conditions ---------------------------------------------------------------------------------

    /// WHERE, in one of so many.
    pub(super) fn filter(&mut self, columns: &[Column], one_in: u64) -> String {
        match self.features.filters && self.choices.chance(1, one_in) {
            true => format!(" WHERE {}", self.predicate(columns, 2)),
            false => String::new(),
        }
    }

    pub(super) fn predicate(&mut self, columns: &[Column], depth: u32) -> String {
        let scope = self.features.scope(columns);
        predicate(self.choices, &scope, depth)
    }
}

/// The names a relation can be partitioned by.
fn keys(relation: &Relation) -> Vec<String> {
    let short =
        relation.columns.iter().filter(|column| column.name.len() < 3).map(|column| column.name.clone());
    relation.hidden.iter().cloned().chain(short).collect()
}
