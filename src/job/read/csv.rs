//! Comma separated values (rule 1.4, choice C-CSV): a header with unique names, then one event in each row.
//!
//! Fields are text, unless a CREATE TABLE says what they are. A row may span lines where a quote is open; one
//! that is never closed is one line, and what follows is read anew. Invariant: a row with more or fewer fields
//! than the header is malformed, never shifted.

use std::sync::Arc;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use rewindow_query::{Record, Timestamp, Type, Value};

use super::stream::Stream;
use super::{COLUMNS_MAX, Found, LINE_MAX, Source, at_line, malformed};
use crate::errors::Problem;

type Take<'t> = dyn FnMut(u64, Found) -> Result<(), Problem> + 't;

/// A column: its name, and its type where one is declared.
struct Column {
    name: Arc<str>,
    ty: Option<Type>,
}

pub(super) fn read(source: &Source<'_>, stream: &mut Stream<'_>, take: &mut Take<'_>) -> Result<(), Problem> {
    let path = source.path.to_string_lossy().to_ascii_lowercase();
    let tabs = path.strip_suffix(".gz").unwrap_or(&path).ends_with(".tsv");
    let mut rows = Rows::new(source.delimiter.unwrap_or(if tabs { b'\t' } else { b',' }));
    let Some(first) = rows.next(stream)? else { return Ok(()) };
    let columns = header(source.table, rows.fields(&first))
        .map_err(|problem| at_line(problem, stream.path, first.line))?;
    while let Some(row) = rows.next(stream)? {
        let found = match rows.fields(&row) {
            Err(message) => Err(malformed(&row.bytes, message)),
            Ok(fields) if fields.len() != columns.len() => {
                let (has, due) = (fields.len(), columns.len());
                Err(malformed(&row.bytes, format!("it has {has} fields where the header has {due}")))
            }
            Ok(fields) => Ok(record(&columns, &fields)),
        };
        stream.budget.enter(stream.path, row.line)?;
        stream.budget.keep(&found, stream.path, row.line)?;
        take(row.line, found)?;
    }
    Ok(())
}

/// The columns that the first row names, with the types that are declared for them.
fn header(
    table: &[(Arc<str>, Type)],
    names: Result<Vec<&str>, &'static str>,
) -> Result<Vec<Column>, Problem> {
    let bad = |code, message: String| {
        let help = "the first row of a file of CSV names its columns, each once (rule 1.4)";
        Err(Problem::new(code, message).help(help))
    };
    let names = match names {
        Ok(names) => names,
        Err(message) => return bad("input-header", format!("the header cannot be read: {message}")),
    };
    if names.len() > COLUMNS_MAX {
        let message = format!("the header has {} columns, {COLUMNS_MAX} is the most", names.len());
        return bad("limit-columns", message);
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return bad("input-header", format!("the header names `{}` twice", crate::text::clip(twice[0], 40)));
    }
    let column = |name: &&str| Column { name: (*name).into(), ty: None };
    let mut columns: Vec<Column> = names.iter().map(column).collect();
    for (declared, ty) in table {
        // Exactly so spelled, else in any case (A-NAME-CASE).
        let exact = columns.iter().position(|column| column.name == *declared);
        let loose = || columns.iter().position(|column| column.name.eq_ignore_ascii_case(declared));
        if let Some(at) = exact.or_else(loose) {
            columns[at].ty = Some(*ty);
        }
    }
    Ok(columns)
}

fn record(columns: &[Column], fields: &[&str]) -> Record {
    columns.iter().zip(fields).map(|(column, text)| (column.name.clone(), value(text, column.ty))).collect()
}

/// The value that a field stands for. One that does not fit its type stays text, and its event is dropped by
/// the CREATE TABLE (rule 1.8).
fn value(text: &str, ty: Option<Type>) -> Value {
    let read = match ty {
        None | Some(Type::Text) => None,
        Some(_) if text.is_empty() => Some(Value::Null),
        Some(Type::Bigint) => text.trim().parse().ok().map(Value::Int),
        Some(Type::Float) => text.trim().parse().ok().filter(|f: &f64| f.is_finite()).map(Value::Float),
        Some(Type::Datetime) => Timestamp::parse(text).map(Value::Datetime),
        Some(Type::Bit) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(Value::Bit(true)),
            "false" | "0" => Some(Value::Bit(false)),
            "null" => Some(Value::Null),
            _ => None,
        },
        Some(Type::Array | Type::Record) => None,
    };
    read.unwrap_or_else(|| Value::text(text))
}

