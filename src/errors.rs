//! What a user can meet: a stable code, the place, what is wrong and what to do about it.
//!
//! [`Problem`] is the one error of everything that reads files and arguments; it renders itself as plain
//! text or with colours, and knows nothing of exit codes. Invariant: no rendered line of ours is wider than
//! [`WIDTH`], whatever the length of the line it points into.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use rewindow_query::{QueryError, codes};
use rewindow_world::error::CaseError;

use crate::text::{self, WIDTH};

/// Something a user did or has that keeps the command from running.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Stable name of the kind of problem, such as `job-key`; never reused for something else.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where, if it is somewhere.
    pub place: Option<Box<Place>>,
    /// What to do about it.
    pub help: Option<String>,
}

/// A place in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file as the user would name it.
    pub file: String,
    /// The text that is shown: the whole file, or the one line in question. Empty to show none.
    pub text: String,
    /// Number of the first line of `text` in the file, from 1; 0 for the file as a whole.
    pub first_line: usize,
    /// The bytes of `text` that are meant.
    pub range: Range<usize>,
    /// A word or two to stand under them.
    pub label: String,
}

impl Problem {
    /// A problem without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), place: None, help: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// In a file as a whole.
    #[must_use]
    pub fn in_file(self, file: &Path) -> Problem {
        let file = file.display().to_string();
        self.at(Place { file, text: String::new(), first_line: 0, range: 0..0, label: String::new() })
    }

    /// At a range of bytes of a whole file.
    #[must_use]
    pub fn in_text(self, file: &Path, text: &str, range: Range<usize>, label: impl Into<String>) -> Problem {
        let file = file.display().to_string();
        self.at(Place { file, text: text.to_owned(), first_line: 1, range, label: label.into() })
    }

    /// At a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Problem {
        self.place = Some(Box::new(place));
        self
    }

    /// A query that cannot run, in the file that holds it.
    pub fn of_query(error: QueryError, file: &Path, text: &str) -> Problem {
        let help = error.help.or_else(|| query_help(error.code));
        let problem = Problem { code: error.code, message: error.message, place: None, help };
        problem.in_text(file, text, error.place, error.label)
    }

    /// A case that cannot be read or run, in the file that holds it.
    pub fn of_case(error: &CaseError, file: &Path) -> Problem {
        let problem = Problem {
            code: error.code,
            message: error.message.clone(),
            place: None,
            help: error.hint.clone(),
        };
        let file_name = file.display().to_string();
        match error.place {
            None => problem.in_file(file),
            // The message of a case already says all; only where it is has to be added.
            Some((line, column)) => problem.at(Place {
                file: format!("{file_name}:{line}:{column}"),
                text: String::new(),
                first_line: 0,
                range: 0..0,
                label: String::new(),
            }),
        }
    }

    /// A file that cannot be read.
    pub fn of_io(code: &'static str, what: &str, file: &Path, error: &std::io::Error) -> Problem {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
            _ => error.to_string(),
        };
        Problem::new(code, format!("{what} cannot be read: {reason}")).in_file(file)
    }

    /// The problem as a screen of text, ending in a line break; `colour` adds terminal colours.
    pub fn render(&self, colour: bool) -> String {
        let (red, bold, off) = if colour { ("\x1b[31;1m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let head = format!("error[{}]:", self.code);
        let message = text::wrap(&format!("{head} {}", self.message), WIDTH, 3);
        let mut screen = message.replacen(&head, &format!("{red}{head}{off}{bold}"), 1);
        screen.push_str(off);
        screen.push('\n');
        if let Some(place) = &self.place {
            screen.push_str(&place.render(colour));
        }
        if let Some(help) = &self.help {
            screen.push_str(&text::wrap(&format!("   help: {help}"), WIDTH, 9));
            screen.push('\n');
        }
        screen
    }
}

/// The screen without colours.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Problem {}

impl Place {
    /// `file`, `file:line` or `file:line:column`, columns in characters from 1.
    pub fn name(&self) -> String {
        if self.first_line == 0 {
            return self.file.clone();
        }
        let (line, column) = self.line_and_column();
        if self.text.is_empty() {
            format!("{}:{line}", self.file)
        } else {
            format!("{}:{line}:{column}", self.file)
        }
    }

    fn line_and_column(&self) -> (usize, usize) {
        let before = &self.text[..self.floor(self.range.start)];
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        (self.first_line + before.matches('\n').count(), column)
    }

    /// The largest character boundary of the text that is not above `at`.
    fn floor(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|&i| self.text.is_char_boundary(i)).unwrap_or(0)
    }

    fn render(&self, colour: bool) -> String {
        let shown = self.lines();
        if shown.text.trim().is_empty() {
            return format!("   ╭─[{}]\n", self.name());
        }
        let kind = ariadne::ReportKind::Custom("error", ariadne::Color::Red);
        let config = ariadne::Config::default().with_color(colour).with_index_type(ariadne::IndexType::Byte);
        // Empty lines in front give the lines their numbers.
        let skipped = shown.line - 1;
        let text = "\n".repeat(skipped) + &shown.text;
        let range = shown.range.start + skipped..shown.range.end + skipped;
        let mut label = ariadne::Label::new(range.clone()).with_color(ariadne::Color::Red);
        if !self.label.is_empty() {
            label = label.with_message(&self.label);
        }
        let report = ariadne::Report::build(kind, range).with_config(config).with_label(label).finish();
        let mut bytes = Vec::new();
        if report.write(ariadne::Source::from(text), &mut bytes).is_err() {
            return format!("   ╭─[{}]\n", self.name());
        }
        let picture = String::from_utf8_lossy(&bytes).into_owned();
        // The first line is a headline, the second names the place within what was shown: both are ours.
        let mut lines = picture.lines().skip(1);
        let margin = lines.next().map_or(3, |line| plain(line).chars().take_while(|c| *c == ' ').count());
        let mut screen = format!("{:margin$}╭─[{}]\n", "", self.name());
        for line in lines.filter(|line| !matches!(plain(line).trim(), "" | "│")) {
            screen.push_str(line.trim_end());
            screen.push('\n');
        }
        screen
    }

    /// The lines that the range touches, at most four of them, each cut around the range if it is long.
    fn lines(&self) -> Shown {
        const ROOM: usize = WIDTH - 16;
        let (start, end) = (self.floor(self.range.start), self.floor(self.range.end));
        let first = self.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let end = end.max(start);
        let last = self.text[end..].find('\n').map_or(self.text.len(), |i| end + i);
        let (line, _) = self.line_and_column();
        let all: Vec<&str> = self.text[first..last].split('\n').collect();
        if all.len() <= 4 && all.iter().all(|l| l.chars().count() <= ROOM) {
            let text = self.text[first..last].trim_end_matches('\r').replace('\t', " ");
            let range = start - first..(end - first).min(text.len());
            return Shown { range: at_least_one(&text, range), text, line };
        }
        // Only the first line, and of it what is around the place.
        let whole = all[0];
        let from = start - first;
        let skip = whole[..from].chars().count().saturating_sub(ROOM / 3);
        let cut = whole.char_indices().nth(skip).map_or(0, |(i, _)| i);
        let lead = if cut > 0 { "…" } else { "" };
        let kept: String = whole[cut..].chars().take(ROOM).collect();
        let tail = if cut + kept.len() < whole.len() { "…" } else { "" };
        let text = format!("{lead}{kept}{tail}").replace(['\t', '\r'], " ");
        let start = (from - cut + lead.len()).min(text.len());
        let length = (end - first).min(whole.len()).saturating_sub(from);
        let stop = (start + length).min(lead.len() + kept.len());
        Shown { range: at_least_one(&text, start..stop.max(start)), text, line }
    }
}

