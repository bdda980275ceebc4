//! Numbers: arithmetic, numeric functions, and what counts, compares or measures other things.

use rewindow_query::value::Type;

use super::{Family, Want, Way, Writer, Written, call};

const INT: (Want, Option<Type>) = (Want::Number, Some(Type::Bigint));
const FLOAT: (Want, Option<Type>) = (Want::Number, Some(Type::Float));

/// Every unit with its abbreviations (rule 4.5, section 10).
pub(super) const UNITS: [&str; 48] = [
    "year",
    "yy",
    "yyyy",
    "years",
    "quarter",
    "qq",
    "q",
    "quarters",
    "month",
    "mm",
    "m",
    "months",
    "dayofyear",
    "dy",
    "y",
    "day",
    "dd",
    "d",
    "days",
    "week",
    "wk",
    "ww",
    "weeks",
    "weekday",
    "dw",
    "w",
    "weekdays",
    "hour",
    "hh",
    "hours",
    "minute",
    "mi",
    "n",
    "minutes",
    "second",
    "ss",
    "s",
    "seconds",
    "millisecond",
    "ms",
    "milliseconds",
    "microsecond",
    "mcs",
    "microseconds",
    "YEAR",
    "Month",
    "HOUR",
    "'day'",
];

const WAYS: [Way; 8] = [
    (6, Some(Family::Arithmetic), |w, depth| w.arithmetic(depth)),
    (4, Some(Family::Arithmetic), |w, depth| w.numeric(depth)),
    (3, Some(Family::Bitwise), |w, depth| w.bitwise(depth)),
    (4, Some(Family::Text), |w, depth| w.measured(depth)),
    (2, Some(Family::Pattern), |w, depth| w.found(depth)),
    (4, Some(Family::Date), |w, depth| w.dated(depth)),
    (1, Some(Family::Nested), |w, depth| w.call("GetArrayLength", "a", INT, depth)),
    (1, Some(Family::Shape), |w, depth| w.between_shapes(depth)),
];

impl Writer<'_> {
    pub(super) fn number(&mut self, depth: u32) -> Written {
        self.way(&WAYS, Want::Number, depth)
    }

    fn arithmetic(&mut self, depth: u32) -> Written {
        let a = self.argument(Want::Number, depth);
        if self.choices.chance(1, 8) {
            let ty = a.ty.map(|ty| if ty == Type::Bit { Type::Bigint } else { ty });
            return Written { text: format!("-({})", a.text), ty, usual: Want::Number };
        }
        let op = *self.choices.pick(&["+", "-", "*", "/", "%"]);
        let mut b = self.argument(Want::Number, depth);
        if matches!(op, "/" | "%") && !self.scope.risky {
            let text = (*self.choices.pick(&["2", "3", "-7", "0.5"])).to_owned();
            let ty = if text.contains('.') { Type::Float } else { Type::Bigint };
            b = Written { text, ty: Some(ty), usual: Want::Number };
        }
        let ty = match (a.ty, b.ty) {
            (Some(Type::Float), Some(_)) | (Some(_), Some(Type::Float)) => Some(Type::Float),
            (Some(_), Some(_)) => Some(Type::Bigint),
            _ => None,
        };
        Written { text: format!("({} {op} {})", a.text, b.text), ty, usual: Want::Number }
    }

    fn numeric(&mut self, depth: u32) -> Written {
        let name = *self
            .choices
            .pick(&["ABS", "CEILING", "FLOOR", "SIGN", "ROUND", "POWER", "SQUARE", "SQRT", "EXP"]);
        let tame = !self.scope.risky;
        let mut args = vec![self.argument(Want::Number, depth)];
        match name {
            "ROUND" => args.push(self.lettered('i', depth)),
            "POWER" if tame => {
                let power = *self.choices.pick(&["0", "1", "2", "0.5"]);
                args.push(small(power));
            }
            "POWER" => args.push(self.argument(Want::Number, depth)),
            "SQRT" if tame => args[0].text = format!("ABS({})", args[0].text),
            "EXP" if tame => args[0].text = format!("({} % 10)", args[0].text),
            _ => {}
        }
        let ty = match name {
            "SQUARE" | "SQRT" | "EXP" => Some(Type::Float),
            _ => args[0].ty.filter(|ty| *ty != Type::Bit),
        };
        Written { text: call(name, &args), ty, usual: Want::Number }
    }

    fn bitwise(&mut self, depth: u32) -> Written {
        let a = self.whole(depth);
        if self.choices.chance(1, 5) {
            return Written { text: format!("~({})", a.text), ty: a.ty, usual: Want::Number };
        }
        let (op, b) = (*self.choices.pick(&["&", "|", "^"]), self.whole(depth));
        let ty = match (a.ty, b.ty) {
            (Some(Type::Bit), Some(Type::Bit)) => Some(Type::Bit),
            (Some(_), Some(_)) => Some(Type::Bigint),
            _ => None,
        };
        Written { text: format!("({} {op} {})", a.text, b.text), ty, usual: Want::Number }
    }

    /// What has bits.
    fn whole(&mut self, depth: u32) -> Written {
        let written = self.argument(Want::Number, depth);
        let fits = matches!(written.ty, Some(Type::Bit | Type::Bigint));
        if fits || written.ty.is_none() && self.scope.risky {
            return written;
        }
        let to = *self.choices.pick(&[Type::Bigint, Type::Bit]);
        super::cast(&written, to, true, Want::Number)
    }

    fn measured(&mut self, depth: u32) -> Written {
        match self.choices.index(4) {
            0 => self.call("LEN", "t", INT, depth),
            1 => self.call("UNICODE", "t", INT, depth),
            2 => self.call("CHARINDEX", "tt", INT, depth),
            _ => self.call("CHARINDEX", "tti", INT, depth),
        }
    }

    fn found(&mut self, depth: u32) -> Written {
        let name = *self.choices.pick(&["PATINDEX", "REGEXMATCH"]);
        let pattern = if name == "PATINDEX" { self.pattern(depth) } else { self.regex(depth) };
        let text = self.argument(Want::Text, depth);
        let args = if name == "PATINDEX" { [pattern, text] } else { [text, pattern] };
        Written { text: call(name, &args), ty: INT.1, usual: Want::Number }
    }

    fn dated(&mut self, depth: u32) -> Written {
        let unit = *self.choices.pick(&UNITS);
        match self.choices.index(6) {
            0 => self.call("DAY", "d", INT, depth),
            1 => self.call("MONTH", "d", INT, depth),
            2 => self.call("YEAR", "d", INT, depth),
            3 => {
                let at = self.argument(Want::Instant, depth);
                Written { text: format!("DATEPART({unit}, {})", at.text), ty: INT.1, usual: Want::Number }
            }
            _ => {
                let (a, b) = (self.argument(Want::Instant, depth), self.argument(Want::Instant, depth));
                let text = format!("DATEDIFF({unit}, {}, {})", a.text, b.text);
                Written { text, ty: INT.1, usual: Want::Number }
            }
        }
    }

    fn between_shapes(&mut self, depth: u32) -> Written {
        match self.choices.index(4) {
            0 => self.call("ST_DISTANCE", "gg", FLOAT, depth),
            1 => self.call("ST_WITHIN", "gg", INT, depth),
            2 => self.call("ST_OVERLAPS", "gg", INT, depth),
            _ => self.call("ST_INTERSECTS", "gg", INT, depth),
        }
    }
}

fn small(text: &str) -> Written {
    let ty = if text.contains('.') { Type::Float } else { Type::Bigint };
    Written { text: text.to_owned(), ty: Some(ty), usual: Want::Number }
}
