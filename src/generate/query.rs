//! Small queries: a random walk through this language, one operator per step.
//!
//! A relation knows its name and its columns with what they may hold, so that what is written is valid
//! and seldom fails at run time. Sizes are a few seconds: small enough for edges to collide. Invariant:
//! the analysis accepts every text made here.

use crate::choices::Choices;

/// Names of the two streams of a small case.
pub(super) const INPUTS: [&str; 2] = ["a", "b"];

/// What a column may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Numbers and NULL.
    Number,
    /// Anything that can be a key.
    Key,
    /// Anything at all; the analysis knows no type.
    Anything,
    /// Text or NULL, and the analysis knows.
    Text,
    /// Instants, and the analysis knows.
    Instant,
}

impl Holds {
    /// Whether the analysis lets the two stand beside each other, compared or in one column.
    fn meets(self, other: Holds) -> bool {
        self == other
            || matches!(self, Holds::Key | Holds::Anything)
            || matches!(other, Holds::Key | Holds::Anything)
    }
}

/// A stream or a step.
#[derive(Clone)]
struct Relation {
    name: String,
    /// What FROM needs besides the name.
    clauses: &'static str,
    columns: Vec<(String, Holds)>,
}

/// The text of a query over the streams of [`INPUTS`].
pub(super) fn write(choices: &mut dyn Choices) -> String {
    let mut writer = Writer::new(choices);
    let steps = writer.choices.range(0, 2);
    let mut text = String::new();
    for number in 0..steps {
        let name = format!("s{number}");
        let (query, columns) = writer.query(None);
        text.push_str(if number == 0 { "WITH " } else { ",\n" });
        text.push_str(&format!("{name} AS (\n  {query}\n)"));
        let clauses = if writer.partitioned { " PARTITION BY PartitionId" } else { "" };
        writer.relations.push(Relation { name, clauses, columns });
    }
    if steps > 0 {
        text.push('\n');
    }
    let (query, _) = writer.query(Some("out"));
    text.push_str(&query);
    if writer.choices.chance(1, 5) {
        let (query, _) = writer.query(Some("more"));
        text.push_str(";\n");
        text.push_str(&query);
    }
    text
}

struct Writer<'a> {
    choices: &'a mut dyn Choices,
    relations: Vec<Relation>,
    partitioned: bool,
    /// Of all windows, bounds and limits. Minutes outgrow the five minutes that every replay reaches
    /// back anyway (rule 12.3), seconds make edges collide.
    unit: &'static str,
}

