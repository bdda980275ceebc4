//! ISO 8601 text as an instant, fast for the form that streams are made of.

use rewindow_query::Timestamp;
use rewindow_query::time::SECOND;

/// What [`Timestamp::parse`] gives, without its cost for `2024-03-05T12:34:56[.1234567][Z]`.
pub fn instant(text: &str) -> Option<Timestamp> {
    plain(text.as_bytes()).or_else(|| Timestamp::parse(text))
}

/// Exactly that form, or `None`; what is `None` here may still be an instant.
fn plain(bytes: &[u8]) -> Option<Timestamp> {
    let (head, tail) = bytes.split_at_checked(19)?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| head[at] != mark) {
        return None;
    }
    let (year, month, day) = (number(&head[0..4])?, number(&head[5..7])?, number(&head[8..10])?);
    let (hour, minute, second) = (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = before_month(month, leap)?;
    let length = before_month(month + 1, leap).unwrap_or(if leap { 366 } else { 365 }) - before;
    if year < 1 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let past = year - 1;
    let days = past * 365 + past / 4 - past / 100 + past / 400 + before + day - 1;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp(seconds * SECOND + fraction(tail.strip_suffix(b"Z").unwrap_or(tail))?))
}

/// Ticks of `.1234567`: one to nine digits, what is finer than a tick truncated; nothing is zero.
fn fraction(bytes: &[u8]) -> Option<i64> {
    let Some((point, digits)) = bytes.split_first() else { return Some(0) };
    if *point != b'.' || !(1..=9).contains(&digits.len()) {
        return None;
    }
    let mut ticks = number(&digits[..digits.len().min(7)])?;
    number(digits)?;
    (digits.len()..7).for_each(|_| ticks *= 10);
    Some(ticks)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Days of a year in front of a month.
fn before_month(month: i64, leap: bool) -> Option<i64> {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = BEFORE.get(usize::try_from(month - 1).ok()?)?;
    Some(before + i64::from(leap && month > 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fast_form_is_read_without_the_slow_reader() {
        assert!(plain(b"2024-02-29T23:59:59.9999999Z").is_some() && plain(b"0001-01-01T00:00:00").is_some());
        for other in
            ["2023-02-29T00:00:00Z", "2024-03-05", "2024-03-05T00:00:00+01:00", "2024-13-01T00:00:00"]
        {
            assert_eq!(plain(other.as_bytes()), None, "{other}");
            assert_eq!(instant(other), Timestamp::parse(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn both_readers_agree(
            (year, month, day) in (0..10_000u32, 0..14u32, 0..33u32),
            (hour, minute, second) in (0..25u32, 0..61u32, 0..61u32),
            fraction in prop::option::of("[0-9]{0,10}"),
            zone in "Z?|z|[+-]0[0-9]:00| |Z ",
            mark in "T|t| |_",
        ) {
            let fraction = fraction.map_or(String::new(), |digits| format!(".{digits}"));
            let text = format!(
                "{year:04}-{month:02}-{day:02}{mark}{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
            );
            prop_assert_eq!(instant(&text), Timestamp::parse(&text), "{}", text);
        }
    }
}
