//! Values and records (rules 1.1 to 1.3).
//!
//! A type belongs to a value, not to a column. A float is always finite: nothing here makes an infinite
//! one, and readers refuse it. [`Value`] is ordered and hashed *as a key*: two keys are equal when type
//! and value are equal (choice C-KEY), which is not the `=` of the language (see the evaluators).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::time::Timestamp;

/// A value of the language, NULL included.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// NULL, of no type.
    #[default]
    Null,
    /// `bit`
    Bit(bool),
    /// `bigint`
    Int(i64),
    /// `float`; finite
    Float(f64),
    /// `nvarchar(max)`
    Text(Arc<str>),
    /// `datetime`
    Datetime(Timestamp),
    /// `array`
    Array(Arc<[Value]>),
    /// `record`
    Record(Arc<Record>),
}

/// Names of the types, as `GetType` and the errors say them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Type {
    /// 0, 1 or NULL
    Bit,
    /// 64-bit signed integer
    Bigint,
    /// 64-bit IEEE number, finite
    Float,
    /// Unicode text
    Text,
    /// instant, 100 ns
    Datetime,
    /// ordered values
    Array,
    /// name/value pairs
    Record,
}

impl Type {
    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Type::Bit => "bit",
            Type::Bigint => "bigint",
            Type::Float => "float",
            Type::Text => "nvarchar(max)",
            Type::Datetime => "datetime",
            Type::Array => "array",
            Type::Record => "record",
        }
    }
}

impl Value {
    /// Text of any kind of string.
    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::Text(text.into())
    }

    /// The type; `None` for NULL, which has none.
    pub fn kind(&self) -> Option<Type> {
        Some(match self {
            Value::Null => return None,
            Value::Bit(_) => Type::Bit,
            Value::Int(_) => Type::Bigint,
            Value::Float(_) => Type::Float,
            Value::Text(_) => Type::Text,
            Value::Datetime(_) => Type::Datetime,
            Value::Array(_) => Type::Array,
            Value::Record(_) => Type::Record,
        })
    }

    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bit(_) => 1,
            Value::Int(_) | Value::Float(_) => 2,
            Value::Text(_) => 3,
            Value::Datetime(_) => 4,
            Value::Array(_) => 5,
            Value::Record(_) => 6,
        }
    }
}

/// Compares a bigint and a float by their exact mathematical values.
pub fn compare_int_float(int: i64, float: f64) -> Ordering {
    // 2^63 is the first float above every bigint, -2^63 the last one that is a bigint.
    if float >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if float < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    // In this range truncation is exact; an equal whole part leaves the fraction to decide.
    let whole = float.trunc() as i64;
    int.cmp(&whole).then_with(|| {
        let fraction = float - float.trunc();
        0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal)
    })
}

/// The order of keys (choice C-KEY): NULL, bit, numbers by value (a bigint before an equal float), text
/// by code point, datetime, array, record. It is total and agrees with equality and hash.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Bit(a), Value::Bit(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => canonical(*a).total_cmp(&canonical(*b)),
            (Value::Int(a), Value::Float(b)) => compare_int_float(*a, *b).then(Ordering::Less),
            (Value::Float(a), Value::Int(b)) => compare_int_float(*b, *a).reverse().then(Ordering::Greater),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Datetime(a), Value::Datetime(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.cmp(b),
            (Value::Record(a), Value::Record(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Null => {}
            Value::Bit(v) => v.hash(state),
            Value::Int(v) => v.hash(state),
            Value::Float(v) => canonical(*v).to_bits().hash(state),
            Value::Text(v) => v.hash(state),
            Value::Datetime(v) => v.hash(state),
            Value::Array(v) => v.hash(state),
            Value::Record(v) => v.hash(state),
        }
    }
}

impl Value {
    /// The one spelling of all values that are one key (choice C-KEY): no minus zero, members by name.
    #[must_use]
    pub fn canonical(self) -> Value {
        match self {
            Value::Float(float) => Value::Float(canonical(float)),
            Value::Array(items) => Value::Array(items.iter().cloned().map(Value::canonical).collect()),
            Value::Record(record) => {
                let members = record.sorted().into_iter().cloned();
                let members = members.map(|(name, value)| (name, value.canonical()));
                Value::Record(Arc::new(members.collect()))
            }
            plain => plain,
        }
    }
}

impl Value {
    /// Whether two values are the same to the bit, as a consumer sees them: not as keys, so minus zero is no zero, and
    /// the members of a record stand in one order.
    #[must_use]
    pub fn same_bits(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(&**b).all(|(a, b)| a.same_bits(b))
            }
            (Value::Record(a), Value::Record(b)) => a.same_bits(b),
            (a, b) => a == b,
        }
    }
}

impl Record {
    /// Whether two records have the same members in the same order, the same to the bit.
    #[must_use]
    pub fn same_bits(&self, other: &Record) -> bool {
        let (a, b) = (&self.members, &other.members);
        a.len() == b.len() && a.iter().zip(b).all(|((a, x), (b, y))| a == b && x.same_bits(y))
    }
}

