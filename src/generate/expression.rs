//! Random scalar expressions and predicates over the columns of a scope.
//!
//! Knows which types the analysis lets stand together (rule 1.2: most columns have none), and what columns
//! usually hold, so that a job fails now and then but not always. Knows nothing of what is right. Invariant:
//! the analysis accepts every text made here, and the type given beside it is the one the analysis finds.

mod condition;
mod literal;
mod nested;
mod number;
mod text;

use rewindow_query::value::Type;

use crate::choices::Choices;

/// What values usually are: what a column holds, or what an expression should give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Numbers and NULL.
    Number,
    /// Text and NULL.
    Text,
    /// Datetimes, or text in ISO 8601.
    Instant,
    /// Arrays.
    Array,
    /// Records.
    Record,
    /// GeoJSON records or WKT.
    Shape,
    /// Anything.
    Anything,
}

/// A column that expressions may name.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// Its name as the query must write it, without qualifier.
    pub name: String,
    /// What it usually holds.
    pub usual: Want,
    /// Its static type, if the analysis knows one (a computed column of a step).
    pub ty: Option<Type>,
}

/// What an expression may use.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The columns; there may be none.
    pub columns: &'a [Column],
    /// What stands before every name: `l.`, or nothing.
    pub qualifier: &'a str,
    /// Whether `System.Timestamp()` may be written (not in ON and TIMESTAMP BY).
    pub timestamp: bool,
    /// Families of functions that are switched off.
    pub off: &'a [Family],
    /// Whether values are often of a type or size that fails the job. Without it failures are rare.
    pub risky: bool,
}

/// Parts of the language that a case can do without, to make room for the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// `+ - * / %`, numeric functions
    Arithmetic,
    /// `& | ^ ~`
    Bitwise,
    /// text functions
    Text,
    /// LIKE, PATINDEX, REGEXMATCH
    Pattern,
    /// date functions
    Date,
    /// CAST and TRY_CAST
    Cast,
    /// CASE, COALESCE, NULLIF
    Branch,
    /// records, arrays, JSON_PARSE
    Nested,
    /// geospatial functions
    Shape,
    /// VAR, VARP, STDEV, STDEVP
    Spread,
    /// PERCENTILE_CONT, PERCENTILE_DISC
    Percentile,
    /// COLLECT, COLLECTTOP, TOPONE
    Collected,
    /// COUNT(DISTINCT)
    Distinct,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 13] = [
        Family::Arithmetic,
        Family::Bitwise,
        Family::Text,
        Family::Pattern,
        Family::Date,
        Family::Cast,
        Family::Branch,
        Family::Nested,
        Family::Shape,
        Family::Spread,
        Family::Percentile,
        Family::Collected,
        Family::Distinct,
    ];

    /// Some to switch off: in one case of two, each with a probability of one in four.
    pub fn some(choices: &mut dyn Choices) -> Vec<Family> {
        if !choices.chance(1, 2) {
            return Vec::new();
        }
        Family::ALL.into_iter().filter(|_| choices.chance(1, 4)).collect()
    }
}

/// An expression, and what is known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Written {
    /// The expression, in parentheses where it needs them as an operand.
    pub text: String,
    /// Its static type, as the analysis will find it.
    pub ty: Option<Type>,
    /// What it usually gives.
    pub usual: Want,
}

/// An expression that usually gives what is wanted; at most `depth` calls inside each other.
pub fn scalar(choices: &mut dyn Choices, scope: &Scope<'_>, want: Want, depth: u32) -> String {
    typed(choices, scope, want, depth).text
}

/// As [`scalar`], with what is known of it.
pub fn typed(choices: &mut dyn Choices, scope: &Scope<'_>, want: Want, depth: u32) -> Written {
    Writer { choices, scope }.value(want, depth)
}

/// A condition; at most `depth` calls inside each other.
pub fn predicate(choices: &mut dyn Choices, scope: &Scope<'_>, depth: u32) -> String {
    Writer { choices, scope }.condition(depth)
}

/// An expression that can stand where the analysis asks for this; what it usually gives is this too, unless
/// the scope is risky.
pub(super) fn argument(choices: &mut dyn Choices, scope: &Scope<'_>, want: Want, depth: u32) -> Written {
    Writer { choices, scope }.argument(want, depth)
}

struct Writer<'w> {
    choices: &'w mut dyn Choices,
    scope: &'w Scope<'w>,
}

