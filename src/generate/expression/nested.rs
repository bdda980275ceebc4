//! Records, arrays, their parts, and shapes.

use rewindow_query::value::Type;

use super::{Family, Want, Writer, Written, call, literal};

const NAMES: [&str; 9] = ["a", "A", "b", "c", "0", "1", "type", "coordinates", "none"];

impl Writer<'_> {
    /// `column.member`, `column.[0]`, or deeper.
    pub(super) fn part(&mut self, column: &str) -> Written {
        let parts = ["a", "b", "A", "[0]", "[1]", "[a]", "c.a", "b.[1]", "[00]", "[99]", "coordinates.[0]"];
        let part = *self.choices.pick(&parts);
        Written { text: format!("{column}.{part}"), ty: None, usual: Want::Anything }
    }

    /// What a function reads out of a record or an array.
    fn read_out(&mut self, depth: u32) -> Written {
        let args = if self.choices.chance(1, 2) {
            let name = match self.choices.chance(1, 6) {
                true => self.argument(Want::Text, depth),
                false => literal::quoted(self.choices.pick::<&str>(&NAMES), Want::Text),
            };
            ("GetRecordPropertyValue", [self.argument(Want::Record, depth), name])
        } else {
            ("GetArrayElement", [self.argument(Want::Array, depth), self.lettered('i', depth)])
        };
        Written { text: call(args.0, &args.1), ty: None, usual: Want::Anything }
    }

    /// A record or an array; where a value out of one must do, it is cast.
    pub(super) fn nested(&mut self, want: Want, depth: u32) -> Written {
        if self.is_off(Family::Nested) {
            return self.leaf(want);
        }
        match self.choices.index(4) {
            0 if want == Want::Record => {
                let text = self.argument(Want::Text, depth);
                Written { text: call("JSON_PARSE", &[text]), ty: Some(Type::Record), usual: want }
            }
            1 => self.read_out(depth),
            2 => {
                let to = if want == Want::Record { Type::Record } else { Type::Array };
                let inner = self.read_out(depth);
                super::cast(&inner, to, true, want)
            }
            3 if want == Want::Record => self.shape(depth),
            _ => self.leaf(want),
        }
    }

    /// A GeoJSON record.
    pub(super) fn shape(&mut self, depth: u32) -> Written {
        if self.is_off(Family::Shape) {
            return self.leaf(Want::Shape);
        }
        let (name, least) =
            *self.choices.pick(&[("CreatePoint", 0), ("CreateLineString", 2), ("CreatePolygon", 3)]);
        let text = if least == 0 {
            self.point(depth)
        } else if least == 3 && (!self.scope.risky || self.choices.chance(1, 2)) {
            // Any points make a polygon, but few make a valid one.
            let (x, y, size) = (self.choices.range(0, 5), self.choices.range(0, 5), self.choices.range(1, 4));
            let corner = |dx: i64, dy: i64| format!("CreatePoint({}, {})", y + dy, x + dx);
            format!("{name}({}, {}, {})", corner(0, 0), corner(size, 0), corner(0, size))
        } else {
            let count = least + self.choices.range(0, 2);
            let points: Vec<String> = (0..count).map(|_| self.vertex(depth)).collect();
            format!("{name}({})", points.join(", "))
        };
        Written { text, ty: Some(Type::Record), usual: Want::Shape }
    }

    fn vertex(&mut self, depth: u32) -> String {
        match self.scope.risky && self.choices.chance(1, 8) {
            true => self.argument(Want::Shape, depth).text,
            false => self.point(0),
        }
    }

    fn point(&mut self, depth: u32) -> String {
        if self.scope.risky && self.choices.chance(1, 8) {
            let (latitude, longitude) =
                (self.argument(Want::Number, depth), self.argument(Want::Number, depth));
            return format!("CreatePoint({}, {})", latitude.text, longitude.text);
        }
        let grid = self.choices.chance(2, 3);
        let mut number = |most: i64| match grid {
            true => self.choices.range(0, 5).to_string(),
            false => format!("{}.{:03}", self.choices.range(-most, most - 1), self.choices.range(0, 999)),
        };
        format!("CreatePoint({}, {})", number(90), number(180))
    }
}
