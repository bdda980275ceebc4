//! Parquet, row by row (choice C-PARQUET).
//!
//! Column chunks are decoded by the `parquet` crate, which was written for files of people who mean well: what
//! panics inside it is answered as a damaged file, and the file's own figures are held against the bounds before
//! a row is read.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use rewindow_query::{Record, Timestamp, Value};
use rewindow_world::guarded;

use super::{BYTES_MAX, Budget, COLUMNS_MAX, ENTRIES_MAX, Found, Malformed, Source, stream};
use crate::errors::Problem;

type Take<'t> = dyn FnMut(u64, Found) -> Result<(), Problem> + 't;

/// 1970-01-01 in ticks.
const EPOCH: i64 = 62_135_596_800 * rewindow_query::time::SECOND;
/// Ticks in a day.
const DAY: i64 = 86_400 * rewindow_query::time::SECOND;
/// Largest gzipped file of Parquet, unzipped: it is read from its end, so it has to be held whole.
const GUNZIPPED_MAX: u64 = 1 << 28;

pub(super) fn read(
    source: &Source<'_>,
    mut file: File,
    budget: &mut Budget,
    take: &mut Take<'_>,
) -> Result<(), Problem> {
    let unreadable = |e: &std::io::Error| Problem::of_io("input-unreadable", source.what, source.path, e);
    let mut magic = [0; 2];
    let gzipped = file.read(&mut magic).map_err(|e| unreadable(&e))? == 2 && magic == [0x1f, 0x8b];
    std::io::Seek::rewind(&mut file).map_err(|e| unreadable(&e))?;
    if !gzipped {
        return rows(source, file, budget, take);
    }
    let mut bytes = Vec::new();
    let reader = stream::gunzip(file).map_err(|e| unreadable(&e))?;
    reader.take(GUNZIPPED_MAX + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    if bytes.len() as u64 > GUNZIPPED_MAX {
        let message = format!("{} is larger than {} MiB unzipped", source.what, GUNZIPPED_MAX >> 20);
        let problem = Problem::new("limit-input", message).in_file(source.path);
        return Err(problem.help("Parquet is compressed already: leave the gzip away"));
    }
    rows(source, Bytes::from(bytes), budget, take)
}

fn rows(
    source: &Source<'_>,
    chunks: impl ChunkReader + 'static,
    budget: &mut Budget,
    take: &mut Take<'_>,
) -> Result<(), Problem> {
    let damaged = |reason: String| {
        let message = format!("{} is no Parquet that can be read: {reason}", source.what);
        Problem::new("input-parquet", message).in_file(source.path)
    };
    let opened = attempt(|| SerializedFileReader::new(chunks)).map_err(damaged)?;
    check(source, &opened)?;
    let names = Names::of(&opened);
    let mut rows = attempt(|| opened.get_row_iter(None)).map_err(damaged)?;
    for number in 1.. {
        let Some(row) = attempt(|| rows.next().transpose()).map_err(damaged)? else { break };
        let record = guarded::guarded(|| names.record(row)).unwrap_or_else(|panic| Err(panic.0));
        let found = record.map_err(|message| Malformed { text: "".into(), message, column: None });
        budget.enter(source.path, number)?;
        budget.keep(&found, source.path, number)?;
        take(number, found)?;
    }
    Ok(())
}

/// Calls what may refuse bytes that are not what they say, or panic on them.
fn attempt<T>(call: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, String> {
    match guarded::guarded(call) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(panic.0),
    }
}

/// What the file says of itself, against the bounds.
fn check(source: &Source<'_>, file: &dyn FileReader) -> Result<(), Problem> {
    let meta = file.metadata();
    let refuse = |code, message: String, help: &str| {
        Err(Problem::new(code, message).in_file(source.path).help(help.to_owned()))
    };
    let columns = meta.file_metadata().schema_descr().num_columns();
    if columns > COLUMNS_MAX {
        let message = format!("{} has {columns} columns, {COLUMNS_MAX} is the most", source.what);
        return refuse("limit-columns", message, "leave out what the query does not read");
    }
    let help = "a sample of the events finds the same bugs sooner";
    if meta.file_metadata().num_rows() > ENTRIES_MAX as i64 {
        return refuse("limit-input", format!("{} has more than {ENTRIES_MAX} rows", source.what), help);
    }
    let bytes =
        meta.row_groups().iter().map(|group| u64::try_from(group.total_byte_size()).unwrap_or(u64::MAX));
    if bytes.fold(0, u64::saturating_add) > BYTES_MAX {
        let message = format!("{} is larger than {} GiB unpacked", source.what, BYTES_MAX >> 30);
        return refuse("limit-input", message, help);
    }
    Ok(())
}

/// The columns of a file.
struct Names {
    names: Vec<Arc<str>>,
    /// Ticks in a unit, and units in a tick, where whole numbers are instants and do not say so themselves.
    instants: Vec<Option<(i64, i64)>>,
}

impl Names {
    fn of(file: &dyn FileReader) -> Names {
        let fields = file.metadata().file_metadata().schema_descr().root_schema().get_fields();
        let names = fields.iter().map(|field| field.name().into()).collect();
        let unit = |logical: Option<&LogicalType>| match logical {
            Some(LogicalType::Timestamp(kind)) => Some(match kind.unit {
                TimeUnit::MILLIS => (10_000, 1),
                TimeUnit::MICROS => (10, 1),
                TimeUnit::NANOS => (1, 100),
            }),
            _ => None,
        };
        let instants = fields.iter().map(|field| unit(field.get_basic_info().logical_type_ref())).collect();
        Names { names, instants }
    }

    fn record(&self, row: Row) -> Result<Record, String> {
        let columns = row.into_columns().into_iter().enumerate();
        let member = |(index, (name, field)): (usize, (String, Field))| {
            let known = self.names.get(index).filter(|known| ***known == *name);
            let value = match (&field, self.instants.get(index).copied().flatten()) {
                (Field::Long(n), Some((ticks, units))) => {
                    instant(n.checked_mul(ticks).map(|t| t.div_euclid(units)))
                }
                _ => value(field, 0),
            };
            let value =
                value.map_err(|reason| format!("column {}: {reason}", crate::text::clip(&name, 40)))?;
            Ok((known.cloned().unwrap_or_else(|| name.into()), value))
        };
        columns.map(member).collect()
    }
}

/// Ticks since 1970 as an instant.
fn instant(ticks: Option<i64>) -> Result<Value, String> {
    let instant = ticks.and_then(|ticks| ticks.checked_add(EPOCH)).map(Timestamp);
    let instant = instant.filter(|instant| instant.is_calendar());
    instant.map(Value::Datetime).ok_or_else(|| "an instant outside the years 1 to 9999".to_owned())
}

fn value(field: Field, depth: usize) -> Result<Value, String> {
    if depth > rewindow_query::json::DEPTH_MAX {
        return Err(format!("nested deeper than {} levels", rewindow_query::json::DEPTH_MAX));
    }
    let float = |f: f64| match f.is_finite() {
        true => Ok(Value::Float(f)),
        false => Err(format!("{f} is no finite float")),
    };
    match field {
        Field::Null => Ok(Value::Null),
        Field::Bool(bit) => Ok(Value::Bit(bit)),
        Field::Byte(n) => Ok(Value::Int(n.into())),
        Field::Short(n) => Ok(Value::Int(n.into())),
        Field::Int(n) => Ok(Value::Int(n.into())),
        Field::Long(n) => Ok(Value::Int(n)),
        Field::UByte(n) => Ok(Value::Int(n.into())),
        Field::UShort(n) => Ok(Value::Int(n.into())),
        Field::UInt(n) => Ok(Value::Int(n.into())),
        Field::ULong(n) => i64::try_from(n)
            .map(Value::Int)
            .map_err(|_| format!("{n} is outside the bigint range (rule 1.5)")),
        Field::Float16(f) => float(f.into()),
        Field::Float(f) => float(f.into()),
        Field::Double(f) => float(f),
        Field::Decimal(_) => decimal(&field).and_then(float),
        Field::Str(text) => Ok(Value::text(text)),
        Field::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes.data());
            text.map(Value::text).map_err(|_| "bytes that are no text".to_owned())
        }
        Field::Date(days) => instant(i64::from(days).checked_mul(DAY)),
        Field::TimestampMillis(n) => instant(n.checked_mul(10_000)),
        Field::TimestampMicros(n) => instant(n.checked_mul(10)),
        Field::TimeMillis(_) | Field::TimeMicros(_) => Err("a time of day has no type here".to_owned()),
        Field::Group(row) => {
            let member = |(name, field): (String, Field)| Ok((name.into(), value(field, depth + 1)?));
            let members: Result<Record, String> = row.into_columns().into_iter().map(member).collect();
            Ok(Value::Record(Arc::new(members?)))
        }
        Field::ListInternal(list) => {
            let items = list.elements().iter().map(|item| value(item.clone(), depth + 1));
            Ok(Value::Array(items.collect::<Result<Vec<_>, _>>()?.into()))
        }
        Field::MapInternal(map) => {
            let member = |(key, item): &(Field, Field)| match key {
                Field::Str(name) => Ok((name.as_str().into(), value(item.clone(), depth + 1)?)),
                _ => Err("a map whose keys are no text".to_owned()),
            };
            let members: Result<Record, String> = map.entries().iter().map(member).collect();
            Ok(Value::Record(Arc::new(members?)))
        }
    }
}

/// A decimal as the nearest float: the language has no other number with a fraction.
fn decimal(field: &Field) -> Result<f64, String> {
    field.to_string().parse().map_err(|_| "a decimal that cannot be read".to_owned())
}