/// A row as it stands in the file.
struct Row {
    /// The line it begins on.
    line: u64,
    bytes: Vec<u8>,
    /// Whether every quote that opens is closed.
    closed: bool,
}

/// Cuts a stream into rows, and the last row into fields.
struct Rows {
    reader: Reader,
    delimiter: u8,
    /// The text of the fields, unquoted, one behind the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Rows {
    fn new(delimiter: u8) -> Rows {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Rows { reader, delimiter, text: vec![0; 1 << 10], ends: vec![0; 1 << 6], count: 0 }
    }

    /// The next row; `None` at the end.
    fn next(&mut self, stream: &mut Stream<'_>) -> Result<Option<Row>, Problem> {
        // Blank lines between rows are none.
        if stream.skip(|byte| matches!(byte, b'\r' | b'\n'))?.is_none() {
            return Ok(None);
        }
        let (line, mut bytes, mut next) = (stream.line, Vec::new(), Vec::new());
        self.reader.reset();
        let mut written = 0;
        self.count = 0;
        while bytes.len() + next.len() <= LINE_MAX && stream.read_line(&mut next)? {
            if next.last() != Some(&b'\n') {
                next.push(b'\n');
            }
            let read = self.parse(&next, &mut written);
            bytes.extend_from_slice(&next[..read.unwrap_or(next.len())]);
            if read.is_some() && line + 1 < stream.line && !well_quoted(&bytes, self.delimiter) {
                // The quote that closed it was meant to open another.
                bytes.extend_from_slice(&next[read.unwrap_or(next.len())..]);
                break;
            }
            if let Some(read) = read {
                // A lone carriage return ends a row too.
                if next[read..].iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
                    stream.put_back(&next[read..], stream.line.saturating_sub(1));
                }
                return Ok(Some(Row { line, bytes, closed: true }));
            }
            next.clear();
        }
        // A quote is open, to the end of the file or for too long: what it took with it is read again.
        let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
        stream.put_back(&bytes[end..], line + 1);
        bytes.truncate(end);
        Ok(Some(Row { line, bytes, closed: false }))
    }

    /// Reads the next line of a row; gives how much of it the row took if it ends there.
    fn parse(&mut self, line: &[u8], written: &mut usize) -> Option<usize> {
        let mut read = 0;
        loop {
            let (text, ends) = (&mut self.text[*written..], &mut self.ends[self.count..]);
            let (result, taken, put, ended) = self.reader.read_record(&line[read..], text, ends);
            read += taken;
            *written += put;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => return None,
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record | ReadRecordResult::End => return Some(read),
            }
        }
    }

    /// The fields of the last row.
    fn fields(&self, row: &Row) -> Result<Vec<&str>, &'static str> {
        if !row.closed {
            return Err("a quote is never closed");
        }
        let begins = std::iter::once(&0).chain(&self.ends);
        let places = begins.zip(&self.ends).take(self.count);
        let field = |(&begin, &end): (&usize, &usize)| std::str::from_utf8(&self.text[begin..end]);
        places.map(field).collect::<Result<_, _>>().map_err(|_| "it is not UTF-8")
    }
}

/// Whether behind every quote that closes a field there is the end of the field.
fn well_quoted(row: &[u8], delimiter: u8) -> bool {
    let ends = |byte: &u8| *byte == delimiter || matches!(byte, b'\r' | b'\n');
    let (mut quoted, mut fresh) = (false, true);
    let mut bytes = row.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if fresh && !quoted => quoted = true,
            b'"' if quoted && bytes.next_if_eq(&&b'"').is_none() => {
                quoted = false;
                if !bytes.peek().is_none_or(|next| ends(next)) {
                    return false;
                }
            }
            _ => {}
        }
        fresh = !quoted && ends(byte);
    }
    true
}
