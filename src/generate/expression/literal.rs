//! Constants: ordinary ones mostly, and those at which something ends.

use rewindow_query::value::Type;

use super::{Want, Writer, Written};

const TAME: [&str; 10] = ["0", "1", "2", "3", "-1", "7", "0.5", "-0.25", "10.0", "100"];
const WILD: [&str; 24] = [
    "9223372036854775807",
    "-9223372036854775808",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807.0",
    "-9223372036854775808.0",
    "-0.0",
    "0.0",
    "1e308",
    "-1.7976931348623157e308",
    "5e-324",
    "2.2250738585072014e-308",
    "0.1",
    "0.30000000000000004",
    "123.9995",
    "2.5",
    "-2.5",
    "1e22",
    "1e16",
    "4503599627370497.5",
    "-19",
    "400",
    "1114111",
    "55296",
];
const TEXTS: [&str; 26] = [
    "",
    " ",
    "a",
    "abc",
    "aBc",
    "banana",
    "a  ",
    "\t a\u{a0}\n",
    "é",
    "e\u{301}",
    "ß",
    "ŉ",
    "İ",
    "Σας",
    "👩‍👩‍👧",
    "𝔘x",
    "a\0b",
    "100%",
    "it's",
    "[a]",
    "12",
    " -3.5 ",
    "1e3",
    "true",
    "nan",
    "x=1;y=2",
];
const INSTANTS: [&str; 16] = [
    "2024-03-05T10:20:30.1234567Z",
    "2024-02-29",
    "2023-02-28T23:59:59.9999999Z",
    "2024-12-31T00:00:00",
    "2024-01-07 12:00",
    "1900-03-01T00:00:00Z",
    "2000-01-31T05:06:07.08Z",
    "0001-01-01T00:00:00Z",
    "0001-01-31T00:00:00.0000001Z",
    "9999-12-31T23:59:59.9999999Z",
    "9999-11-30T12:00:00Z",
    "2024-03-05T00:00:00+05:30",
    "2024-03-05t00:00:00.123456789z",
    "1969-12-31T23:59:59.999Z",
    "2016-12-31T23:59:60Z",
    " 2024-03-05T24:00:00Z ",
];
const JSON: [&str; 14] = [
    r#"{"a": 1, "b": [1, 2.0, "x", null], "c": {"a": "y"}}"#,
    r#"{"type": "Point", "coordinates": [1, 2]}"#,
    r#"{"A": 1, "a": 2}"#,
    r#"{"0": "zero", "1": 1.5}"#,
    r#"{"a": 1, "a": 2}"#,
    r#"{"a": -0.0, "b": -0}"#,
    r#"{"a": 1e400}"#,
    r#"{"a": 9223372036854775808}"#,
    "[1, 2]",
    "{}",
    " {\"a\": true} ",
    "{\"a\": 1",
    "null",
    "",
];
const SHAPES: [&str; 25] = [
    "POINT(1 2)",
    "POINT (0 0)",
    "point(179.9999 -89.9)",
    "POINT(180 90)",
    "POINT Z (1 2 3)",
    "POINT(5e-324 -0.0)",
    "POINT(181 0)",
    "POINT EMPTY",
    "LINESTRING(0 0, 1 1, 2 0)",
    "LINESTRING(0 0, 0 0)",
    "LINESTRING(1 1)",
    "LINESTRING EMPTY",
    "LINESTRING(-170 10, 170 -10)",
    "LINESTRING(0 0, 10 0, 5 5, 5 -5)",
    "POLYGON((0 0, 4 0, 4 4, 0 4, 0 0))",
    "POLYGON((0 0, 0 4, 4 4, 4 0, 0 0))",
    "POLYGON((0 0, 4 0, 4 4, 0 4))",
    "POLYGON((1 1, 6 1, 6 6, 1 6, 1 1), (2 2, 3 2, 3 3, 2 3, 2 2))",
    "POLYGON((0 0, 4 4, 4 0, 0 4, 0 0))",
    "POLYGON((0 0, 1 1, 2 2, 0 0))",
    "POLYGON((0 0, 1 0, 0 0))",
    "POLYGON EMPTY",
    "MULTIPOINT((1 2), (3 4))",
    "GEOMETRYCOLLECTION(POINT(1 2))",
    "nowhere",
];

impl Writer<'_> {
    /// A constant that usually is what is wanted.
    pub(super) fn literal(&mut self, want: Want) -> Written {
        if self.choices.chance(1, 16) {
            return Written { text: "NULL".to_owned(), ty: None, usual: want };
        }
        match want {
            Want::Number => self.number_literal(),
            Want::Text => {
                let text = self.letters();
                quoted(&text, Want::Text)
            }
            Want::Instant => self.instant_literal(),
            Want::Shape => self.shape_literal(),
            Want::Record => self.record_literal(),
            Want::Array => Written {
                text: format!("GetRecordPropertyValue(JSON_PARSE({}), 'b')", quote(JSON[0])),
                ty: None,
                usual: Want::Array,
            },
            Want::Anything => {
                let want = *self.choices.pick(&[Want::Number, Want::Text, Want::Instant]);
                self.literal(want)
            }
        }
    }

    fn number_literal(&mut self) -> Written {
        let wild = self.choices.chance(1, if self.scope.risky { 3 } else { 40 });
        let text = (*self.choices.pick(if wild { &WILD[..] } else { &TAME })).to_owned();
        let ty = if text.contains(['.', 'e']) { Type::Float } else { Type::Bigint };
        Written { text, ty: Some(ty), usual: Want::Number }
    }

    fn instant_literal(&mut self) -> Written {
        if self.scope.timestamp && self.choices.chance(1, 3) {
            let text = "System.Timestamp()".to_owned();
            return Written { text, ty: Some(Type::Datetime), usual: Want::Instant };
        }
        // Those near the ends of the calendar, and those that are none, are behind.
        let tame = if self.scope.risky { INSTANTS.len() } else { 7 };
        let text = *self.choices.pick(&INSTANTS[..tame]);
        quoted(text, Want::Instant)
    }

    fn shape_literal(&mut self) -> Written {
        let text = loop {
            let text = *self.choices.pick(&SHAPES);
            let bad = ["EMPTY", "181", "LINESTRING(1", "((0 0, 1 ", "((0 0, 4 4", "MULTI", "COLL", "nowhere"];
            if self.scope.risky || !bad.iter().any(|part| text.contains(part)) {
                break text;
            }
        };
        quoted(text, Want::Shape)
    }

    fn record_literal(&mut self) -> Written {
        let text = format!("JSON_PARSE({})", quote(self.choices.pick::<&str>(&JSON)));
        Written { text, ty: Some(Type::Record), usual: Want::Record }
    }

    /// Text of some kind, without quotes.
    pub(super) fn letters(&mut self) -> String {
        if self.choices.chance(1, 3) {
            return (*self.choices.pick(&TEXTS)).to_owned();
        }
        let length = self.choices.range(0, 5);
        (0..length).map(|_| *self.choices.pick(&['a', 'b', 'c', 'A', ' ', '-', 'é'])).collect()
    }
}

/// Text as a constant.
pub(super) fn quoted(text: &str, usual: Want) -> Written {
    Written { text: quote(text), ty: Some(Type::Text), usual }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
