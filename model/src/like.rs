//! Rule 5.3 (LIKE): T-SQL patterns. `%` is any text, `_` one character, `[a-z]` one of a set, `[^a-z]`
//! one outside it; the escape character takes the next one literally.
//!
//! Characters compare by code point (A-TEXT-CASE). A pattern with an unclosed `[` or an escape at its
//! end matches nothing (choice C-LIKE).

/// Whether the whole text matches the pattern.
pub(crate) fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let text: Vec<char> = text.chars().collect();
    let Some(parts) = parts(pattern, escape) else {
        return false;
    };
    // After each part: at which places of the text the match may stand.
    let mut places = vec![false; text.len() + 1];
    places[0] = true;
    for part in &parts {
        let mut next = vec![false; text.len() + 1];
        let mut so_far = false;
        for place in 0..=text.len() {
            so_far |= places[place];
            next[place] = match part {
                Part::AnyText => so_far,
                Part::One(test) => place > 0 && places[place - 1] && test.holds(text[place - 1]),
            };
        }
        places = next;
    }
    places[text.len()]
}

enum Part {
    AnyText,
    One(Test),
}

/// A test of one character: in one of the ranges, or in none of them.
struct Test {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Test {
    fn holds(&self, c: char) -> bool {
        self.ranges.iter().any(|&(low, high)| low <= c && c <= high) != self.negated
    }
}

fn parts(pattern: &str, escape: Option<char>) -> Option<Vec<Part>> {
    let mut rest = pattern.chars().peekable();
    let mut parts = Vec::new();
    while let Some(c) = rest.next() {
        parts.push(match c {
            c if Some(c) == escape => literal(rest.next()?),
            '%' => Part::AnyText,
            '_' => Part::One(Test { ranges: Vec::new(), negated: true }),
            '[' => Part::One(set(&mut rest, escape)?),
            c => literal(c),
        });
    }
    Some(parts)
}

fn literal(c: char) -> Part {
    Part::One(Test { ranges: vec![(c, c)], negated: false })
}

/// The inside of `[...]`, up to and with the closing bracket.
fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, escape: Option<char>) -> Option<Test> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next()? {
            ']' => return Some(Test { ranges, negated }),
            c if Some(c) == escape => rest.next()?,
            c => c,
        };
        let mut ahead = rest.clone();
        let high = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) if high != ']' => {
                *rest = ahead;
                if Some(high) == escape { rest.next()? } else { high }
            }
            _ => low,
        };
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn rule_5_3_like_matches_the_whole_text() {
        for (text, pattern) in [
            ("A1279", "A%9"),
            ("", "%"),
            ("abc", "a_c"),
            ("abc", "%%c"),
            ("x-y", "x[-+]y"),
            ("b", "[a-c]"),
            ("d", "[^a-c]"),
            ("-", "[a-]"),
            ("[", "[[]"),
            ("é", "_"),
        ] {
            assert!(like(text, pattern, None), "{text} LIKE {pattern}");
        }
        for (text, pattern) in [
            ("A128", "A%9"),
            ("", "_"),
            ("abcd", "a_c"),
            ("B", "[a-c]"),
            ("a", "[^a-c]"),
            ("[", "["),
            ("", "[]"),
        ] {
            assert!(!like(text, pattern, None), "{text} NOT LIKE {pattern}");
        }
    }

    #[test]
    fn rule_5_3_an_escape_takes_the_next_character_literally() {
        assert!(like("100%", "100!%", Some('!')));
        assert!(!like("1000", "100!%", Some('!')));
        assert!(like("!", "!!", Some('!')));
        assert!(like("]", "[!]]", Some('!')));
        assert!(!like("a!", "a!", Some('!')), "an escape of nothing matches nothing");
    }
}
