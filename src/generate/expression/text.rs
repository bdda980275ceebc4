//! Texts and instants.

use rewindow_query::value::Type;

use super::number::UNITS;
use super::{Family, Want, Way, Writer, Written, call, literal};

const TEXT: (Want, Option<Type>) = (Want::Text, Some(Type::Text));

const WAYS: [Way; 6] = [
    (4, Some(Family::Text), |w, depth| w.joined(depth)),
    (8, Some(Family::Text), |w, depth| w.changed(depth)),
    (1, Some(Family::Text), |w, depth| w.call("SPACE", "i", TEXT, depth)),
    (1, Some(Family::Text), |w, depth| w.character(depth)),
    (2, Some(Family::Date), |w, depth| w.named(depth)),
    (1, None, |w, depth| w.call("GetType", ".", TEXT, depth)),
];

impl Writer<'_> {
    pub(super) fn text(&mut self, depth: u32) -> Written {
        self.way(&WAYS, Want::Text, depth)
    }

    /// `+`, CONCAT, CONCAT_WS
    fn joined(&mut self, depth: u32) -> Written {
        let count = self.choices.range(1, 3);
        match self.choices.index(3) {
            0 => {
                let (mut a, mut b) = (self.argument(Want::Text, depth), self.argument(Want::Text, depth));
                // Two datetimes cannot be joined, and a number only with a number.
                for side in [&mut a, &mut b] {
                    if side.ty.is_some_and(|ty| ty != Type::Text) || !self.scope.risky {
                        *side = super::cast(side, Type::Text, false, Want::Text);
                    }
                }
                let ty = a.ty.and(b.ty);
                Written { text: format!("({} + {})", a.text, b.text), ty, usual: Want::Text }
            }
            1 => {
                let letters = &"ttt"[..usize::try_from(count).unwrap_or(1)];
                self.call("CONCAT", letters, TEXT, depth)
            }
            _ => {
                let letters = &"tttt"[..usize::try_from(count + 1).unwrap_or(2)];
                self.call("CONCAT_WS", letters, TEXT, depth)
            }
        }
    }

    fn changed(&mut self, depth: u32) -> Written {
        let (name, letters) = *self.choices.pick(&[
            ("UPPER", "t"),
            ("LOWER", "t"),
            ("TRIM", "t"),
            ("LTRIM", "t"),
            ("RTRIM", "t"),
            ("REVERSE", "t"),
            ("SUBSTRING", "tii"),
            ("LEFT", "ti"),
            ("RIGHT", "ti"),
            ("STUFF", "tiit"),
            ("REPLACE", "ttt"),
            ("REPLICATE", "ti"),
            ("TRANSLATE", "t"),
        ]);
        let written = self.call(name, letters, TEXT, depth);
        if name != "TRANSLATE" {
            return written;
        }
        let sets = [("abc", "xyz"), ("aa", "bc"), ("", ""), ("é-", "e+"), ("abc", "x")];
        let (from, to) = sets[self.choices.index(if self.scope.risky { 5 } else { 4 })];
        let sets = [literal::quoted(from, Want::Text), literal::quoted(to, Want::Text)];
        let text = written.text.trim_end_matches(')');
        let closed = &written.text[text.len()..written.text.len() - 1];
        let text = format!("{text}{closed}, {}, {})", sets[0].text, sets[1].text);
        Written { text, ..written }
    }

    fn character(&mut self, depth: u32) -> Written {
        let code = if self.scope.risky && self.choices.chance(1, 3) {
            self.argument(Want::Number, depth)
        } else {
            let code = *self.choices.pick(&["97", "0", "233", "769", "128512", "55296", "1114112", "-1"]);
            Written { text: code.to_owned(), ty: Some(Type::Bigint), usual: Want::Number }
        };
        Written { text: call("NCHAR", &[code]), ty: TEXT.1, usual: Want::Text }
    }

    fn named(&mut self, depth: u32) -> Written {
        let unit = *self.choices.pick(&UNITS);
        let at = self.argument(Want::Instant, depth);
        Written { text: format!("DATENAME({unit}, {})", at.text), ty: TEXT.1, usual: Want::Text }
    }

    // ---- patterns -----------------------------------------------------------------------------------

    /// A pattern of LIKE.
    pub(super) fn pattern(&mut self, depth: u32) -> Written {
        if self.choices.chance(1, 6) {
            return self.argument(Want::Text, depth);
        }
        let pieces = [
            "%", "_", "a", "b", "c", "[ab]", "[^a]", "[a-c]", "[", "]", "!", "-", "[]", "[!-]", "é", "[c-a]",
            "^",
        ];
        let common = if self.choices.chance(3, 4) { 8 } else { pieces.len() };
        let length = self.choices.range(0, 5);
        let text: String = (0..length).map(|_| *self.choices.pick(&pieces[..common])).collect();
        literal::quoted(&text, Want::Text)
    }

    /// A regular expression, now and then none.
    pub(super) fn regex(&mut self, depth: u32) -> Written {
        if self.choices.chance(1, 6) {
            return self.argument(Want::Text, depth);
        }
        let text = *self.choices.pick(&[
            "a",
            "b+",
            "^a",
            "c$",
            "a.c",
            "[a-c]{2}",
            "(a|b)c",
            "\\d+",
            "\\s",
            "É",
            "(?-i)A",
            "",
            "x*",
            "(",
            "(?=a)",
            "a{1000}{1000}",
            "\\bna",
            "[^a]",
            "e\\x{301}",
            ".",
        ]);
        literal::quoted(text, Want::Text)
    }

    // ---- instants -----------------------------------------------------------------------------------

    pub(super) fn instant(&mut self, depth: u32) -> Written {
        if self.is_off(Family::Date) {
            return self.leaf(Want::Instant);
        }
        let ty = Some(Type::Datetime);
        match self.choices.weighted(&[4, 1, 2]) {
            0 => {
                let unit = *self.choices.pick(&UNITS);
                let number = match self.scope.risky && self.choices.chance(1, 3) {
                    true => self.argument(Want::Number, depth).text,
                    false => {
                        self.choices.pick::<&str>(&["1", "-1", "2.9", "-12", "37", "100000"]).to_string()
                    }
                };
                let at = self.argument(Want::Instant, depth);
                Written { text: format!("DATEADD({unit}, {number}, {})", at.text), ty, usual: Want::Instant }
            }
            1 => {
                let mut args = Vec::new();
                for parts in [
                    &["2024", "2000", "1900", "1", "9999"][..],
                    &["1", "2", "12"],
                    &["1", "28", "29", "31"],
                    &["0", "23"],
                    &["0", "59"],
                    &["0", "59.9"],
                    &["0", "999"],
                ] {
                    // A day that a month lacks is a failure.
                    let most = if self.scope.risky || parts.len() != 4 { parts.len() } else { 2 };
                    args.push((*self.choices.pick(&parts[..most])).to_owned());
                }
                if self.scope.risky && self.choices.chance(1, 3) {
                    let at = self.choices.index(7);
                    args[at] = self.argument(Want::Number, depth).text;
                }
                Written { text: format!("DATETIMEFROMPARTS({})", args.join(", ")), ty, usual: Want::Instant }
            }
            _ if self.is_off(Family::Cast) => self.leaf(Want::Instant),
            _ => {
                let text = self.leaf(Want::Instant);
                super::cast(&text, Type::Datetime, !self.scope.risky, Want::Instant)
            }
        }
    }
}
