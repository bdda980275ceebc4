//! Instants, spans and units of time.
//!
//! An instant is a count of ticks of 100 ns from 0001-01-01T00:00:00Z, the resolution and the zero of
//! the platform's `datetime` (rule 1.1, A-ALIGN). There is no clock here and no time zone: everything
//! is UTC. Invariant: a [`Timestamp`] made by [`Timestamp::parse`] or by the calendar lies in the years
//! 1 to 9999; arithmetic saturates at the ends of `i64`, which lie far outside.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// Ticks in a second.
pub const SECOND: i64 = 10_000_000;

/// Tick zero as civil time.
const YEAR_ONE: jiff::civil::DateTime = jiff::civil::datetime(1, 1, 1, 0, 0, 0, 0);

/// First tick of the year 10000, one past the last `datetime`.
const YEAR_10000: i64 = 315_537_897_600 * SECOND;

/// An instant, in ticks of 100 ns from 0001-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A length of time, in ticks of 100 ns. May be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

impl Timestamp {
    /// Before every instant: the frontier of something that has not begun.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After every instant: the watermark of an input that has ended.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Reads ISO 8601 text: a date, a date and a time with `T` or a space, with or without fraction
    /// and zone. Without a zone it is UTC (rule 1.7). A fraction finer than a tick is truncated.
    /// `None` if the text is no instant of the years 1 to 9999.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let pieces = jiff::fmt::temporal::Pieces::parse(text.trim()).ok()?;
        let civil = pieces.date().to_datetime(pieces.time().unwrap_or(jiff::civil::Time::midnight()));
        let zone = pieces.to_numeric_offset().map_or(0, |offset| i64::from(offset.seconds()));
        let timestamp = Timestamp::from_civil(civil)?.minus(Span::seconds(zone));
        timestamp.is_calendar().then_some(timestamp)
    }

    /// Whether the instant lies in the years 1 to 9999 and so can be a `datetime` value.
    pub fn is_calendar(self) -> bool {
        (0..YEAR_10000).contains(&self.0)
    }

    /// The instant as civil date and time, UTC. `None` outside the years 1 to 9999.
    pub fn civil(self) -> Option<jiff::civil::DateTime> {
        if !self.is_calendar() {
            return None;
        }
        let days = self.0 / (86_400 * SECOND);
        let of_day = self.0 % (86_400 * SECOND);
        let date = YEAR_ONE.date().checked_add(jiff::Span::new().try_days(days).ok()?).ok()?;
        let nanos = i32::try_from(of_day % SECOND * 100).ok()?;
        let time = jiff::civil::Time::midnight();
        Some(date.to_datetime(time.checked_add(jiff::SignedDuration::new(of_day / SECOND, nanos)).ok()?))
    }

    /// The instant of a civil date and time read as UTC; what is finer than a tick is truncated.
    /// `None` outside the years 1 to 9999.
    pub fn from_civil(civil: jiff::civil::DateTime) -> Option<Timestamp> {
        let ticks = civil.duration_since(YEAR_ONE).as_nanos().div_euclid(100);
        let timestamp = Timestamp(i64::try_from(ticks).ok()?);
        timestamp.is_calendar().then_some(timestamp)
    }

    /// This instant moved by `span`, stopping at [`Timestamp::MIN`] and [`Timestamp::MAX`].
    /// The two ends stay where they are: an endless watermark is endless whatever is taken off.
    #[must_use]
    pub fn plus(self, span: Span) -> Timestamp {
        match self {
            Timestamp::MIN | Timestamp::MAX => self,
            _ => Timestamp(self.0.saturating_add(span.0)),
        }
    }

    /// This instant moved back by `span`; the two ends stay where they are.
    #[must_use]
    pub fn minus(self, span: Span) -> Timestamp {
        match self {
            Timestamp::MIN | Timestamp::MAX => self,
            _ => Timestamp(self.0.saturating_sub(span.0)),
        }
    }

    /// The span from `earlier` to this instant.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// ISO 8601 with seven fractional digits and `Z` (rule 1.6); outside the calendar the bare tick count.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.civil() {
            Some(c) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:07}Z",
                c.year(),
                c.month(),
                c.day(),
                c.hour(),
                c.minute(),
                c.second(),
                self.0.rem_euclid(SECOND)
            ),
            None if *self == Timestamp::MAX => f.write_str("end of time"),
            None if *self == Timestamp::MIN => f.write_str("before time"),
            None => write!(f, "tick {}", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// The smallest span, 100 ns.
    pub const TICK: Span = Span(1);
    /// The fixed limit up to which a timestamp may lie ahead of its arrival (rule 3.4.1).
    pub const EARLY: Span = Span(5 * 60 * SECOND);
    /// The longest window, DATEDIFF bound or LIMIT DURATION (rule 16).
    pub const LONGEST: Span = Span(7 * 86_400 * SECOND);
    /// The largest late-arrival tolerance (rule 3.5).
    pub const LATE_MAX: Span = Span(20 * 86_400 * SECOND);

    /// `n` whole seconds.
    pub const fn seconds(n: i64) -> Span {
        Span(n.saturating_mul(SECOND))
    }

    /// `n` whole minutes.
    pub const fn minutes(n: i64) -> Span {
        Span(n.saturating_mul(60 * SECOND))
    }

    /// `n` whole hours.
    pub const fn hours(n: i64) -> Span {
        Span(n.saturating_mul(3_600 * SECOND))
    }

    /// The sum of two spans, saturating.
    #[must_use]
    pub fn plus(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }

    /// Reads `[-][d.]hh:mm:ss[.fffffff]`, the form of the platform's settings, or a number with a unit
    /// such as `90 s`, `5 min`, `6h`, `2 days`, `1 tick`, or several, as they are shown: `1 h 50 min`, `0.001 s`.
    /// `None` if it is neither.
    pub fn parse(text: &str) -> Option<Span> {
        let text = text.trim();
        let (negative, body) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let ticks = if body.contains(':') { parse_clock(body)? } else { parse_quantities(body)? };
        Some(Span(if negative { -ticks } else { ticks }))
    }
}

fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let (first, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (days, hours) = match first.split_once('.') {
        Some((days, hours)) => (digits(days)?, digits(hours)?),
        None => (0, digits(first)?),
    };
    let (seconds, fraction) = match seconds.split_once('.') {
        Some((seconds, fraction)) => (digits(seconds)?, fraction),
        None => (digits(seconds)?, ""),
    };
    if fraction.len() > 7 || (!fraction.is_empty() && digits(fraction).is_none()) {
        return None;
    }
    let fraction = format!("{fraction:0<7}").parse::<i64>().ok()?;
    let minutes = digits(minutes)?;
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let whole = days.checked_mul(24)?.checked_add(hours)?.checked_mul(60)?.checked_add(minutes)?;
    whole.checked_mul(60)?.checked_add(seconds)?.checked_mul(SECOND)?.checked_add(fraction)
}

/// One number with a unit, or several, the larger units first: `90 s`, `1.5 s`, `1 h 50 min`.
fn parse_quantities(text: &str) -> Option<i64> {
    let (mut sum, mut unit_before, mut rest) = (0_i64, i64::MAX, text);
    loop {
        let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
        let unit = unit_of(&behind[..end]).filter(|unit| *unit < unit_before)?;
        sum = sum.checked_add(parse_quantity(number, unit)?)?;
        (unit_before, rest) = (unit, behind[end..].trim_start());
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

/// The ticks of a unit.
fn unit_of(name: &str) -> Option<i64> {
    Some(match name {
        "tick" | "ticks" => 1,
        "us" | "µs" => 10,
        "ms" => 10_000,
        "s" | "sec" | "second" | "seconds" => SECOND,
        "m" | "min" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hour" | "hours" => 3_600 * SECOND,
        "d" | "day" | "days" => 86_400 * SECOND,
        _ => return None,
    })
}

/// So many of a unit, in ticks: a whole number of them.
fn parse_quantity(number: &str, unit: i64) -> Option<i64> {
    let Some((whole, fraction)) = number.split_once('.') else { return digits(number)?.checked_mul(unit) };
    let parts = 10_i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = digits(fraction)?.checked_mul(unit).filter(|ticks| ticks % parts == 0)? / parts;
    digits(whole)?.checked_mul(unit)?.checked_add(fraction)
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Human form, exact, which [`Span::parse`] reads back: `6 h`, `30 h 40 min`, `1.5 s`, `3 ticks`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, ticks) =
            if self.0 < 0 { ("-", self.0.unsigned_abs()) } else { ("", self.0.unsigned_abs()) };
        f.write_str(sign)?;
        let second = SECOND.unsigned_abs();
        if ticks == 0 {
            return f.write_str("0 s");
        }
        if ticks < 10_000 {
            return write!(f, "{ticks} tick{}", if ticks == 1 { "" } else { "s" });
        }
        if ticks < 60 * second {
            let text = format!("{}.{:07}", ticks / second, ticks % second);
            return write!(f, "{} s", text.trim_end_matches('0').trim_end_matches('.'));
        }
        let (days, hours) = (ticks / (86_400 * second), ticks / (3_600 * second) % 24);
        let (minutes, rest) = (ticks / (60 * second) % 60, ticks % (60 * second));
        let mut parts = Vec::new();
        if days >= 2 {
            parts.push(format!("{days} d"));
            if hours > 0 {
                parts.push(format!("{hours} h"));
            }
        } else if hours + 24 * days > 0 {
            parts.push(format!("{} h", hours + 24 * days));
        }
        if minutes > 0 {
            parts.push(format!("{minutes} min"));
        }
        if rest > 0 {
            parts.push(Span(i64::try_from(rest).unwrap_or(0)).to_string());
        }
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The exact form `[-][d.]hh:mm:ss[.fffffff]`, which [`Span::parse`] reads back.
pub fn span_to_clock(span: Span) -> String {
    let ticks = span.0.unsigned_abs();
    let second = SECOND.unsigned_abs();
    let (days, rest) = (ticks / (86_400 * second), ticks % (86_400 * second));
    let mut text = String::from(if span.0 < 0 { "-" } else { "" });
    if days > 0 {
        text.push_str(&format!("{days}."));
    }
    let total = rest / second;
    text.push_str(&format!("{:02}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60));
    if rest % second > 0 {
        text.push_str(&format!(".{:07}", rest % second));
    }
    text
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.is_calendar() { s.collect_str(self) } else { s.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an ISO 8601 instant between quotes, `\"2024-01-31T12:00:00Z\"`")
            }

            fn visit_i64<E: serde::de::Error>(self, ticks: i64) -> Result<Timestamp, E> {
                Ok(Timestamp(ticks))
            }

            fn visit_u64<E: serde::de::Error>(self, ticks: u64) -> Result<Timestamp, E> {
                let ticks =
                    i64::try_from(ticks).map_err(|_| E::invalid_value(Unexpected::Unsigned(ticks), &self));
                ticks.map(Timestamp)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                Timestamp::parse(text).ok_or_else(|| E::custom(format!("`{text}` is no ISO 8601 instant")))
            }
        }
        d.deserialize_any(Form)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&span_to_clock(*self))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span between quotes, `hh:mm:ss` or a number with a unit, `\"5 min\"`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| {
                    let form = "write `hh:mm:ss` or a number with a unit, `5 min`";
                    E::custom(format!("`{text}` is no span: {form}"))
                })
            }
        }
        d.deserialize_str(Form)
    }
}

