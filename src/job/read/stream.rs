//! The bytes of a file, gunzipped where they are gzipped, with the number of the line they are on.
//!
//! Bytes can be put back, so that a reader that took too much can begin again behind the damage. Invariant:
//! every byte of the file counts once towards the budget, however often it is put back.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::{Budget, LINE_MAX, Source, at_line};
use crate::errors::Problem;

/// What some editors put in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const GZIP: &[u8] = b"\x1f\x8b";

/// The bytes of a file.
pub(super) struct Stream<'a> {
    pub(super) path: &'a Path,
    pub(super) budget: &'a mut Budget,
    /// The line that the next byte is on, from 1.
    pub(super) line: u64,
    what: &'a str,
    reader: Box<dyn BufRead>,
    /// Bytes that were put back, from `at` on.
    back: Vec<u8>,
    at: usize,
}

/// The file, gunzipped if it begins as gzip does.
pub(super) fn gunzip(file: File) -> io::Result<Box<dyn BufRead>> {
    let mut plain = BufReader::new(file);
    if plain.fill_buf()?.starts_with(GZIP) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(plain))));
    }
    Ok(Box::new(plain))
}

impl<'a> Stream<'a> {
    pub(super) fn new(source: &Source<'a>, file: File, budget: &'a mut Budget) -> Result<Self, Problem> {
        let Source { path, what, .. } = *source;
        let reader = gunzip(file).map_err(|e| Problem::of_io("input-unreadable", what, path, &e))?;
        let mut stream = Stream { path, budget, line: 1, what, reader, back: Vec::new(), at: 0 };
        let mut first = Vec::new();
        while let Some(byte) = stream.next_if(|byte| BYTE_ORDER_MARK.get(first.len()) == Some(&byte))? {
            first.push(byte);
        }
        if first != BYTE_ORDER_MARK {
            stream.put_back(&first, 1);
        }
        Ok(stream)
    }

    /// The next bytes, some of them; none at the end.
    pub(super) fn peek(&mut self) -> Result<&[u8], Problem> {
        if self.at < self.back.len() {
            return Ok(&self.back[self.at..]);
        }
        let Stream { what, path, .. } = self;
        self.reader.fill_buf().map_err(|e| Problem::of_io("input-unreadable", what, path, &e))
    }

    /// Takes `count` of the bytes that [`Stream::peek`] gave. Lines are counted by the caller.
    pub(super) fn consume(&mut self, count: usize) -> Result<(), Problem> {
        if self.at < self.back.len() {
            self.at += count;
            return Ok(());
        }
        self.reader.consume(count);
        self.budget.spend(count, self.path, self.line)
    }

    /// Takes the next byte if it is as asked.
    pub(super) fn next_if(&mut self, asked: impl Fn(u8) -> bool) -> Result<Option<u8>, Problem> {
        let byte = self.peek()?.first().copied().filter(|&byte| asked(byte));
        if byte.is_some() {
            self.consume(1)?;
        }
        Ok(byte)
    }

    /// Puts bytes back that were taken, the first of which is on `line`.
    pub(super) fn put_back(&mut self, bytes: &[u8], line: u64) {
        self.back = [bytes, &self.back[self.at..]].concat();
        self.at = 0;
        self.line = line;
    }

    /// Appends the rest of the line, its end included; `false` if there is nothing left.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>) -> Result<bool, Problem> {
        let begun = line.len();
        loop {
            let bytes = self.peek()?;
            let end = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let count = end.unwrap_or(bytes.len());
            if count == 0 {
                return Ok(line.len() > begun);
            }
            line.extend_from_slice(&bytes[..count]);
            self.consume(count)?;
            if line.len() > LINE_MAX {
                return Err(self.too_long("a line", self.line, "is it a file of events, one on each line?"));
            }
            if end.is_some() {
                self.line += 1;
                return Ok(true);
            }
        }
    }

    /// Takes white space, and says which byte stands behind it; `None` at the end.
    pub(super) fn skip_blanks(&mut self) -> Result<Option<u8>, Problem> {
        self.skip(|byte| byte.is_ascii_whitespace())
    }

    /// Takes the bytes that are `blank`, and says which stands behind them; `None` at the end. Every line
    /// end among them counts towards the budget like an event.
    pub(super) fn skip(&mut self, blank: fn(u8) -> bool) -> Result<Option<u8>, Problem> {
        loop {
            let bytes = self.peek()?;
            let Some(&first) = bytes.first() else { return Ok(None) };
            let count = bytes.iter().take_while(|byte| blank(**byte)).count();
            if count == 0 {
                return Ok(Some(first));
            }
            let lines = bytes[..count].iter().filter(|&&byte| byte == b'\n').count();
            self.consume(count)?;
            for _ in 0..lines {
                self.line += 1;
                self.budget.enter(self.path, self.line)?;
            }
        }
    }

    pub(super) fn too_long(&self, what: &str, line: u64, help: &str) -> Problem {
        let message = format!("{what} is longer than {} MiB", LINE_MAX >> 20);
        at_line(Problem::new("limit-line", message), self.path, line).help(help)
    }
}