impl<'a> Writer<'a> {
    fn new(choices: &'a mut dyn Choices) -> Writer<'a> {
        let partitioned = choices.chance(1, 4);
        let by_arrival = choices.chance(1, 10);
        let unit = if choices.chance(1, 3) { "minute" } else { "second" };
        let clauses = match (by_arrival, partitioned) {
            (false, false) => " TIMESTAMP BY t",
            (false, true) => " TIMESTAMP BY t PARTITION BY PartitionId",
            (true, false) => "",
            (true, true) => " PARTITION BY PartitionId",
        };
        let columns = || {
            let of = [("k", Holds::Key), ("n", Holds::Number), ("x", Holds::Anything)];
            of.into_iter().map(|(name, holds)| (name.to_owned(), holds)).collect()
        };
        let stream = |name: &&str| Relation { name: (*name).to_owned(), clauses, columns: columns() };
        Writer { choices, relations: INPUTS.iter().map(stream).collect(), partitioned, unit }
    }

    /// A SELECT, or a UNION of two, with its columns.
    fn query(&mut self, into: Option<&str>) -> (String, Vec<(String, Holds)>) {
        let into = into.map_or(String::new(), |name| format!(" INTO {name}"));
        match self.choices.weighted(&[3, 2, 4, 3, 1]) {
            0 => self.group(&into),
            1 => self.project(&into),
            2 => self.group(&into),
            3 if self.choices.chance(1, 2) => self.join(&into),
            3 => self.analytic(&into),
            _ => self.union(&into),
        }
    }

    /// The newest relation most often, so that steps form chains.
    fn relation(&mut self) -> Relation {
        let newest = self.relations.len() - 1;
        let index = match self.choices.chance(1, 3) || newest < INPUTS.len() {
            true => self.choices.index(self.relations.len()),
            false => newest,
        };
        self.relations[index].clone()
    }

    // ---- statements ---------------------------------------------------------------------------------

    fn project(&mut self, into: &str) -> (String, Vec<(String, Holds)>) {
        let from = self.relation();
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for index in 0..self.choices.range(1, 3) {
            let (item, holds) = match self.choices.weighted(&[3, 2, 1, 1]) {
                0 => self.column(&from, ""),
                1 => (self.number(&from, "", 2), Holds::Number),
                2 => self.odd(&from),
                _ => ("System.Timestamp()".to_owned(), Holds::Instant),
            };
            items.push(format!("{item} AS p{index}"));
            columns.push((format!("p{index}"), holds));
        }
        let filter = self.filter(&from, 2);
        (format!("SELECT {}{into} FROM {}{}{filter}", items.join(", "), from.name, from.clauses), columns)
    }

    fn group(&mut self, into: &str) -> (String, Vec<(String, Holds)>) {
        let from = self.relation();
        let (mut items, mut columns, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        if self.choices.chance(2, 3) {
            let keyed = from.columns.iter().filter(|(_, holds)| *holds == Holds::Key).cloned();
            let keyed: Vec<(String, Holds)> = keyed.collect();
            let (key, holds) =
                self.choices.pick(if keyed.is_empty() { &from.columns } else { &keyed }).clone();
            items.push(format!("{key} AS k"));
            columns.push(("k".to_owned(), holds));
            keys.push(key);
        }
        for index in 0..self.choices.range(1, 2) {
            let aggregate = self.aggregate(&from);
            items.push(format!("{aggregate} AS g{index}"));
            columns.push((format!("g{index}"), Holds::Number));
        }
        if self.choices.chance(1, 6) {
            items.push("System.Timestamp() AS ends".to_owned());
            columns.push(("ends".to_owned(), Holds::Instant));
        }
        keys.push(self.window());
        let filter = self.filter(&from, 4);
        let having = match self.choices.chance(1, 6) {
            true => format!(" HAVING COUNT(*) > {}", self.choices.range(0, 2)),
            false => String::new(),
        };
        let (items, keys) = (items.join(", "), keys.join(", "));
        let text = format!(
            "SELECT {items}{into} FROM {}{}{filter} GROUP BY {keys}{having}",
            from.name, from.clauses
        );
        (text, columns)
    }

    fn analytic(&mut self, into: &str) -> (String, Vec<(String, Holds)>) {
        let from = self.relation();
        let (kept, kept_holds) = self.column(&from, "");
        let (argument, holds) = self.column(&from, "");
        let mut over = Vec::new();
        if self.choices.chance(1, 2) {
            over.push(format!("PARTITION BY {}", self.column(&from, "").0));
        }
        let limit = format!("LIMIT DURATION({}, {})", self.unit, self.choices.range(1, 10));
        let mut when = match self.choices.chance(1, 3) {
            true => vec![format!("WHEN {}", self.predicate(&from, "", 1))],
            false => Vec::new(),
        };
        let (call, holds) = match self.choices.weighted(&[3, 2, 2]) {
            0 => {
                over.push(limit);
                let offset = self.choices.range(1, 3);
                let call = match self.choices.chance(1, 3) && holds == Holds::Number {
                    true => format!("LAG({argument}, {offset}, {})", self.choices.range(-1, 1)),
                    false => format!("LAG({argument}, {offset})"),
                };
                (call, holds)
            }
            1 => {
                over.push(limit);
                // Without WHEN it is the row itself, always.
                if when.is_empty() && self.choices.chance(3, 4) {
                    when.push(format!("WHEN {}", self.predicate(&from, "", 1)));
                }
                (format!("LAST({argument})"), holds)
            }
            _ => (format!("ISFIRST({}, {})", self.unit, self.choices.range(1, 7)), Holds::Number),
        };
        over.extend(when);
        let over = match over.is_empty() {
            true => String::new(),
            false => format!(" OVER ({})", over.join(" ")),
        };
        let filter = self.filter(&from, 3);
        let text =
            format!("SELECT {kept} AS v, {call}{over} AS l{into} FROM {}{}{filter}", from.name, from.clauses);
        (text, vec![("v".to_owned(), kept_holds), ("l".to_owned(), holds)])
    }

    fn join(&mut self, into: &str) -> (String, Vec<(String, Holds)>) {
        let (left, right) = (self.relation(), self.relation());
        let kind = if self.choices.chance(1, 2) { "LEFT JOIN" } else { "JOIN" };
        let low = self.choices.range(-3, 2);
        let high = low + self.choices.range(0, 5);
        let mut on = vec![format!("DATEDIFF({}, l, r) BETWEEN {low} AND {high}", self.unit)];
        if self.partitioned {
            on.push("l.PartitionId = r.PartitionId".to_owned());
        }
        if self.choices.chance(1, 2) {
            let (x, y) = (self.column(&left, "l."), self.column(&right, "r."));
            if x.1.meets(y.1) {
                on.push(format!("{} = {}", x.0, y.0));
            }
        }
        if self.choices.chance(1, 4) {
            let side = if self.choices.chance(1, 2) { (&left, "l.") } else { (&right, "r.") };
            on.push(self.predicate(side.0, side.1, 1));
        }
        let (x, y) = (self.column(&left, "l."), self.column(&right, "r."));
        let filter = match self.choices.chance(1, 6) {
            true => format!(" WHERE {} IS NULL", y.0),
            false => String::new(),
        };
        let text = format!(
            "SELECT {} AS u, {} AS w{into} FROM {} l{} {kind} {} r{} ON {}{filter}",
            x.0,
            y.0,
            left.name,
            left.clauses,
            right.name,
            right.clauses,
            on.join(" AND ")
        );
        (text, vec![("u".to_owned(), x.1), ("w".to_owned(), y.1)])
    }

    fn union(&mut self, into: &str) -> (String, Vec<(String, Holds)>) {
        let (first, second) = (self.relation(), self.relation());
        let (x, mut y) = (self.column(&first, ""), self.column(&second, ""));
        if !x.1.meets(y.1) {
            y = ("NULL".to_owned(), x.1);
        }
        // Where the two differ at least one has no static type, and then neither has the union.
        let holds = if x.1 == y.1 { x.1 } else { Holds::Anything };
        let (filter, other) = (self.filter(&first, 4), self.filter(&second, 4));
        let text = format!(
            "SELECT {} AS q{into} FROM {}{}{filter} UNION SELECT {} AS q FROM {}{}{other}",
            x.0, first.name, first.clauses, y.0, second.name, second.clauses
        );
        (text, vec![("q".to_owned(), holds)])
    }

    // ---- parts --------------------------------------------------------------------------------------

    fn window(&mut self) -> String {
        let (unit, size) = (self.unit, self.choices.range(1, 7));
        match self.choices.weighted(&[3, 3, 3, 1]) {
            0 => format!("TumblingWindow({unit}, {size})"),
            1 => format!("HoppingWindow({unit}, {size}, {})", self.choices.range(1, 4)),
            2 => format!("SlidingWindow({unit}, {size})"),
            _ => format!("TumblingWindow({unit}, {size}, {})", self.choices.range(-2, 2)),
        }
    }

    fn aggregate(&mut self, from: &Relation) -> String {
        let number = self.number(from, "", 1);
        match self.choices.weighted(&[4, 3, 1, 1, 1, 1, 1]) {
            0 => "COUNT(*)".to_owned(),
            1 => format!("SUM({number})"),
            2 => format!("AVG({number})"),
            3 => format!("MIN({number})"),
            4 => format!("MAX({number})"),
            5 => format!("COUNT({})", self.column(from, "").0),
            _ => format!("COUNT(DISTINCT {})", self.column(from, "").0),
        }
    }

    fn column(&mut self, from: &Relation, side: &str) -> (String, Holds) {
        let (name, holds) = self.choices.pick(&from.columns);
        (format!("{side}{name}"), *holds)
    }

    /// An expression that gives a number or NULL, if columns hold what they should.
    fn number(&mut self, from: &Relation, side: &str, depth: u32) -> String {
        let numbers: Vec<&String> =
            from.columns.iter().filter(|(_, holds)| *holds == Holds::Number).map(|(name, _)| name).collect();
        if depth == 0 || self.choices.chance(1, 2) {
            return match numbers.is_empty() || self.choices.chance(1, 8) {
                true => self.choices.range(0, 3).to_string(),
                false => format!("{side}{}", self.choices.pick(&numbers)),
            };
        }
        let x = self.number(from, side, depth - 1);
        match self.choices.weighted(&[8, 8, 8, 8, 4, 4, 1, 1]) {
            0 => format!("({x} + {})", self.number(from, side, depth - 1)),
            1 => format!("({x} * {})", self.choices.range(0, 3)),
            2 => format!("({x} - {})", self.number(from, side, depth - 1)),
            3 => {
                let when = self.predicate(from, side, 1);
                format!("CASE WHEN {when} THEN {x} ELSE {} END", self.choices.range(0, 2))
            }
            4 => format!("COALESCE({x}, {})", self.choices.range(0, 2)),
            5 => format!("ABS({x})"),
            // The next two fail now and then, and with them the job (rule 14.2).
            6 => format!("({x} / {})", self.number(from, side, depth - 1)),
            _ => match self.column(from, side) {
                (column, Holds::Key | Holds::Anything) => format!("CAST({column} AS float)"),
                _ => format!("({x} % 2)"),
            },
        }
    }

    /// An expression of another sort.
    fn odd(&mut self, from: &Relation) -> (String, Holds) {
        let (x, holds) = self.column(from, "");
        let known = matches!(holds, Holds::Text | Holds::Instant);
        match self.choices.weighted(&[1, 1, 1, 1, 1]) {
            1 if holds != Holds::Instant => (format!("TRY_CAST({x} AS bigint)"), Holds::Number),
            2 if !known => (format!("NULLIF({x}, 1)"), holds),
            3 => ("DATEPART(second, System.Timestamp())".to_owned(), Holds::Number),
            4 if holds == Holds::Text => (format!("COALESCE({x}, 'none')"), Holds::Text),
            4 if !known && holds != Holds::Number => (format!("COALESCE({x}, 'none')"), Holds::Anything),
            _ => (format!("GetType({x})"), Holds::Text),
        }
    }

    fn filter(&mut self, from: &Relation, one_in: u64) -> String {
        match self.choices.chance(1, one_in) {
            true => format!(" WHERE {}", self.predicate(from, "", 2)),
            false => String::new(),
        }
    }

    fn predicate(&mut self, from: &Relation, side: &str, depth: u32) -> String {
        if depth > 1 && self.choices.chance(1, 3) {
            let (x, y) = (self.predicate(from, side, depth - 1), self.predicate(from, side, depth - 1));
            return match self.choices.weighted(&[2, 2, 1]) {
                0 => format!("({x} AND {y})"),
                1 => format!("({x} OR {y})"),
                _ => format!("NOT ({x})"),
            };
        }
        let (x, holds) = self.column(from, side);
        let number = !matches!(holds, Holds::Text | Holds::Instant);
        match self.choices.weighted(&[4, 2, 2, 1, 1]) {
            1 if holds != Holds::Number => format!("{x} = 'a'"),
            2 => format!("{x} IS {}NULL", if self.choices.chance(1, 2) { "NOT " } else { "" }),
            3 if number && holds != Holds::Number => format!("{x} IN ('a', 1, NULL)"),
            4 if number => format!("{x} BETWEEN 1 AND 2"),
            _ => {
                let operator = *self.choices.pick(&[">", "<", "=", "<>", ">=", "<="]);
                let number = self.number(from, side, 0);
                format!("{number} {operator} {}", self.choices.range(0, 3))
            }
        }
    }
}
