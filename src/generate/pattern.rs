//! MATCH_RECOGNIZE (section 9): a pattern of up to three variables over a stream or a step.
//!
//! Definitions look at the event being tested and at what was matched before it, measures at the whole match.
//! Invariant: a definition names no variable that is defined later (rule 9.4).

use rewindow_query::value::Type;

use super::expression::{Column, Want, predicate, typed};
use super::query::Writer;
use super::relation::{Side, column};

const VARIABLES: [&str; 3] = ["U", "V", "W"];

impl Writer<'_> {
    /// A pattern as the one input of FROM.
    pub(super) fn pattern(&mut self, alias: &str) -> Side {
        let from = self.whole_relation();
        let by = self.key(&[&from]);
        let side = self.side(&from, "", by.as_deref());
        let mut partition = side.substream().unwrap_or_default();
        if self.choices.chance(1, 2) {
            let key = self.choices.pick(&side.columns).name.clone();
            if !partition.contains(&key) {
                partition.push(key);
            }
        }
        let partition = match partition.is_empty() {
            true => String::new(),
            false => format!(" PARTITION BY {}", partition.join(", ")),
        };
        let shape = self.shape(2);
        let used: Vec<&str> = VARIABLES.into_iter().filter(|v| shape.contains(v)).collect();
        let (shape, used) = match used.is_empty() {
            true => (format!("U {shape}"), vec!["U"]),
            false => (shape, used),
        };
        let (mut define, mut defined) = (Vec::new(), Vec::new());
        for variable in &used {
            // One may be left undefined: it always holds.
            if defined.is_empty() || !self.choices.chance(1, 6) {
                defined.push(*variable);
                define.push(format!("{variable} AS {}", self.definition(&side.columns, &defined)));
            }
        }
        let measures = self.measures(&side.columns, &used);
        let listed: Vec<String> =
            measures.iter().enumerate().map(|(place, m)| format!("{} AS m{place}", m.name)).collect();
        let text = format!(
            "{} MATCH_RECOGNIZE ({}{partition} MEASURES {} AFTER MATCH SKIP TO NEXT ROW PATTERN ({shape}) DEFINE {}){}",
            side.text,
            self.limit(),
            listed.join(", "),
            define.join(", "),
            if alias.is_empty() { String::new() } else { format!(" AS {alias}") },
        );
        let columns = measures
            .into_iter()
            .enumerate()
            .map(|(place, m)| Column { name: format!("m{place}"), ..m })
            .collect();
        Side {
            text,
            qualifier: if alias.is_empty() { String::new() } else { format!("{alias}.") },
            columns,
            // Behind `.` no variable need know the partition.
            by: side.by.filter(|_| !shape.contains('.')),
            over: side.over.filter(Vec::is_empty),
            open: false,
        }
    }

    fn shape(&mut self, depth: u32) -> String {
        if depth == 0 || self.choices.chance(1, 3) {
            return match self.choices.weighted(&[4, 3, 2, 1]) {
                3 => ".".to_owned(),
                place => VARIABLES[place].to_owned(),
            };
        }
        match self.choices.weighted(&[4, 2, 3]) {
            0 => format!("{} {}", self.shape(depth - 1), self.shape(depth - 1)),
            1 => format!("({} | {})", self.shape(depth - 1), self.shape(depth - 1)),
            _ => {
                let inner = self.shape(depth - 1);
                let count = *self.choices.pick(&["+", "*", "?", "{2,}", "{1,2}"]);
                match inner.len() {
                    1 => format!("{inner}{count}"),
                    _ => format!("({inner}){count}"),
                }
            }
        }
    }

    /// The definition of the last of these variables.
    fn definition(&mut self, columns: &[Column], variables: &[&str]) -> String {
        let own = variables[variables.len() - 1];
        let mut terms: Vec<Column> =
            columns.iter().map(|c| Column { name: format!("{own}.{}", c.name), ..c.clone() }).collect();
        for _ in 0..self.choices.range(0, 2) {
            terms.push(self.term(columns, variables));
        }
        predicate(self.choices, &self.features.scope(&terms), 1)
    }

    /// First, Last, Min or Max of a column of a variable.
    fn term(&mut self, columns: &[Column], variables: &[&str]) -> Column {
        let variable = *self.choices.pick(variables);
        let numbers: Vec<&Column> = columns.iter().filter(|c| c.usual == Want::Number).collect();
        let found = match numbers.is_empty() || self.choices.chance(1, 4) {
            true => self.choices.pick(columns),
            false => *self.choices.pick(&numbers),
        };
        // What usually is a number may be known to be something else, which Min and Max refuse.
        let ordered = found.usual == Want::Number
            && !matches!(found.ty, Some(Type::Array | Type::Record | Type::Datetime));
        let name = match self.choices.weighted(&[2, 2, 1, 1]) {
            0 => "Last",
            1 => "First",
            2 if ordered => "Min",
            3 if ordered => "Max",
            _ => "Last",
        };
        let number = matches!(name, "Min" | "Max");
        Column {
            name: format!("{name}({variable}.{})", found.name),
            usual: found.usual,
            ty: found.ty.filter(|ty| !number || *ty != Type::Text),
        }
    }

    fn measures(&mut self, columns: &[Column], variables: &[&str]) -> Vec<Column> {
        let mut measures = Vec::new();
        for _ in 0..self.choices.range(1, 3) {
            let term = self.term(columns, variables);
            measures.push(match self.choices.weighted(&[4, 2, 1, 1]) {
                1 => {
                    let (variable, found) = (*self.choices.pick(variables), self.choices.pick(columns));
                    Column { name: format!("{variable}.{}", found.name), ..found.clone() }
                }
                2 => column("Classifier()", Want::Array, Some(Type::Array)),
                3 => {
                    let terms = [term];
                    let written = typed(self.choices, &self.features.scope(&terms), terms[0].usual, 1);
                    column(&written.text, written.usual, written.ty)
                }
                _ => term,
            });
        }
        measures
    }
}