/// A way to make an expression, with its weight and what it belongs to.
type Way = (u64, Option<Family>, fn(&mut Writer<'_>, u32) -> Written);

impl Want {
    const ALL: [Want; 7] =
        [Want::Number, Want::Text, Want::Instant, Want::Array, Want::Record, Want::Shape, Want::Anything];

    /// Whether the analysis lets an expression of this static type stand where this is needed.
    fn takes(self, ty: Option<Type>) -> bool {
        let Some(ty) = ty else { return true };
        match self {
            Want::Number => matches!(ty, Type::Bit | Type::Bigint | Type::Float),
            Want::Text => !matches!(ty, Type::Array | Type::Record),
            Want::Instant => matches!(ty, Type::Datetime | Type::Text),
            Want::Array => ty == Type::Array,
            Want::Record => ty == Type::Record,
            Want::Shape => matches!(ty, Type::Record | Type::Text),
            Want::Anything => true,
        }
    }

    /// The types that values of this sort have.
    fn types(self) -> &'static [Type] {
        match self {
            Want::Number => &[Type::Bigint, Type::Float, Type::Bit],
            Want::Text => &[Type::Text],
            Want::Instant => &[Type::Datetime],
            Want::Array => &[Type::Array],
            Want::Record | Want::Shape => &[Type::Record],
            Want::Anything => &Writer::TYPES,
        }
    }

    fn of(ty: Type) -> Want {
        match ty {
            Type::Bit | Type::Bigint | Type::Float => Want::Number,
            Type::Text => Want::Text,
            Type::Datetime => Want::Instant,
            Type::Array => Want::Array,
            Type::Record => Want::Record,
        }
    }
}

impl Writer<'_> {
    const TYPES: [Type; 7] =
        [Type::Bigint, Type::Float, Type::Text, Type::Datetime, Type::Bit, Type::Array, Type::Record];

    fn value(&mut self, want: Want, depth: u32) -> Written {
        if depth == 0 || self.choices.chance(1, 5) {
            return self.leaf(want);
        }
        let depth = depth - 1;
        if self.choices.chance(1, 5) {
            return self.of_any_sort(want, depth);
        }
        match want {
            Want::Number => self.number(depth),
            Want::Text => self.text(depth),
            Want::Instant => self.instant(depth),
            Want::Array | Want::Record => self.nested(want, depth),
            Want::Shape => self.shape(depth),
            Want::Anything => {
                let want = *self.choices.pick(&Want::ALL);
                self.value(want, depth)
            }
        }
    }

    /// One of these ways, unless its family is switched off; a leaf if all are.
    fn way(&mut self, ways: &[Way], want: Want, depth: u32) -> Written {
        let on = |(weight, family, _): &Way| match family {
            Some(family) if self.scope.off.contains(family) => 0,
            _ => *weight,
        };
        let weights: Vec<u64> = ways.iter().map(on).collect();
        if weights.iter().all(|weight| *weight == 0) {
            return self.leaf(want);
        }
        let (_, _, write) = ways[self.choices.weighted(&weights)];
        write(self, depth)
    }

    fn is_off(&self, family: Family) -> bool {
        self.scope.off.contains(&family)
    }

    /// A column, a part of one, or a constant.
    fn leaf(&mut self, want: Want) -> Written {
        let columns = self.scope.columns;
        let fits: Vec<&Column> =
            columns.iter().filter(|column| want == Want::Anything || column.usual == want).collect();
        if fits.is_empty() || self.choices.chance(1, 5) {
            return self.literal(want);
        }
        let column = *self.choices.pick(&fits);
        let name = format!("{}{}", self.scope.qualifier, column.name);
        let open = column.ty.is_none() && !self.is_off(Family::Nested);
        if want == Want::Anything && open && self.choices.chance(1, 4) {
            return self.part(&name);
        }
        Written { text: name, ty: column.ty, usual: column.usual }
    }

    /// CASE, COALESCE, NULLIF, CAST: as good for one sort as for another.
    fn of_any_sort(&mut self, want: Want, depth: u32) -> Written {
        match self.choices.index(4) {
            0 if !self.is_off(Family::Cast) => {
                let to = *self.choices.pick(want.types());
                self.cast(to, want, depth)
            }
            1 if !self.is_off(Family::Branch) => self.case(want, depth),
            2 if !self.is_off(Family::Branch) => {
                let count = self.choices.range(1, 3);
                let args: Vec<Written> = (0..count).map(|_| self.operand(want, depth)).collect();
                let ty = args[0].ty.filter(|ty| args.iter().all(|arg| arg.ty == Some(*ty)));
                Written { text: call("COALESCE", &args), ty, usual: want }
            }
            3 if !self.is_off(Family::Branch) => {
                let args = [self.operand(want, depth), self.operand(want, depth)];
                Written { text: call("NULLIF", &args), ty: args[0].ty, usual: want }
            }
            _ => self.leaf(want),
        }
    }

    fn cast(&mut self, to: Type, want: Want, depth: u32) -> Written {
        let from = self.value(Want::Anything, depth);
        let never = from.ty.is_some_and(|from| !casts(from, to));
        let strict = self.scope.risky || to == Type::Text || from.usual == Want::of(to);
        let lenient = never || !strict || self.choices.chance(1, 2);
        let usual = if want == Want::Anything { Want::of(to) } else { want };
        cast(&from, to, lenient, usual)
    }

    fn case(&mut self, want: Want, depth: u32) -> Written {
        let (mut text, mut types) = ("CASE".to_owned(), Vec::new());
        let simple = self.choices.chance(1, 3);
        if simple {
            text.push_str(&format!(" {}", self.value(Want::Anything, depth.min(1)).text));
        }
        for _ in 0..self.choices.range(1, 2) {
            let when =
                if simple { self.value(Want::Anything, depth.min(1)).text } else { self.condition(depth) };
            let then = self.operand(want, depth);
            text.push_str(&format!(" WHEN {when} THEN {}", then.text));
            types.push(then.ty);
        }
        if self.choices.chance(3, 4) {
            let otherwise = self.operand(want, depth);
            text.push_str(&format!(" ELSE {}", otherwise.text));
            types.push(otherwise.ty);
        } else {
            text.push_str(" ELSE NULL");
            types.push(None);
        }
        Written { text: format!("{text} END"), ty: type_of_case(&types), usual: want }
    }

    /// An expression of that sort, of whatever static type; in a risky scope now and then of another sort.
    fn operand(&mut self, want: Want, depth: u32) -> Written {
        let want = if self.scope.risky && self.choices.chance(1, 8) { Want::Anything } else { want };
        self.value(want, depth)
    }

    /// As [`argument`].
    fn argument(&mut self, want: Want, depth: u32) -> Written {
        let written = self.operand(want, depth);
        let unfit = want != Want::Anything && !self.scope.risky && written.usual != want;
        if unfit || !want.takes(written.ty) {
            let to = *self.choices.pick(match want {
                Want::Number => &[Type::Float, Type::Bigint],
                want => want.types(),
            });
            return cast(&written, to, to != Type::Text, want);
        }
        written
    }

    /// A call with an argument for each letter: `n` number, `t` text, `d` datetime, `a` array, `r` record,
    /// `g` shape, `.` anything, `i` a small whole number.
    fn call(&mut self, name: &str, letters: &str, gives: (Want, Option<Type>), depth: u32) -> Written {
        let args: Vec<Written> = letters.chars().map(|letter| self.lettered(letter, depth)).collect();
        Written { text: call(name, &args), ty: gives.1, usual: gives.0 }
    }

    fn lettered(&mut self, letter: char, depth: u32) -> Written {
        let want = match letter {
            'n' => Want::Number,
            't' => Want::Text,
            'd' => Want::Instant,
            'a' => Want::Array,
            'r' => Want::Record,
            'g' => Want::Shape,
            'i' if self.scope.risky && self.choices.chance(1, 3) => Want::Number,
            'i' => {
                let text = self.choices.range(if self.scope.risky { -2 } else { 0 }, 5).to_string();
                return Written { text, ty: Some(Type::Bigint), usual: Want::Number };
            }
            _ => Want::Anything,
        };
        self.argument(want, depth)
    }
}

