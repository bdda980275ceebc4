//! Compatibility levels of a job, where they change meaning (rules 1.3, 11.2, section 15, choice C-LEVEL).
//!
//! | below | what is different |
//! |---|---|
//! | 1.2 | true and false are read as the bigints 1 and 0; a prefix in front of a function of the language is ignored |
//! | 1.1 | names in payloads are read in lower case, text that is a time in ISO form as a datetime |
//!
//! Knows the events as they are read, and nothing of their format. Invariant: at 1.2 nothing is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::time::Timestamp;
use crate::value::{Record, Value};

/// A compatibility level.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize,
)]
pub enum Level {
    /// 1.0
    #[serde(rename = "1.0")]
    V1_0,
    /// 1.1
    #[serde(rename = "1.1")]
    V1_1,
    /// 1.2, the one of new jobs
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
}

impl Level {
    /// All levels, oldest first.
    pub const ALL: [Level; 3] = [Level::V1_0, Level::V1_1, Level::V1_2];

    /// As a job says it: `1.2`.
    pub fn name(self) -> &'static str {
        match self {
            Level::V1_0 => "1.0",
            Level::V1_1 => "1.1",
            Level::V1_2 => "1.2",
        }
    }

    /// The level of that name.
    pub fn parse(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// An event as a job of this level reads it (rule 1.3). Of two names that become equal the later one
    /// counts.
    #[must_use]
    pub fn read(self, event: Record) -> Record {
        match self {
            Level::V1_2 => event,
            level => level.record(&event),
        }
    }

    fn record(self, record: &Record) -> Record {
        let mut members: Vec<(Arc<str>, Value)> = Vec::with_capacity(record.members().len());
        let mut places: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for (name, value) in record.members() {
            let value = self.value(value);
            if self > Level::V1_0 {
                members.push((name.clone(), value));
                continue;
            }
            let name: Arc<str> = name.to_lowercase().into();
            match places.get(&name) {
                Some(&place) => members[place].1 = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
        }
        Record::new(members)
    }

    fn value(self, value: &Value) -> Value {
        match value {
            Value::Bit(bit) => Value::Int(i64::from(*bit)),
            Value::Text(text) if self == Level::V1_0 => {
                Timestamp::parse(text).map_or_else(|| value.clone(), Value::Datetime)
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item)).collect()),
            Value::Record(record) => Value::Record(Arc::new(self.record(record))),
            value => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read_event, record_to_json};

    fn read(level: Level, event: &str) -> String {
        record_to_json(&level.read(read_event(event).unwrap())).to_string()
    }

    #[test]
    fn each_level_reads_an_event_in_its_own_way() {
        let event = r#"{"Id":true,"At":"2024-01-01T00:00:00Z","In":[{"Ok":false,"N":"x"}]}"#;
        assert_eq!(read(Level::V1_2, event), event);
        assert_eq!(
            read(Level::V1_1, event),
            r#"{"Id":1,"At":"2024-01-01T00:00:00Z","In":[{"Ok":0,"N":"x"}]}"#
        );
        assert_eq!(
            read(Level::V1_0, event),
            r#"{"id":1,"at":"2024-01-01T00:00:00.0000000Z","in":[{"ok":0,"n":"x"}]}"#
        );
    }

    #[test]
    fn at_1_0_of_two_names_that_become_equal_the_later_counts() {
        assert_eq!(read(Level::V1_0, r#"{"A":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn a_level_is_named_as_a_job_says_it() {
        assert!(Level::ALL.iter().all(|level| Level::parse(level.name()) == Some(*level)));
        assert_eq!(Level::parse("1.3"), None);
        assert_eq!(Level::default(), Level::V1_2);
    }
}
