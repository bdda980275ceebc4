//! JSON: one object on each line, or arrays of objects (rules 1.3, 1.5).
//!
//! A file whose first byte is `[` is an array; several may follow each other. Everything else is read line by
//! line. An array is cut into its elements by brackets and quotes alone, and every element is then read by
//! itself, so one that is damaged takes no other with it:
//!
//! - a line break ends a text that was never closed, since JSON has no line breaks in texts;
//! - a bracket closes all that was opened inside it and never closed;
//! - an element that is not closed when the array or the file ends is one line, and what follows is read anew.

use rewindow_query::json;

use super::stream::Stream;
use super::{Found, LINE_MAX, Malformed, malformed};
use crate::errors::Problem;

type Take<'t> = dyn FnMut(u64, Found) -> Result<(), Problem> + 't;

pub(super) fn read(stream: &mut Stream<'_>, take: &mut Take<'_>) -> Result<(), Problem> {
    let arrays = stream.skip_blanks()? == Some(b'[');
    while let Some(byte) = stream.skip_blanks()? {
        match byte {
            b'[' if arrays => array(stream, take)?,
            _ => line(stream, take)?,
        }
    }
    Ok(())
}

fn line(stream: &mut Stream<'_>, take: &mut Take<'_>) -> Result<(), Problem> {
    let (mut bytes, number) = (Vec::new(), stream.line);
    stream.read_line(&mut bytes)?;
    give(stream, &bytes, number, take)
}

fn array(stream: &mut Stream<'_>, take: &mut Take<'_>) -> Result<(), Problem> {
    let opened = stream.line;
    stream.next_if(|byte| byte == b'[')?;
    // Once an element was never closed, line breaks end elements.
    let mut by_line = false;
    loop {
        match stream.skip_blanks()? {
            None => {
                let message = format!("the array that opens in line {opened} is never closed");
                return take(stream.line, Err(malformed(b"", message)));
            }
            Some(b']') => {
                stream.next_if(|_| true)?;
                return Ok(());
            }
            Some(b',') => _ = stream.next_if(|_| true)?,
            Some(_) => {
                let (bytes, number, closed) = element(stream, by_line)?;
                if closed {
                    give(stream, &bytes, number, take)?;
                    continue;
                }
                by_line = true;
                let (first, rest) = match bytes.iter().position(|&byte| byte == b'\n') {
                    Some(end) => bytes.split_at(end),
                    None => (&bytes[..], &[][..]),
                };
                give(stream, first, number, take)?;
                stream.put_back(rest, number);
            }
        }
    }
}

/// The bytes of an element, without the comma or bracket behind it; its line; and whether it was closed.
fn element(stream: &mut Stream<'_>, by_line: bool) -> Result<(Vec<u8>, u64, bool), Problem> {
    let (mut element, number) = (Vec::new(), stream.line);
    let mut nesting = Nesting::default();
    loop {
        let bytes = stream.peek()?;
        if bytes.is_empty() {
            return Ok((element, number, nesting.open.is_empty()));
        }
        let ends = |&byte: &u8| nesting.meet(byte) || by_line && byte == b'\n';
        let end = bytes.iter().position(ends);
        let count = end.unwrap_or(bytes.len());
        let lines = bytes[..count].iter().filter(|&&byte| byte == b'\n').count();
        element.extend_from_slice(&bytes[..count]);
        stream.consume(count)?;
        if element.len() > LINE_MAX {
            let help = "is a bracket or a quote left open there?";
            return Err(stream.too_long("an element of the array", number, help));
        }
        stream.line += lines as u64;
        if end.is_some() {
            return Ok((element, number, by_line || nesting.open.is_empty()));
        }
    }
}

/// Which brackets are open, and whether a text is.
#[derive(Default)]
struct Nesting {
    open: Vec<u8>,
    text: bool,
    escaped: bool,
}

impl Nesting {
    /// Whether the element, or the array around it, ends in front of this byte; else the byte is part of it.
    fn meet(&mut self, byte: u8) -> bool {
        if self.text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' | b'\n' => self.text = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => (self.text, self.escaped) = (true, false),
            b'{' | b'[' => self.open.push(byte),
            b'}' | b']' => {
                let opener = if byte == b'}' { b'{' } else { b'[' };
                match self.open.iter().rposition(|&open| open == opener) {
                    Some(at) => self.open.truncate(at),
                    None => return byte == b']',
                }
            }
            b',' => return self.open.is_empty(),
            _ => {}
        }
        false
    }
}

/// Reads the bytes as an event and hands it on.
fn give(stream: &mut Stream<'_>, bytes: &[u8], number: u64, take: &mut Take<'_>) -> Result<(), Problem> {
    let found = match std::str::from_utf8(bytes) {
        Err(_) => Err(malformed(bytes, "it is not UTF-8")),
        Ok(text) if text.trim().is_empty() => return Ok(()),
        Ok(text) => json::read_event(text.trim()).map_err(|message| explained(bytes, message)),
    };
    stream.budget.enter(stream.path, number)?;
    stream.budget.keep(&found, stream.path, number)?;
    take(number, found)
}

/// The reader sees one line, and counts from its first column.
fn explained(bytes: &[u8], message: String) -> Malformed {
    match message.split_once(" at line 1 column ") {
        Some((what, column)) => Malformed { column: column.parse().ok(), ..malformed(bytes, what) },
        None => malformed(bytes, message),
    }
}
