//! Section 10 (date functions), choice C-DATE. Everything is UTC.
//!
//! An argument is a datetime or ISO 8601 text; what is neither, and a result outside the years 1 to 9999,
//! is an error. NULL is the caller's business. Weeks begin on Sunday.

use rewindow_query::time::SECOND;
use rewindow_query::{Timestamp, Unit, Value};

const DAY: i64 = 86_400 * SECOND;

/// A value as an instant (rule 1.7).
pub(crate) fn instant(value: &Value) -> Result<Timestamp, String> {
    let instant = match value {
        Value::Datetime(timestamp) => Some(*timestamp),
        Value::Text(text) => Timestamp::parse(text),
        _ => None,
    };
    instant.ok_or_else(|| format!("{value} is no datetime"))
}

/// DATEDIFF: how many boundaries of the unit lie between two instants (rule 8.2), negative backwards.
pub(crate) fn datediff(unit: Unit, from: Timestamp, to: Timestamp) -> Result<i64, String> {
    Ok(boundaries(unit, to)? - boundaries(unit, from)?)
}

/// The number of boundaries of the unit up to an instant, counted from some fixed one. Both of them
/// belong to the later unit: 12:01:00 is a boundary that 12:01:00 itself has crossed.
pub(crate) fn boundaries(unit: Unit, timestamp: Timestamp) -> Result<i64, String> {
    let day = timestamp.0.div_euclid(DAY);
    Ok(match unit {
        Unit::Year => i64::from(civil(timestamp)?.year()),
        Unit::Quarter => {
            let civil = civil(timestamp)?;
            i64::from(civil.year()) * 4 + i64::from(civil.month() - 1) / 3
        }
        Unit::Month => {
            let civil = civil(timestamp)?;
            i64::from(civil.year()) * 12 + i64::from(civil.month() - 1)
        }
        Unit::Week => (day + 1).div_euclid(7), // day 0, 0001-01-01, is a Monday
        Unit::Day | Unit::DayOfYear | Unit::Weekday => day,
        Unit::Hour | Unit::Minute | Unit::Second | Unit::Millisecond | Unit::Microsecond | Unit::Tick => {
            timestamp.0.div_euclid(unit.fixed().expect("the unit has a fixed length").0)
        }
    })
}

/// DATEADD: months and what is made of them stop at the end of a shorter month.
pub(crate) fn dateadd(unit: Unit, number: i64, timestamp: Timestamp) -> Result<Timestamp, String> {
    let outside = || format!("{timestamp} and {number} {}s is outside the years 1 to 9999", unit.name());
    let months = match unit {
        Unit::Year => number.checked_mul(12),
        Unit::Quarter => number.checked_mul(3),
        Unit::Month => Some(number),
        Unit::DayOfYear | Unit::Weekday => return add_ticks(timestamp, number, DAY).ok_or_else(outside),
        _ => {
            let length = unit.fixed().expect("the unit has a fixed length").0;
            return add_ticks(timestamp, number, length).ok_or_else(outside);
        }
    };
    months.and_then(|months| add_months(timestamp, months)).ok_or_else(outside)
}

fn add_ticks(timestamp: Timestamp, number: i64, length: i64) -> Option<Timestamp> {
    let moved = Timestamp(number.checked_mul(length)?.checked_add(timestamp.0)?);
    moved.is_calendar().then_some(moved)
}

fn add_months(timestamp: Timestamp, months: i64) -> Option<Timestamp> {
    let months = jiff::Span::new().try_months(months).ok()?;
    Timestamp::from_civil(timestamp.civil()?.checked_add(months).ok()?)
}

/// DATEPART.
pub(crate) fn datepart(unit: Unit, timestamp: Timestamp) -> Result<i64, String> {
    let civil = civil(timestamp)?;
    let of_second = timestamp.0.rem_euclid(SECOND);
    Ok(match unit {
        Unit::Year => civil.year().into(),
        Unit::Quarter => i64::from(civil.month() - 1) / 3 + 1,
        Unit::Month => civil.month().into(),
        Unit::DayOfYear => civil.date().day_of_year().into(),
        Unit::Day => civil.day().into(),
        Unit::Week => {
            let before = i64::from(civil.date().first_of_year().weekday().to_sunday_zero_offset());
            (i64::from(civil.date().day_of_year()) - 1 + before) / 7 + 1
        }
        Unit::Weekday => i64::from(civil.date().weekday().to_sunday_zero_offset()) + 1,
        Unit::Hour => civil.hour().into(),
        Unit::Minute => civil.minute().into(),
        Unit::Second => civil.second().into(),
        Unit::Millisecond => of_second / 10_000,
        Unit::Microsecond => of_second / 10,
        Unit::Tick => of_second,
    })
}

/// DATENAME: the English month or weekday, else the number.
pub(crate) fn datename(unit: Unit, timestamp: Timestamp) -> Result<String, String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let number = datepart(unit, timestamp)?;
    let from_one =
        |names: &[&str]| names[usize::try_from(number - 1).expect("parts count from 1")].to_owned();
    Ok(match unit {
        Unit::Month => from_one(&MONTHS),
        Unit::Weekday => from_one(&DAYS),
        _ => number.to_string(),
    })
}

/// DATETIMEFROMPARTS: year, month, day, hour, minute, second, millisecond.
pub(crate) fn from_parts(parts: [i64; 7]) -> Result<Timestamp, String> {
    let built = || {
        let [year, month, day, hour, minute, second, millisecond] = parts;
        let limits = [(hour, 24), (minute, 60), (second, 60), (millisecond, 1000)];
        if !limits.iter().all(|&(part, limit)| (0..limit).contains(&part)) {
            return None;
        }
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        let date = jiff::civil::Date::new(i16::try_from(year).ok()?, month, day).ok()?;
        let midnight = Timestamp::from_civil(date.at(0, 0, 0, 0))?;
        let in_day = ((hour * 60 + minute) * 60 + second) * SECOND + millisecond * 10_000;
        Some(Timestamp(midnight.0 + in_day))
    };
    built().ok_or_else(|| format!("{parts:?} are no parts of a datetime"))
}

/// The calendar's view of an instant.
fn civil(timestamp: Timestamp) -> Result<jiff::civil::DateTime, String> {
    timestamp.civil().ok_or_else(|| format!("{timestamp} is outside the years 1 to 9999"))
}
