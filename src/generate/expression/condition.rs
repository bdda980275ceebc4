//! Conditions.

use super::{Family, Want, Writer};

impl Writer<'_> {
    pub(super) fn condition(&mut self, depth: u32) -> String {
        if depth > 0 && self.choices.chance(1, 4) {
            let depth = depth - 1;
            let (x, y) = (self.condition(depth), self.condition(depth));
            return match self.choices.index(3) {
                0 => format!("({x} AND {y})"),
                1 => format!("({x} OR {y})"),
                _ => format!("NOT ({x})"),
            };
        }
        let depth = depth.saturating_sub(1);
        // Both sides of one sort: what does not compare makes dull conditions.
        let want =
            *self.choices.pick(&[Want::Number, Want::Text, Want::Instant, Want::Number, Want::Anything]);
        match self.choices.weighted(&[6, 2, 2, 2, 2]) {
            0 => {
                let op = *self.choices.pick(&["=", "<>", "!=", "<", "<=", ">", ">=", "!<", "!>"]);
                format!("{} {op} {}", self.operand(want, depth).text, self.operand(want, depth).text)
            }
            1 => {
                let not = self.not();
                format!("{} IS {not}NULL", self.value(Want::Anything, depth).text)
            }
            2 if !self.is_off(Family::Pattern) => self.like(depth),
            3 => {
                let (x, low, high) =
                    (self.operand(want, depth), self.operand(want, depth), self.operand(want, depth));
                format!("{} {}BETWEEN {} AND {}", x.text, self.not(), low.text, high.text)
            }
            _ => {
                let count = self.choices.range(1, 4);
                let x = self.operand(want, depth).text;
                let list: Vec<String> = (0..count).map(|_| self.operand(want, depth).text).collect();
                format!("{x} {}IN ({})", self.not(), list.join(", "))
            }
        }
    }

    fn like(&mut self, depth: u32) -> String {
        let (x, pattern) = (self.operand(Want::Text, depth).text, self.pattern(depth).text);
        let not = self.not();
        let escape = match self.choices.chance(1, 4) {
            true => format!(" ESCAPE '{}'", self.choices.pick(&["!", "%", "[", "^", "-", "a"])),
            false => String::new(),
        };
        format!("{x} {not}LIKE {pattern}{escape}")
    }

    fn not(&mut self) -> &'static str {
        if self.choices.chance(1, 3) { "NOT " } else { "" }
    }
}
