//! Text for screens: numbers with separators, wrapping, tables.
//!
//! Pure functions from values to text. Knows nothing of what is shown. Invariant: what they give has no
//! trailing blanks, and is the same on every machine.

/// Columns of a screen.
pub const WIDTH: usize = 100;

/// A number with separators: `1,707`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 node`, `2 nodes`.
pub fn count(n: u64, thing: &str) -> String {
    let ending = match thing {
        _ if n == 1 => "",
        _ if thing.ends_with(|c| "sxz".contains(c)) => "es",
        _ => "s",
    };
    // `entry` is the only word on our screens that does not just take an s.
    match thing.strip_suffix("ry") {
        Some(stem) if n != 1 => format!("{} {stem}ries", number(n)),
        _ => format!("{} {thing}{ending}", number(n)),
    }
}

/// The text in lines of at most `width` columns, broken at blanks; lines after the first are moved in by
/// `indent`. Line breaks of the text are kept, and so are blanks inside a line; a word that is too long
/// stands alone.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for part in text.split('\n') {
        let mut line = if lines.is_empty() { String::new() } else { " ".repeat(indent) };
        for (index, word) in part.split(' ').enumerate() {
            let full = line.chars().count() + 1 + word.chars().count() > width;
            if index > 0 && full && !line.trim().is_empty() {
                let done = std::mem::replace(&mut line, " ".repeat(indent));
                lines.push(done.trim_end().to_owned());
            } else if index > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// The text cut to `width` characters, with `…` where something was left out.
pub fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// How a column of a table stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// At its left edge.
    Left,
    /// At its right edge.
    Right,
}

/// Lines of a table: columns as wide as their widest cell, `gap` blanks between them, `indent` in front.
/// Columns beyond `align` stand left.
pub fn table(rows: &[Vec<String>], align: &[Align], indent: usize, gap: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|c| width_of(c).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (c, cell) in row.iter().enumerate() {
            if c > 0 {
                line.push_str(&" ".repeat(gap));
            }
            let pad = " ".repeat(widths[c] - cell.chars().count());
            match align.get(c) {
                Some(Align::Right) => line.extend([pad.as_str(), cell]),
                _ => line.extend([cell, pad.as_str()]),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nouns() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(count(1, "entry"), "1 entry");
        assert_eq!(count(1_707, "entry"), "1,707 entries");
        assert_eq!([count(2, "node"), count(2, "class")], ["2 nodes", "2 classes"]);
    }

    #[test]
    fn long_text_is_broken_at_blanks() {
        assert_eq!(wrap("help: one two three", 10, 2), "help: one\n  two\n  three");
        assert_eq!(wrap("  label   words that go on", 20, 10), "  label   words that\n          go on");
        assert_eq!(wrap("a\nb", 10, 2), "a\n  b");
        assert_eq!(wrap("unbreakable", 3, 0), "unbreakable");
        assert_eq!(clip("abcdef", 4), "abc…");
    }

    #[test]
    fn tables_are_as_wide_as_their_cells() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long".into(), "22".into()]];
        assert_eq!(table(&rows, &[Align::Left, Align::Right], 1, 2), " a      1\n long  22\n");
    }
}