/// Minus zero and zero are one key.
fn canonical(float: f64) -> f64 {
    if float == 0.0 { 0.0 } else { float }
}

/// A record: members in the order they were written. Names may repeat only if the writer repeated them;
/// readers keep the last.
///
/// Records are compared and hashed by their members in the order of names: how they were written is no part of
/// what they are (rule 1.1, C-KEY).
#[derive(Clone, Debug, Default)]
pub struct Record {
    members: Vec<(Arc<str>, Value)>,
}

impl Record {
    /// A record of these members, in this order.
    pub fn new(members: Vec<(Arc<str>, Value)>) -> Record {
        Record { members }
    }

    /// The members in order.
    pub fn members(&self) -> &[(Arc<str>, Value)] {
        &self.members
    }

    /// The member of that name: exact match first, else the first that matches ignoring ASCII case
    /// (A-NAME-CASE). `None` if there is none.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let exact = self.members.iter().find(|(n, _)| &**n == name);
        let found = exact.or_else(|| self.members.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value)
    }
}

impl Record {
    /// The members in the order of their names; equal names in the order they were written.
    pub fn sorted(&self) -> Vec<&(Arc<str>, Value)> {
        let mut members: Vec<&(Arc<str>, Value)> = self.members.iter().collect();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members
    }
}

impl Ord for Record {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sorted().cmp(&other.sorted())
    }
}

impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.members, &other.members);
        if a.len() != b.len() {
            return false;
        }
        let alike = a.iter().zip(b).all(|((a, _), (b, _))| a == b);
        if alike { a == b } else { self.cmp(other) == Ordering::Equal }
    }
}

impl Eq for Record {}

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sorted().hash(state);
    }
}

impl FromIterator<(Arc<str>, Value)> for Record {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(members: I) -> Record {
        Record { members: members.into_iter().collect() }
    }
}

/// As JSON (rule 1.6): datetime as text with seven digits and `Z`, bit as true or false.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::json::to_json(self))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::json::record_to_json(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_numbers_compare_exactly() {
        let big = i64::MAX;
        assert_eq!(compare_int_float(big, big as f64), Ordering::Less, "2^63 - 1 is below 2^63");
        assert_eq!(compare_int_float(9_007_199_254_740_993, 9_007_199_254_740_992.0), Ordering::Greater);
        assert_eq!(compare_int_float(-3, -3.5), Ordering::Greater);
        assert_eq!(compare_int_float(3, 3.0), Ordering::Equal);
        assert!(Value::Int(1) < Value::Float(1.0) && Value::Float(1.0) < Value::Int(2));
        assert_eq!(Value::Float(-0.0), Value::Float(0.0));
    }

    #[test]
    fn a_record_is_its_members_in_any_order() {
        let record = |members: &[(&str, i64)]| -> Value {
            Value::Record(Arc::new(members.iter().map(|(n, v)| ((*n).into(), Value::Int(*v))).collect()))
        };
        let hash = |value: &Value| {
            let mut state = std::collections::hash_map::DefaultHasher::new();
            value.hash(&mut state);
            state.finish()
        };
        let (written, turned) = (record(&[("a", 1), ("b", 2)]), record(&[("b", 2), ("a", 1)]));
        assert_eq!(written, turned);
        assert_eq!(hash(&written), hash(&turned));
        assert!(written < record(&[("b", 1), ("a", 2)]), "the member of the least name counts first");
        assert_ne!(written, record(&[("a", 1)]));
        assert_ne!(written, record(&[("a", 2), ("b", 1)]));
        assert_eq!(turned.to_string(), r#"{"b":2,"a":1}"#, "it is shown as it was written");
    }

    #[test]
    fn what_is_one_key_need_not_be_the_same_to_the_bit() {
        let record = |names: [&str; 2]| -> Value {
            Value::Record(Arc::new(names.into_iter().map(|name| (name.into(), Value::Int(1))).collect()))
        };
        let array = |item: Value| Value::Array([item].into());
        for (a, b) in [(Value::Float(0.0), Value::Float(-0.0)), (record(["a", "b"]), record(["b", "a"]))] {
            assert!(a == b && !a.same_bits(&b) && a.same_bits(&a.clone()));
            let (a, b) = (array(a), array(b));
            assert!(a == b && !a.same_bits(&b) && a.same_bits(&a.clone()));
        }
        assert!(!Value::Int(1).same_bits(&Value::Float(1.0)) && Value::Null.same_bits(&Value::Null));
        assert!(!array(Value::Null).same_bits(&Value::Array([].into())));
    }

    #[test]
    fn a_member_is_found_exactly_before_it_is_found_loosely() {
        let record: Record =
            [("Id".into(), Value::Int(1)), ("id".into(), Value::Int(2))].into_iter().collect();
        assert_eq!(record.get("id"), Some(&Value::Int(2)));
        assert_eq!(record.get("ID"), Some(&Value::Int(1)));
        assert_eq!(record.get("di"), None);
    }
}
