//! Date functions (section 10, choice C-DATE). Weeks begin on Sunday; tick 0 is a Monday.

use jiff::civil::{Date, DateTime};
use rewindow_query::expr::Function;
use rewindow_query::time::SECOND;
use rewindow_query::{Timestamp, Unit, Value};

use super::Operand;
use super::arithmetic::{Number, number, wrong};
use super::cast::whole;
use crate::column::Data;

const DAY: i64 = 86_400 * SECOND;
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
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// `DATEDIFF(unit, a, b)`: how many boundaries of the unit lie between a and b, negative if b is earlier
/// (rule 8.2).
pub(super) fn diff(unit: Unit, a: &Value, b: &Value) -> Result<Value, String> {
    Ok(Value::Int(boundaries(unit, instant("DATEDIFF", a)?, instant("DATEDIFF", b)?)))
}

fn boundaries(unit: Unit, a: Timestamp, b: Timestamp) -> i64 {
    if let Some(length) = step(unit) {
        let shift = if unit == Unit::Week { DAY } else { 0 };
        return (b.0 + shift).div_euclid(length) - (a.0 + shift).div_euclid(length);
    }
    let months = |t: Timestamp| t.civil().map_or(0, |c| i64::from(c.year()) * 12 + i64::from(c.month()) - 1);
    let per = match unit {
        Unit::Year => 12,
        Unit::Quarter => 3,
        _ => 1,
    };
    months(b).div_euclid(per) - months(a).div_euclid(per)
}

/// Distance of a unit's boundaries, in ticks, where it is always the same.
fn step(unit: Unit) -> Option<i64> {
    match unit {
        Unit::DayOfYear | Unit::Weekday => Some(DAY),
        unit => unit.fixed().map(|span| span.0),
    }
}

/// `DATEADD(unit, n, t)`: the number is truncated, months clamp to their ends.
pub(super) fn add(unit: Unit, n: &Value, t: &Value) -> Result<Value, String> {
    let n = match number(n) {
        Some(Number::Int(n)) => Some(n),
        Some(Number::Float(n)) => whole(n),
        None => return Err(wrong("DATEADD", n)),
    };
    let t = instant("DATEADD", t)?;
    let result = n.and_then(|n| match step(unit) {
        Some(length) => Some(Timestamp(t.0.checked_add(n.checked_mul(length)?)?)),
        None => add_months(t, n.checked_mul(months_of(unit))?),
    });
    match result.filter(|t| t.is_calendar()) {
        Some(t) => Ok(Value::Datetime(t)),
        None => Err("DATEADD leaves the years 1 to 9999".to_owned()),
    }
}

fn months_of(unit: Unit) -> i64 {
    match unit {
        Unit::Year => 12,
        Unit::Quarter => 3,
        _ => 1,
    }
}

fn add_months(t: Timestamp, months: i64) -> Option<Timestamp> {
    let civil = t.civil()?;
    let index = (i64::from(civil.year()) * 12 + i64::from(civil.month()) - 1).checked_add(months)?;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    if !(1..=9999).contains(&year) {
        return None;
    }
    let first = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()?;
    let day = civil.day().min(first.days_in_month());
    let date = Date::new(first.year(), first.month(), day).ok()?;
    Timestamp::from_civil(date.to_datetime(civil.time()))
}

/// `DATEPART(unit, t)`
pub(super) fn part(unit: Unit, t: &Value) -> Result<Value, String> {
    Ok(Value::Int(part_of(unit, instant("DATEPART", t)?, "DATEPART")?))
}

