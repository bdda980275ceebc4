//! One SELECT, clause by clause: what it reads, how it looks back, what it groups by, what it lists.
//!
//! Columns of `FROM` and calls of analytic functions form one pool that every later clause draws from
//! (rule 7.4). Invariant: what a substream is named by is listed, and grouped by (rule 3.9).

use rewindow_query::value::Type;

use super::aggregate::aggregate;
use super::expression::{Column, Scope, Want, predicate, typed};
use super::features::Kind;
use super::query::{Selected, Writer};
use super::relation::{Side, column, naming};

/// What stands behind FROM, and what it gives.
pub(super) struct Draft {
    pub(super) text: String,
    /// Columns of all sides, qualified.
    pub(super) columns: Vec<Column>,
    /// Streams and steps: each has rows with timestamps of their own.
    pub(super) streams: Vec<Side>,
    /// Calls of analytic functions.
    pub(super) calls: Vec<Column>,
    /// What shows that the operator is there which the SELECT is there for.
    pub(super) mains: Vec<Column>,
    /// Whether nothing is joined and nothing taken apart.
    pub(super) alone: bool,
}

impl Draft {
    /// Columns and calls.
    fn pool(&self) -> Vec<Column> {
        self.columns.iter().chain(&self.calls).cloned().collect()
    }

    /// The columns that name the substream of a row, qualified: those of the first side.
    fn substream(&self) -> Option<Vec<String>> {
        self.streams[0].substream()
    }
}

/// The items of a SELECT list.
#[derive(Default)]
struct Items {
    texts: Vec<String>,
    columns: Vec<Column>,
}

impl Items {
    fn push(&mut self, text: &str, usual: Want, ty: Option<Type>) {
        let alias = format!("p{}", self.texts.len());
        self.texts.push(format!("{text} AS {alias}"));
        self.columns.push(column(&alias, usual, ty));
    }
}

