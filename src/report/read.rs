//! Gets the case back out of a report, or out of a bare case file.

use rewindow_world::case::Case;
use rewindow_world::error::CaseError;

/// Why a text holds no case that can be replayed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// Neither a report with a fenced TOML block nor a case file.
    #[error("[not-a-report] there is no case in this text (a report holds one between ```toml and ```)")]
    NotAReport,
    /// A block of TOML begins in that line of the report, from 1, and never ends.
    #[error("[report-cut] the block of TOML that begins in line {0} is never closed")]
    Cut(usize),
    /// The case is there and cannot be read; lines count from the beginning of the report.
    #[error("[unreadable-case] {0}")]
    UnreadableCase(CaseError),
}

impl ReadError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ReadError::NotAReport => "not-a-report",
            ReadError::Cut(_) => "report-cut",
            ReadError::UnreadableCase(_) => "unreadable-case",
        }
    }
}

/// Reads the case of a report in Markdown, or of a bare TOML case file. Line ends may be of either sort,
/// and what stands around the fenced block does not matter.
///
/// # Errors
/// See [`ReadError`].
pub fn read(text: &str) -> Result<Case, ReadError> {
    let text = text.replace("\r\n", "\n");
    let unreadable = |error: CaseError, before: usize| {
        let place = error.place.map(|(line, column)| (line + before, column));
        ReadError::UnreadableCase(CaseError { place, ..error })
    };
    let states_format =
        |line: &str| line.strip_prefix("format").is_some_and(|rest| rest.trim_start().starts_with('='));
    // In a bare file a fence can only stand in a text.
    let begins_bare = text.lines().map(str::trim).find(|line| !line.is_empty()).is_some_and(states_format);
    match fenced(&text) {
        Some((Some(block), before)) => {
            return Case::from_toml(&block).map_err(|error| unreadable(error, before));
        }
        Some((None, before)) if !begins_bare => return Err(ReadError::Cut(before)),
        _ => {}
    }
    if !text.lines().map(str::trim).any(states_format) {
        return Err(ReadError::NotAReport);
    }
    Case::from_toml(&text).map_err(|error| unreadable(error, 0))
}

/// The first fenced block marked `toml`, or nothing where it is never closed, and how many lines stand before what is
/// in it. A fence is closed by one that is at least as long.
fn fenced(text: &str) -> Option<(Option<String>, usize)> {
    let mut lines = text.lines().enumerate();
    let (opened, fence) = lines.find_map(|(number, line)| {
        let fence = line.strip_suffix("toml")?.trim_end();
        (fence.len() >= 3 && fence.chars().all(|c| c == '`')).then_some((number, fence.len()))
    })?;
    let closes = |line: &str| {
        let line = line.trim_end();
        line.len() >= fence && line.chars().all(|c| c == '`')
    };
    let mut block = String::new();
    for (_, line) in lines {
        if closes(line) {
            return Some((Some(block), opened + 1));
        }
        block.push_str(line);
        block.push('\n');
    }
    Some((None, opened + 1))
}