/// `DATENAME(unit, t)`: the English month or weekday, else the number as text.
pub(super) fn name(unit: Unit, t: &Value) -> Result<Value, String> {
    let part = part_of(unit, instant("DATENAME", t)?, "DATENAME")?;
    let listed = |names: &[&'static str]| usize::try_from(part - 1).ok().and_then(|i| names.get(i).copied());
    let name = match unit {
        Unit::Month => listed(&MONTHS),
        Unit::Weekday => listed(&WEEKDAYS),
        _ => None,
    };
    Ok(name.map_or_else(|| Value::text(part.to_string()), Value::text))
}

fn part_of(unit: Unit, t: Timestamp, what: &str) -> Result<i64, String> {
    let fraction = t.0.rem_euclid(SECOND);
    let of_day = t.0.rem_euclid(DAY) / SECOND;
    Ok(match unit {
        Unit::Hour => of_day / 3600,
        Unit::Minute => of_day / 60 % 60,
        Unit::Second => of_day % 60,
        Unit::Millisecond => fraction / 10_000,
        Unit::Microsecond => fraction / 10,
        Unit::Tick => fraction,
        Unit::Weekday => weekday(t.0.div_euclid(DAY)) + 1,
        unit => {
            let civil: DateTime = t.civil().ok_or_else(|| format!("{what}: outside the years 1 to 9999"))?;
            match unit {
                Unit::Year => i64::from(civil.year()),
                Unit::Quarter => (i64::from(civil.month()) + 2) / 3,
                Unit::Month => i64::from(civil.month()),
                Unit::Day => i64::from(civil.day()),
                Unit::DayOfYear => i64::from(civil.day_of_year()),
                _ => {
                    let index = i64::from(civil.day_of_year()) - 1;
                    (index + weekday(t.0.div_euclid(DAY) - index)) / 7 + 1
                }
            }
        }
    })
}

/// Sunday is 0; day 0, 0001-01-01, was a Monday.
fn weekday(day: i64) -> i64 {
    (day + 1).rem_euclid(7)
}

/// `DATETIMEFROMPARTS(year, month, day, hour, minute, second, millisecond)`
pub(super) fn from_parts(parts: &[Value]) -> Result<Value, String> {
    let mut numbers = [0; 7];
    for (slot, part) in numbers.iter_mut().zip(parts) {
        *slot = match number(part) {
            Some(Number::Int(n)) => n,
            Some(Number::Float(f)) => whole(f).ok_or_else(|| wrong("DATETIMEFROMPARTS", part))?,
            None => return Err(wrong("DATETIMEFROMPARTS", part)),
        };
    }
    datetime(numbers)
        .map(Value::Datetime)
        .ok_or_else(|| format!("DATETIMEFROMPARTS: there is no such instant: {numbers:?}"))
}

fn datetime([year, month, day, hour, minute, second, milli]: [i64; 7]) -> Option<Timestamp> {
    let narrow = |n: i64| i8::try_from(n).ok();
    if !(1..=9999).contains(&year) || !(0..1000).contains(&milli) {
        return None;
    }
    let nanos = i32::try_from(milli * 1_000_000).ok()?;
    let date = Date::new(i16::try_from(year).ok()?, narrow(month)?, narrow(day)?).ok()?;
    let time = jiff::civil::Time::new(narrow(hour)?, narrow(minute)?, narrow(second)?, nanos).ok()?;
    Timestamp::from_civil(date.to_datetime(time))
}

/// A datetime, or text in ISO form.
fn instant(what: &str, value: &Value) -> Result<Timestamp, String> {
    match value {
        Value::Datetime(t) => Ok(*t),
        Value::Text(text) => super::instant(text).ok_or_else(|| format!("{what}: `{text}` is no instant")),
        other => Err(wrong(what, other)),
    }
}

/// DATEDIFF of two datetime columns in a unit of fixed length, the whole column at once.
pub(super) fn typed(function: Function, operands: &[Operand], len: usize) -> Option<Operand> {
    let (Function::DateDiff(unit), [Operand::Column(a), Operand::Column(b)]) = (function, operands) else {
        return None;
    };
    let (Data::Datetime(x), Data::Datetime(y), None, None) = (&a.data, &b.data, &a.nulls, &b.nulls) else {
        return None;
    };
    step(unit)?;
    let value = |row: usize| boundaries(unit, Timestamp(x[row]), Timestamp(y[row]));
    Some(Operand::typed(Data::Int((0..len).map(value).collect()), None))
}
