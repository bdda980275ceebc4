//! Windows, lengths of time and analytic calls: sizes of a few units, in many spellings.
//!
//! Invariant: every length is a whole number of ticks above zero, and no hop is tiny (C-PANES).

use rewindow_query::value::Type;

use super::aggregate::over;
use super::expression::{Column, Want, typed};
use super::features::{Kind, Unit};
use super::query::Writer;
use super::relation::{Side, column};

impl Writer<'_> {
    // ---- lengths ------------------------------------------------------------------------------------

    /// `unit, n`: a length between so many units of the case.
    pub(super) fn length(&mut self, low: i64, high: i64) -> String {
        let count = self.choices.range(low, high);
        let (unit, count) = self.spelled(count);
        format!("{unit}, {count}")
    }

    /// `unit, n`: a positive length.
    pub(super) fn limit(&mut self) -> String {
        format!("LIMIT DURATION({})", self.length(1, 10))
    }

    /// So many units of the case, in one of the ways to write them.
    fn spelled(&mut self, count: i64) -> (String, String) {
        let unit = self.features.unit;
        if !self.features.spellings {
            return (unit.name().to_owned(), count.to_string());
        }
        let names: &[(&str, i64)] = match unit {
            Unit::Second => &[
                ("second", 1),
                ("ss", 1),
                ("s", 1),
                ("seconds", 1),
                ("SECOND", 1),
                ("'second'", 1),
                ("ms", 1_000),
                ("millisecond", 1_000),
                ("mcs", 1_000_000),
            ],
            Unit::Minute => &[
                ("minute", 1),
                ("mi", 1),
                ("n", 1),
                ("minutes", 1),
                ("Minute", 1),
                ("second", 60),
                ("ms", 60_000),
            ],
        };
        let (name, scale) = *self.choices.pick(names);
        let count = count * scale;
        // A constant with a fraction of zero is the same length (A-FRACTION-SIZE).
        let fraction = if self.choices.chance(1, 12) { ".0" } else { "" };
        (name.to_owned(), format!("{count}{fraction}"))
    }

    // ---- windows ------------------------------------------------------------------------------------

    /// The window of a GROUP BY, and whether it is one of Windows().
    pub(super) fn grouping_window(&mut self, kind: Kind, columns: &[Column]) -> (String, bool) {
        if kind != Kind::Several {
            return (self.window(kind, columns), false);
        }
        let enabled = self.features.among(&Kind::WINDOWS);
        let enabled = if enabled.is_empty() { Kind::WINDOWS.to_vec() } else { enabled };
        let ids = self.choices.chance(1, 2);
        let mut members = Vec::new();
        for place in 0..self.choices.range(1, 3) {
            let kind = *self.choices.pick(&enabled);
            let window = self.window(kind, columns);
            members.push(match ids {
                true => format!("Window('w{place}', {window})"),
                false => window,
            });
        }
        (format!("Windows({})", members.join(", ")), true)
    }

    fn window(&mut self, kind: Kind, columns: &[Column]) -> String {
        let window = if self.choices.chance(1, 3) { "" } else { "Window" };
        let apart = self.choices.chance(1, 4);
        let length =
            |writer: &mut Self, name: &str, low, high| format!("{name}({})", writer.length(low, high));
        match (kind, apart) {
            (Kind::Snapshot, _) => "System.Timestamp()".to_owned(),
            (Kind::Tumbling, false) => {
                let offset = match self.choices.chance(1, 4) {
                    true => format!(", {}", self.choices.range(-2, 2)),
                    false => String::new(),
                };
                let (unit, size) = (self.features.unit.name(), self.choices.range(1, 7));
                format!("Tumbling{window}({unit}, {size}{offset})")
            }
            (Kind::Tumbling, true) => {
                let size = length(self, "Duration", 1, 7);
                let offset = if self.choices.chance(1, 2) { ", Offset(millisecond, -1)" } else { "" };
                format!("Tumbling{window}({size}{offset})")
            }
            (Kind::Hopping, false) => {
                let (unit, size) = (self.features.unit.name(), self.choices.range(1, 7));
                let hop = self.choices.range(1, 4);
                let offset = if self.choices.chance(1, 5) { ", 1" } else { "" };
                format!("Hopping{window}({unit}, {size}, {hop}{offset})")
            }
            (Kind::Hopping, true) => {
                let (size, hop) = (length(self, "Duration", 1, 7), length(self, "Hop", 1, 4));
                let offset =
                    if self.choices.chance(1, 3) { length(self, ", Offset", -2, 2) } else { String::new() };
                format!("Hopping{window}({size}, {hop}{offset})")
            }
            (Kind::Sliding, false) => format!("Sliding{window}({})", self.length(1, 7)),
            (Kind::Sliding, true) => format!("Sliding{window}({})", length(self, "Duration", 1, 7)),
            _ => {
                let lengths = match apart {
                    true => {
                        let timeout = length(self, "Timeout", 1, 5);
                        format!("{timeout}, {}", length(self, "MaxDuration", 1, 10))
                    }
                    false => {
                        let (timeout, max) = (self.choices.range(1, 5), self.choices.range(1, 10));
                        format!("{}, {timeout}, {max}", self.features.unit.name())
                    }
                };
                let over = match self.choices.chance(1, 2) {
                    true => format!(" OVER (PARTITION BY {})", self.choices.pick(columns).name),
                    false => String::new(),
                };
                format!("Session{window}({lengths}){over}")
            }
        }
    }

    // ---- analytic functions -------------------------------------------------------------------------

    /// A call over one side of FROM; `several`: there are other streams, so it must name a column of its own.
    pub(super) fn call(&mut self, kind: Kind, side: &Side, several: bool) -> Column {
        let columns = side.qualified();
        let mut within = Vec::new();
        if several || self.choices.chance(1, 2) {
            within.push(format!("PARTITION BY {}", self.choices.pick(&columns).name));
        }
        let when = match self.choices.chance(1, 3) {
            true => Some(format!("WHEN {}", self.predicate(&columns, 1))),
            false => None,
        };
        match kind {
            Kind::Lag => {
                let (argument, usual, ty) = self.looked_at(&columns, several);
                // The whole event is looked for one back, and nothing stands for it.
                let offset = if argument == "*" { 1 } else { self.choices.range(1, 3) };
                let default = self.default_of(usual, ty);
                within.push(self.limit());
                within.extend(when);
                let text = match (offset, default) {
                    (1, None) => format!("LAG({argument})"),
                    (_, None) => format!("LAG({argument}, {offset})"),
                    (_, Some(default)) => format!("LAG({argument}, {offset}, {default})"),
                };
                column(&format!("{text} OVER ({})", within.join(" ")), usual, ty)
            }
            Kind::Last => {
                let (argument, usual, ty) = self.looked_at(&columns, several);
                let default = self.default_of(usual, ty).map_or(String::new(), |d| format!(", {d}"));
                within.push(self.limit());
                // Without WHEN it is the row itself, always.
                let when = match when {
                    None if self.choices.chance(3, 4) => {
                        Some(format!("WHEN {}", self.predicate(&columns, 1)))
                    }
                    when => when,
                };
                within.extend(when);
                column(&format!("LAST({argument}{default}) OVER ({})", within.join(" ")), usual, ty)
            }
            Kind::IsFirst => {
                let interval = self.length(1, 7);
                within.extend(when);
                let over =
                    if within.is_empty() { String::new() } else { format!(" OVER ({})", within.join(" ")) };
                column(&format!("ISFIRST({interval}){over}"), Want::Number, Some(Type::Bigint))
            }
            _ => self.over_aggregate(&columns, several),
        }
    }

    /// What LAG and LAST look at.
    fn looked_at(&mut self, columns: &[Column], several: bool) -> (String, Want, Option<Type>) {
        match self.choices.weighted(&[6, 2, 1]) {
            1 => {
                let written = typed(self.choices, &self.features.scope(columns), Want::Number, 1);
                (written.text, written.usual, written.ty)
            }
            2 if !several => ("*".to_owned(), Want::Record, None),
            _ => {
                let column = self.choices.pick(columns);
                (column.name.clone(), column.usual, column.ty)
            }
        }
    }

    /// A default of the type of the argument (rule 7.1), in one of three.
    fn default_of(&mut self, usual: Want, ty: Option<Type>) -> Option<String> {
        if !self.choices.chance(1, 3) {
            return None;
        }
        let number = matches!(ty, Some(Type::Bit | Type::Bigint | Type::Float));
        match (usual, ty) {
            (Want::Number, None) => Some(self.choices.range(-1, 1).to_string()),
            (_, Some(_)) if number => Some(self.choices.range(-1, 1).to_string()),
            (Want::Text, None) | (_, Some(Type::Text)) => Some("'none'".to_owned()),
            _ => None,
        }
    }

    /// An aggregate with OVER (rule 6.2).
    fn over_aggregate(&mut self, columns: &[Column], several: bool) -> Column {
        let limit = self.length(1, 10);
        let written = over(self.choices, &self.features.scope(columns), &limit, 1);
        let own = columns.iter().any(|column| written.text.contains(&column.name));
        match several && !own {
            false => column(&written.text, written.usual, written.ty),
            true => {
                let of = &self.choices.pick(columns).name;
                let text = format!("COUNT({of}) OVER (LIMIT DURATION({limit}))");
                column(&text, Want::Number, Some(Type::Bigint))
            }
        }
    }
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Second => "second",
            Unit::Minute => "minute",
        }
    }
}