/// What is shown of a place.
struct Shown {
    text: String,
    line: usize,
    range: Range<usize>,
}

/// The range, or the character it stands before if it is empty.
fn at_least_one(text: &str, range: Range<usize>) -> Range<usize> {
    let one = text[range.start..].chars().next().map_or(0, char::len_utf8);
    range.start..range.end.max(range.start + one)
}

/// What to do about a refused query whose error does not say it: the remedy where there is a usual one, else
/// what the code stands for.
fn query_help(code: &str) -> Option<String> {
    let remedy = match code {
        codes::LIMIT_WINDOW => "use a window of day, 7 at most, or add up daily windows in a second step",
        codes::SYNTAX => {
            "a query needs at least a SELECT … FROM …; steps stand in front of it: WITH name AS (SELECT … FROM …)"
        }
        codes::LIMIT_DATEDIFF | codes::LIMIT_DURATION => "day, 7 is the longest the service looks back",
        _ => codes::ALL.iter().find(|(known, _)| *known == code)?.1,
    };
    Some(remedy.to_owned())
}

/// The text without terminal colours.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut escaped = false;
    for c in text.chars() {
        match (escaped, c) {
            (false, '\x1b') => escaped = true,
            (true, 'm') => escaped = false,
            (true, _) => {}
            (false, c) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, range: Range<usize>) -> String {
        let problem = Problem::new("limit-window", "a window is at most seven days (rule 16)");
        problem.in_text(Path::new("job.asaql"), text, range, "8 days").help("use a day less").render(false)
    }

    #[test]
    fn a_problem_points_into_the_text() {
        let text = "SELECT a\nFROM b\nGROUP BY TumblingWindow(day, 8), a";
        let expected = "\
error[limit-window]: a window is at most seven days (rule 16)
   ╭─[job.asaql:3:10]
 3 │ GROUP BY TumblingWindow(day, 8), a
   │          ───────────┬──────────
   │                     ╰──────────── 8 days
───╯
   help: use a day less
";
        assert_eq!(at(text, 25..47), expected);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges, reason = "a range that lies is what is tried")]
    fn long_lines_and_odd_ranges_are_shown_in_part_and_never_panic() {
        let long = format!("{} HERE {}", "é".repeat(500), "x".repeat(500));
        let screen = at(&long, 1001..1005);
        assert!(screen.contains("job.asaql:1:502") && screen.contains("HERE"), "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= WIDTH), "{screen}");
        for range in [0..0, 3..1, 0..99_999, 99_999..99_999, 1..2] {
            at("é\n\n\té\r\nx", range.clone());
            at(&long, range.clone());
            at("", range);
        }
    }
}