/// What CASE gives: the type of its results, or the highest of numbers (rule 5.9); `None` where one is not known.
fn type_of_case(types: &[Option<Type>]) -> Option<Type> {
    let known: Vec<Type> = types.iter().copied().collect::<Option<_>>()?;
    if known.iter().all(|ty| *ty == known[0]) {
        return Some(known[0]);
    }
    let numbers = [Type::Float, Type::Bigint, Type::Bit];
    let highest = numbers.into_iter().find(|ty| known.contains(ty));
    highest.filter(|_| known.iter().all(|ty| numbers.contains(ty)))
}

/// A call of written arguments.
fn call(name: &str, args: &[Written]) -> String {
    let args: Vec<&str> = args.iter().map(|arg| arg.text.as_str()).collect();
    format!("{name}({})", args.join(", "))
}

fn cast(of: &Written, to: Type, lenient: bool, usual: Want) -> Written {
    let text = format!("{}({} AS {})", if lenient { "TRY_CAST" } else { "CAST" }, of.text, to.name());
    // CAST(NULL AS t) has no type.
    Written { text, ty: if of.text == "NULL" { None } else { Some(to) }, usual }
}

/// Whether some value of one type can be cast to the other (C-CAST); no other CAST is accepted.
fn casts(from: Type, to: Type) -> bool {
    let number = matches!(from, Type::Bit | Type::Bigint | Type::Float);
    match to {
        Type::Text => true,
        Type::Bigint | Type::Float | Type::Bit => number || from == Type::Text,
        Type::Datetime => matches!(from, Type::Datetime | Type::Text),
        Type::Record | Type::Array => from == to,
    }
}

#[cfg(test)]
mod tests;