impl Writer<'_> {
    /// A SELECT that is there for one operator.
    pub(super) fn select(&mut self, kind: Kind, into: Option<&str>) -> Selected {
        let mut draft = self.from(kind);
        if Kind::ANALYTICS.contains(&kind) {
            self.look_back(kind, &mut draft, true);
        }
        while self.features.mixed && draft.calls.len() < 3 && self.choices.chance(1, 8) {
            let kinds = self.features.among(&Kind::ANALYTICS);
            if kinds.is_empty() {
                break;
            }
            let kind = *self.choices.pick(&kinds);
            self.look_back(kind, &mut draft, false);
        }
        let windows = self.features.among(&Kind::WINDOWS);
        let can = draft.substream().is_some();
        if can && kind.is_grouped() {
            return self.grouped(kind, draft, into);
        }
        if can && self.features.mixed && !windows.is_empty() && self.choices.chance(1, 5) {
            let kind = *self.choices.pick(&windows);
            return self.grouped(kind, draft, into);
        }
        self.listed(draft, into)
    }

    /// One more analytic call over a side of FROM.
    fn look_back(&mut self, kind: Kind, draft: &mut Draft, main: bool) {
        let side = self.choices.index(draft.streams.len());
        let several = draft.streams.len() > 1;
        let side = draft.streams[side].clone();
        let call = self.call(kind, &side, several);
        draft.calls.push(call.clone());
        if main {
            draft.mains.push(call);
        }
    }

    // ---- without GROUP BY ---------------------------------------------------------------------------

    fn listed(&mut self, draft: Draft, into: Option<&str>) -> Selected {
        let side = draft.streams[0].clone();
        let pool = draft.pool();
        let stars = self.features.stars && draft.mains.is_empty() && draft.alone;
        if stars && self.choices.chance(1, 2) {
            return self.starred(&draft, side, into);
        }
        let mut items = Items::default();
        let over = draft.substream().map(|names| {
            let mut over = Vec::new();
            for name in names {
                let known = naming(&draft.columns, &name);
                over.push(format!("p{}", items.texts.len()));
                items.push(&name, known.usual, known.ty);
            }
            over
        });
        for main in &draft.mains {
            items.push(&main.name, main.usual, main.ty);
        }
        for _ in 0..self.choices.range(i64::from(items.texts.is_empty()), 3) {
            self.item(&pool, &mut items);
        }
        if let Some(star) = self.star_behind(&draft, into) {
            items.texts.push(star);
        }
        let mut filter = self.filter(&pool, 3);
        if self.choices.chance(1, 12) {
            // Without GROUP BY it acts like WHERE (rule 5.5).
            filter = filter.replacen(" WHERE ", " HAVING ", 1);
        }
        let into = into.map_or(String::new(), |name| format!(" INTO {name}"));
        let text = format!("SELECT {}{into} FROM {}{filter}", items.texts.join(", "), draft.text);
        Selected { text, columns: items.columns, by: side.by, over, open: false }
    }

    fn item(&mut self, pool: &[Column], items: &mut Items) {
        match self.choices.weighted(&[4, 4, 1]) {
            0 => {
                let column = self.choices.pick(pool).clone();
                items.push(&column.name, column.usual, column.ty);
            }
            1 => {
                let want = self.want();
                let written = typed(self.choices, &self.features.scope(pool), want, 2);
                items.push(&written.text, written.usual, written.ty);
            }
            _ => items.push("System.Timestamp()", Want::Instant, Some(Type::Datetime)),
        }
    }

    fn want(&mut self) -> Want {
        let wants =
            [Want::Number, Want::Text, Want::Instant, Want::Array, Want::Record, Want::Shape, Want::Anything];
        wants[self.choices.weighted(&[6, 3, 2, 1, 1, 1, 2])]
    }

    /// `SELECT *` (rule 5.2).
    fn starred(&mut self, draft: &Draft, side: Side, into: Option<&str>) -> Selected {
        let filter = self.filter(&draft.pool(), 3);
        let into = into.map_or(String::new(), |name| format!(" INTO {name}"));
        let text = format!("SELECT *{into} FROM {}{filter}", draft.text);
        // Behind the star of a payload any name is a member, of which nothing is known.
        let forget = |column: Column| Column { ty: column.ty.filter(|_| !side.open), ..column };
        let columns = side.columns.into_iter().map(forget).collect();
        let over = match side.open {
            true => side.over.filter(Vec::is_empty),
            false => side.over,
        };
        Selected { text, columns, by: side.by, over, open: side.open }
    }

    /// `l.*` or `record.*` behind the items of an output.
    fn star_behind(&mut self, draft: &Draft, into: Option<&str>) -> Option<String> {
        if into.is_none() || !self.features.stars || !self.choices.chance(1, 3) {
            return None;
        }
        let record =
            |column: &&Column| column.usual == Want::Record && matches!(column.ty, None | Some(Type::Record));
        let mut stars: Vec<String> =
            draft.columns.iter().filter(record).map(|c| format!("{}.*", c.name)).collect();
        let named = draft.streams.iter().filter(|side| !side.qualifier.is_empty());
        stars.extend(named.map(|side| format!("{}*", side.qualifier)));
        if stars.is_empty() { None } else { Some(self.choices.pick(&stars).clone()) }
    }

    // ---- with GROUP BY ------------------------------------------------------------------------------

    fn grouped(&mut self, kind: Kind, draft: Draft, into: Option<&str>) -> Selected {
        let pool = draft.pool();
        let (mut items, mut group, mut above) = (Items::default(), Vec::new(), Vec::new());
        let mut over = Vec::new();
        for name in draft.substream().unwrap_or_default() {
            let known = naming(&draft.columns, &name);
            over.push(format!("p{}", items.texts.len()));
            items.push(&name, known.usual, known.ty);
            group.push(name);
        }
        for _ in 0..self.choices.weighted(&[2, 4, 1]) {
            self.grouping_key(&pool, &mut items, &mut group, &mut above);
        }
        // Where the operator below shows nowhere else it is counted.
        for main in &draft.mains {
            items.push(&format!("COUNT({})", main.name), Want::Number, Some(Type::Bigint));
        }
        for _ in 0..self.choices.range(1, 2) {
            let written = aggregate(self.choices, &self.features.scope(&pool), 1);
            above.push(column(&written.text, written.usual, written.ty));
            items.push(&written.text, written.usual, written.ty);
        }
        let (window, ids) = self.grouping_window(kind, &pool);
        if ids && self.choices.chance(2, 3) {
            items.push("System.Window().Id", Want::Text, window.contains('\'').then_some(Type::Text));
        }
        if self.choices.chance(1, 5) {
            items.push("System.Timestamp()", Want::Instant, Some(Type::Datetime));
        }
        if self.choices.chance(1, 5) {
            let want = self.want();
            let written = typed(self.choices, &self.features.scope_above(&above), want, 1);
            items.push(&written.text, written.usual, written.ty);
        }
        let filter = self.filter(&pool, 4);
        let having = match self.features.filters && self.choices.chance(1, 6) {
            true => format!(" HAVING {}", predicate(self.choices, &self.features.scope_above(&above), 1)),
            false => String::new(),
        };
        let place = self.choices.index(group.len() + 1);
        group.insert(place, window);
        let into = into.map_or(String::new(), |name| format!(" INTO {name}"));
        let (list, group) = (items.texts.join(", "), group.join(", "));
        let text = format!("SELECT {list}{into} FROM {}{filter} GROUP BY {group}{having}", draft.text);
        let by = draft.streams[0].by.clone();
        Selected { text, columns: items.columns, by, over: Some(over), open: false }
    }

    fn grouping_key(
        &mut self,
        pool: &[Column],
        items: &mut Items,
        group: &mut Vec<String>,
        above: &mut Vec<Column>,
    ) {
        let (text, usual, ty) = match self.choices.weighted(&[5, 2, 1]) {
            0 => {
                let keys: Vec<&Column> = pool.iter().filter(|c| c.usual == Want::Anything).collect();
                let key = if keys.is_empty() { self.choices.pick(pool) } else { *self.choices.pick(&keys) };
                (key.name.clone(), key.usual, key.ty)
            }
            1 => {
                let key = self.choices.pick(pool);
                (key.name.clone(), key.usual, key.ty)
            }
            _ => {
                // No key but the window itself may contain System.Timestamp() (rule 4.1).
                let scope = Scope { timestamp: false, ..self.features.scope(pool) };
                let written = typed(self.choices, &scope, Want::Number, 1);
                (written.text, written.usual, written.ty)
            }
        };
        if group.contains(&text) {
            return;
        }
        above.push(column(&text, usual, ty));
        items.push(&text, usual, ty);
        group.push(text);
    }
}