/// A unit of the language (rule 4.5 and the date functions of rule 10).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Unit {
    /// Calendar year.
    Year,
    /// Calendar quarter.
    Quarter,
    /// Calendar month.
    Month,
    /// Day of the year; counts as a day in DATEDIFF and DATEADD.
    DayOfYear,
    /// Day.
    Day,
    /// Week, beginning on Sunday.
    Week,
    /// Day of the week; counts as a day in DATEDIFF and DATEADD.
    Weekday,
    /// Hour.
    Hour,
    /// Minute.
    Minute,
    /// Second.
    Second,
    /// Millisecond.
    Millisecond,
    /// Microsecond.
    Microsecond,
    /// 100 ns, the resolution of instants: DATEDIFF in it is elapsed time. No query can name it.
    Tick,
}

impl Unit {
    /// The unit of a name or abbreviation, in any case, singular or plural (A-UNIT-PLURAL).
    pub fn parse(name: &str) -> Option<Unit> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" | "years" | "yy" | "yyyy" => Unit::Year,
            "quarter" | "quarters" | "qq" | "q" => Unit::Quarter,
            "month" | "months" | "mm" | "m" => Unit::Month,
            "dayofyear" | "dy" | "y" => Unit::DayOfYear,
            "day" | "days" | "dd" | "d" => Unit::Day,
            "week" | "weeks" | "wk" | "ww" => Unit::Week,
            "weekday" | "weekdays" | "dw" | "w" => Unit::Weekday,
            "hour" | "hours" | "hh" => Unit::Hour,
            "minute" | "minutes" | "mi" | "n" => Unit::Minute,
            "second" | "seconds" | "ss" | "s" => Unit::Second,
            "millisecond" | "milliseconds" | "ms" => Unit::Millisecond,
            "microsecond" | "microseconds" | "mcs" => Unit::Microsecond,
            _ => return None,
        })
    }

    /// Length of a unit that always lasts the same, in ticks; `None` for month, quarter and year,
    /// and for the two names of parts (day of year, weekday), which are no lengths.
    pub fn fixed(self) -> Option<Span> {
        Some(Span(match self {
            Unit::Week => 7 * 86_400 * SECOND,
            Unit::Day => 86_400 * SECOND,
            Unit::Hour => 3_600 * SECOND,
            Unit::Minute => 60 * SECOND,
            Unit::Second => SECOND,
            Unit::Millisecond => SECOND / 1_000,
            Unit::Microsecond => SECOND / 1_000_000,
            Unit::Tick => 1,
            Unit::Year | Unit::Quarter | Unit::Month | Unit::DayOfYear | Unit::Weekday => return None,
        }))
    }

    /// The full name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Year => "year",
            Unit::Quarter => "quarter",
            Unit::Month => "month",
            Unit::DayOfYear => "dayofyear",
            Unit::Day => "day",
            Unit::Week => "week",
            Unit::Weekday => "weekday",
            Unit::Hour => "hour",
            Unit::Minute => "minute",
            Unit::Second => "second",
            Unit::Millisecond => "millisecond",
            Unit::Microsecond => "microsecond",
            Unit::Tick => "tick",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_print_as_they_are_read() {
        for text in
            ["2024-03-05T12:34:56.1234567Z", "0001-01-01T00:00:00.0000000Z", "9999-12-31T23:59:59.9999999Z"]
        {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Timestamp::parse("2024-03-05"), Timestamp::parse("2024-03-05T00:00:00Z"));
        assert_eq!(Timestamp::parse("2024-03-05 01:00"), Timestamp::parse("2024-03-05T03:00:00+02:00"));
        for bad in ["", "yesterday", "2024-13-01", "0000-12-31T23:59:59Z", "12"] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans_print_as_they_are_read() {
        for (text, ticks) in
            [("00:00:05", 5 * SECOND), ("20.00:00:00", 20 * 86_400 * SECOND), ("-00:00:00.0000001", -1)]
        {
            assert_eq!(Span::parse(text), Some(Span(ticks)));
            assert_eq!(span_to_clock(Span(ticks)), text);
        }
        assert_eq!(Span::parse("90 s"), Span::parse("00:01:30"));
        assert_eq!(Span::minutes(30 * 60 + 40).to_string(), "30 h 40 min");
        let day = 86_400 * SECOND;
        for ticks in
            [0, 1, 9_999, 10_000, 10_001, SECOND - 1, SECOND, 59 * SECOND + 5, 60 * SECOND, 6_600 * SECOND]
        {
            for more in [0, 1, 9_999, 123_456_789, day, 2 * day, 3 * day + 7_200 * SECOND, 4_000 * day] {
                let span = Span(ticks + more);
                assert_eq!(Span::parse(&span.to_string()), Some(span), "what is shown can be typed back");
                assert_eq!(Span::parse(&Span(-span.0).to_string()), Some(Span(-span.0)));
            }
        }
        assert_eq!(Span::parse("1h 50min"), Some(Span::minutes(110)));
        assert_eq!(Span::parse("1.5 d"), Some(Span::hours(36)));
        for bad in
            ["1 min 1 h", "1 s 1 s", "1.5 tick", "1..5 s", ". s", "1. s", "1 h 5", "0.12345678901234567890 s"]
        {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
        for bad in ["", "5", "1:2", "00:61:00", "5 parsecs", "99999999999999999999 s"] {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
    }
}
