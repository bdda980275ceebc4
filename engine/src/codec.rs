//! Bytes of a checkpoint: little-endian integers, lengths in front, values with a tag.
//!
//! Knows no operator. Invariant: a [`Reader`] never panics and never reserves more memory than the bytes
//! that are left could fill, whatever it is given.

use std::sync::Arc;

use rewindow_query::{Record, Timestamp, Value};

/// Deepest nesting of arrays and records that is read.
const DEPTH_MAX: usize = 128;

/// Bytes that are no checkpoint of this kind: where, and what was expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("at byte {at}: expected {expected}")]
pub struct Corrupt {
    /// Offset into the bytes.
    pub at: usize,
    /// What should have stood there.
    pub expected: &'static str,
}

/// Writes checkpoint bytes.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Raw bytes, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    /// Sixteen bytes, signed.
    pub fn i128(&mut self, value: i128) {
        self.raw(&value.to_le_bytes());
    }

    /// A number of things to follow.
    pub fn len(&mut self, len: usize) {
        self.u64(len as u64);
    }

    /// An instant.
    pub fn timestamp(&mut self, value: Timestamp) {
        self.i64(value.0);
    }

    /// Text with its length.
    pub fn text(&mut self, text: &str) {
        self.len(text.len());
        self.raw(text.as_bytes());
    }

    /// Text as a value, with its type.
    pub fn text_value(&mut self, text: &str) {
        self.u8(4);
        self.text(text);
    }

    /// A value with its type.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.u8(0),
            Value::Bit(v) => {
                self.u8(1);
                self.u8(u8::from(*v));
            }
            Value::Int(v) => {
                self.u8(2);
                self.i64(*v);
            }
            Value::Float(v) => {
                self.u8(3);
                self.u64(v.to_bits());
            }
            Value::Text(v) => self.text_value(v),
            Value::Datetime(v) => {
                self.u8(5);
                self.timestamp(*v);
            }
            Value::Array(items) => {
                self.u8(6);
                self.values(items);
            }
            Value::Record(record) => {
                self.u8(7);
                self.len(record.members().len());
                for (name, value) in record.members() {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }

    /// Values with their number.
    pub fn values(&mut self, values: &[Value]) {
        self.len(values.len());
        values.iter().for_each(|value| self.value(value));
    }
}

/// Reads checkpoint bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// The error for what stands here.
    pub fn corrupt(&self, expected: &'static str) -> Corrupt {
        Corrupt { at: self.at, expected }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Everything must have been read.
    pub fn end(&self) -> Result<(), Corrupt> {
        if self.left() == 0 { Ok(()) } else { Err(self.corrupt("the end")) }
    }

    /// So many raw bytes.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        if len > self.left() {
            return Err(self.corrupt("more bytes"));
        }
        let bytes = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Corrupt> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self) -> Result<i64, Corrupt> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Sixteen bytes, signed.
    pub fn i128(&mut self) -> Result<i128, Corrupt> {
        Ok(i128::from_le_bytes(self.array()?))
    }

    /// A yes or no: 1 or 0.
    pub fn bool(&mut self) -> Result<bool, Corrupt> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt("0 or 1")),
        }
    }

    /// A number of things, each of at least `least` bytes, that the bytes left can hold. `least` may not
    /// be 0.
    pub fn len(&mut self, least: usize) -> Result<usize, Corrupt> {
        let len = usize::try_from(self.u64()?).map_err(|_| self.corrupt("a length"))?;
        match len.checked_mul(least) {
            Some(bytes) if bytes <= self.left() => Ok(len),
            _ => Err(self.corrupt("a length that fits")),
        }
    }

    /// An instant.
    pub fn timestamp(&mut self) -> Result<Timestamp, Corrupt> {
        Ok(Timestamp(self.i64()?))
    }

    /// Text with its length.
    pub fn text(&mut self) -> Result<Arc<str>, Corrupt> {
        let len = self.len(1)?;
        let bytes = self.raw(len)?;
        std::str::from_utf8(bytes).map(Arc::from).map_err(|_| self.corrupt("UTF-8"))
    }

    /// A value.
    pub fn value(&mut self) -> Result<Value, Corrupt> {
        self.value_at(0)
    }

    /// Values with their number.
    pub fn values(&mut self) -> Result<Vec<Value>, Corrupt> {
        let len = self.len(1)?;
        (0..len).map(|_| self.value()).collect()
    }

    fn value_at(&mut self, depth: usize) -> Result<Value, Corrupt> {
        if depth > DEPTH_MAX {
            return Err(self.corrupt("less nesting"));
        }
        Ok(match self.u8()? {
            0 => Value::Null,
            1 => Value::Bit(self.bool()?),
            2 => Value::Int(self.i64()?),
            3 => {
                let float = f64::from_bits(self.u64()?);
                if !float.is_finite() {
                    return Err(self.corrupt("a finite float"));
                }
                Value::Float(float)
            }
            4 => Value::Text(self.text()?),
            5 => Value::Datetime(self.timestamp()?),
            6 => {
                let len = self.len(1)?;
                let items: Result<Vec<Value>, Corrupt> = (0..len).map(|_| self.value_at(depth + 1)).collect();
                Value::Array(items?.into())
            }
            7 => {
                let len = self.len(9)?;
                let member = |_| Ok((self.text()?, self.value_at(depth + 1)?));
                let members: Result<Vec<(Arc<str>, Value)>, Corrupt> = (0..len).map(member).collect();
                Value::Record(Arc::new(Record::new(members?)))
            }
            _ => return Err(self.corrupt("a type of value")),
        })
    }
}
