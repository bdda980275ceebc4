//! Both evaluators against definitions of a few lines, which share nothing with either: what a sum is nearest to,
//! which texts a pattern has, which day a tick falls on.

use num_bigint::BigInt;
use rewindow::choices::{Choices, Seeded};
use rewindow_query::time::SECOND;
use rewindow_query::{Record, Timestamp, Value};

use crate::asked::Question;
use crate::support::Search;

/// What model and engine say of one item for a whole history in one window; `None` where the job fails.
fn of_group(item: &str, events: Vec<Record>) -> Result<Option<Value>, String> {
    let question = Question::new(vec![item.to_owned()], "FROM s GROUP BY TumblingWindow(day, 7)", events);
    let asked = question.ask(&mut Seeded::new(3, 3))?.remove(0);
    Ok(asked.rows.first().map(|row| row.record.members()[0].1.clone()))
}

/// What both say of one item for each event of its own.
fn of_each(items: Vec<String>, events: Vec<Record>) -> Result<Vec<Vec<Value>>, String> {
    let asked = Question::new(items, "FROM s", events).ask(&mut Seeded::new(3, 3))?.remove(0);
    let values = |row: &rewindow_query::Row| row.record.members().iter().map(|(_, v)| v.clone()).collect();
    Ok(asked.rows.iter().map(values).collect())
}

fn event(members: &[(&str, Value)]) -> Record {
    members.iter().map(|(name, value)| ((*name).into(), value.clone())).collect()
}

// ---- sums and variances ---------------------------------------------------------------------------------

/// In units of 2^-1075: a float, and the middle between two, is a whole number of them.
fn units(float: f64) -> BigInt {
    let (mut whole, mut exponent) = (float.abs(), 1075_i64);
    // Doubling and halving are exact as long as nothing is lost at the bottom.
    while whole.fract() != 0.0 || whole < 4_503_599_627_370_496.0 && exponent > 0 && whole != 0.0 {
        (whole, exponent) = (whole * 2.0, exponent - 1);
    }
    while whole >= 9_007_199_254_740_992.0 {
        (whole, exponent) = (whole / 2.0, exponent + 1);
    }
    let magnitude = BigInt::from(whole as u64) << exponent;
    if float < 0.0 { -magnitude } else { magnitude }
}

/// Whether no float is nearer to `over / under` (in units of 2^-1075, or of its square for a root), and of two as
/// near it is the even one; `None` says that it would be infinite.
fn is_nearest(result: Option<f64>, over: &BigInt, under: &BigInt, root: bool) -> bool {
    let power = |units: BigInt| if root { &units * &units } else { units };
    let side = |units: BigInt| power(units) * under;
    let Some(result) = result else {
        // Half a step above the largest float.
        let limit = units(f64::MAX) + (units(f64::MAX) - units(f64::MAX.next_down())) / 2;
        return over.magnitude() >= side(limit).magnitude();
    };
    let over = if over < &BigInt::ZERO { -over } else { over.clone() };
    let result = result.abs();
    let at = units(result);
    let above = match result.next_up() {
        up if up.is_finite() => units(up),
        _ => &at * 2 - units(result.next_down()),
    };
    let (high, even) = (side((&at + above) / 2), result.to_bits() % 2 == 0);
    let low = if result == 0.0 { BigInt::ZERO } else { side((&at + units(result.next_down())) / 2) };
    let below = if even { over <= high } else { over < high };
    let past = if even { over >= low } else { over > low };
    below && past
}

fn number(choices: &mut dyn Choices, wild: bool) -> Value {
    match choices.index(4) {
        0 if wild => Value::Int(*choices.pick(&[i64::MAX, i64::MIN, 9_007_199_254_740_993, -1])),
        1 if wild => {
            let float = f64::from_bits(choices.range(i64::MIN, i64::MAX).cast_unsigned());
            Value::Float(if float.is_finite() { float } else { 0.1 })
        }
        2 if wild => Value::Float(*choices.pick(&[f64::MAX, f64::MIN, 5e-324, -5e-324, 1e16, 1e292, -1e292])),
        3 => Value::Float(*choices.pick(&[0.1, 0.2, -0.3, 1.5, 2.0, -0.0])),
        _ => Value::Int(choices.range(-5, 5)),
    }
}

/// A zero result is right only if it is +0: a sum has no sign of its own there (C-SUM).
#[test]
fn no_float_is_nearer_to_a_sum_or_a_variance() {
    let search = Search::new("functions-sums", 1_500);
    let mut seen = [0_u64; 3];
    search.run(
        |_, seeded| {
            let choices: &mut dyn Choices = seeded;
            let wild = choices.chance(1, 2);
            let values: Vec<Value> =
                (0..choices.range(1, 6)).map(|_| number(choices, wild)).chain([Value::Float(0.5)]).collect();
            let n = BigInt::from(values.len());
            let exact: Vec<BigInt> = values
                .iter()
                .map(|value| match value {
                    Value::Int(int) => BigInt::from(*int) << 1075,
                    Value::Float(float) => units(*float),
                    _ => BigInt::ZERO,
                })
                .collect();
            let sum: BigInt = exact.iter().sum();
            let squares: BigInt = exact.iter().map(|unit| unit * unit).sum();
            let spread = &squares * &n - &sum * &sum;
            let (all, but_one): (BigInt, BigInt) = (&n * &n, &n * BigInt::from(values.len() - 1));
            // A variance is a square of floats: one more factor of 2^-1075.
            let unit = BigInt::from(1) << 1075;
            let claims: [(&str, &BigInt, BigInt, bool); 6] = [
                ("SUM", &sum, BigInt::from(1), false),
                ("AVG", &sum, n.clone(), false),
                ("VARP", &spread, &all * &unit, false),
                ("VAR", &spread, &but_one * &unit, false),
                ("STDEVP", &spread, all.clone(), true),
                ("STDEV", &spread, but_one.clone(), true),
            ];
            let mut seen = [0; 3];
            for (name, over, under, root) in claims {
                let events = values.iter().map(|value| event(&[("v", value.clone())])).collect();
                let result = match of_group(&format!("{name}(v)"), events)? {
                    Some(Value::Float(float)) => Some(float),
                    None => None,
                    Some(other) => return Err(format!("{name} of {values:?} is {other:?}")),
                };
                let signed = result.is_some_and(|r| {
                    r == 0.0 && r.is_sign_negative()
                        || r != 0.0 && !root && (r < 0.0) != (*over < BigInt::ZERO)
                });
                if signed || !is_nearest(result, over, &under, root) {
                    return Err(format!("{name} of {values:?} is not {result:?}"));
                }
                seen[result.map_or(0, |result| 1 + usize::from(result == 0.0))] += 1;
            }
            Ok(seen)
        },
        |counts: [u64; 3]| seen.iter_mut().zip(counts).for_each(|(seen, count)| *seen += count),
    );
    let [infinite, ordinary, zero] = seen;
    assert!(infinite > 0 && ordinary > 0 && zero > 0, "{seen:?}");
}

#[test]
fn the_yardstick_itself_measures() {
    assert_eq!(units(5e-324), BigInt::from(2));
    assert_eq!(units(1.0), BigInt::from(1) << 1075);
    assert_eq!(units(-2.5), BigInt::from(-5) << 1074);
    let one = BigInt::from(1);
    let third = BigInt::from(1) << 1075;
    assert!(is_nearest(Some(1.0 / 3.0), &third, &BigInt::from(3), false));
    assert!(!is_nearest(Some((1.0_f64 / 3.0).next_up()), &third, &BigInt::from(3), false));
    assert!(is_nearest(Some(2.0_f64.sqrt()), &(BigInt::from(2) << 2150), &one, true));
    assert!(!is_nearest(Some(2.0_f64.sqrt().next_down()), &(BigInt::from(2) << 2150), &one, true));
    assert!(
        is_nearest(None, &(units(f64::MAX) * 2), &one, false) && !is_nearest(None, &units(1.0), &one, false)
    );
}

// ---- percentiles ----------------------------------------------------------------------------------------

/// DISC: the smallest value up to which the share of the values is at least p. CONT of bigints: the straight line
/// through the two neighbours, to within the rounding of two products and a sum.
#[test]
fn percentiles_are_what_they_are_said_to_be() {
    let search = Search::new("functions-percentiles", 1_500);
    search.run(
        |_, seeded| {
            let choices: &mut dyn Choices = seeded;
            let mut values: Vec<i64> = (0..choices.range(1, 8)).map(|_| choices.range(-20, 20)).collect();
            let events: Vec<Record> = values.iter().map(|v| event(&[("v", Value::Int(*v))])).collect();
            let (part, whole) = *choices.pick(&[(0, 1), (1, 1), (1, 2), (1, 4), (19, 20), (1, 10), (3, 4)]);
            let share = part as f64 / whole as f64;
            let down = choices.chance(1, 2);
            let over = format!("OVER (ORDER BY v{})", if down { " DESC" } else { "" });
            let disc = of_group(&format!("PERCENTILE_DISC({share}) {over}"), events.clone())?;
            let cont = of_group(&format!("PERCENTILE_CONT({share}) {over}"), events)?;
            values.sort_unstable();
            if down {
                values.reverse();
            }
            let n = values.len() as i64;
            let first =
                |v: i64| values.iter().filter(|&&w| if down { w >= v } else { w <= v }).count() as i64;
            let expected = values.iter().find(|&&v| first(v) * whole >= part * n).copied();
            if disc != expected.map(Value::Int) {
                return Err(format!("the {share} of {values:?} is not {disc:?}"));
            }
            // At place part * (n - 1) / whole.
            let place = part * (n - 1);
            let below = values[usize::try_from(place / whole).unwrap()];
            let above = values[usize::try_from((place + whole - 1) / whole).unwrap()];
            let exact = below as f64 + (above - below) as f64 * (place % whole) as f64 / whole as f64;
            match cont {
                Some(Value::Float(cont)) if (cont - exact).abs() < 1e-9 => Ok(()),
                other => Err(format!("between {below} and {above} for {share} lies not {other:?}")),
            }
        },
        |()| {},
    );
}

// ---- LIKE -----------------------------------------------------------------------------------------------

/// Whether a text is like a pattern, by trying everything.
fn like(text: &[char], pattern: &[char], escape: Option<char>) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return text.is_empty() };
    let one = |fits: bool, rest: &[char]| fits && like(&text[1..], rest, escape);
    match first {
        c if Some(c) == escape => match rest.split_first() {
            Some((c, rest)) => one(text.first() == Some(c), rest),
            None => false,
        },
        '%' => (0..=text.len()).any(|at| like(&text[at..], rest, escape)),
        '_' => one(!text.is_empty(), rest),
        '[' => {
            let Some((members, rest)) = set(rest, escape) else { return false };
            let Some(&c) = text.first() else { return false };
            let (negated, members) = members;
            one(members.iter().any(|&(low, high)| low <= c && c <= high) != negated, rest)
        }
        c => one(text.first() == Some(&c), rest),
    }
}

type Set = (bool, Vec<(char, char)>);

/// Behind the `[`: the members, and what stands behind the `]`.
fn set(pattern: &[char], escape: Option<char>) -> Option<(Set, &[char])> {
    let negated = pattern.first() == Some(&'^');
    // What each place means: a character that is itself, or one that may mean something.
    let (mut members, mut literals) = (Vec::new(), Vec::new());
    let mut at = usize::from(negated);
    loop {
        match *pattern.get(at)? {
            ']' => break,
            c if Some(c) == escape => {
                literals.push((*pattern.get(at + 1)?, true));
                at += 2;
            }
            c => {
                literals.push((c, false));
                at += 1;
            }
        }
    }
    let mut left = literals.as_slice();
    while let [(low, _), behind @ ..] = left {
        // A dash between two is a range; the one in front of it has been taken already.
        if let [('-', false), (high, _), behind @ ..] = behind {
            members.push((*low, *high));
            left = behind;
        } else {
            members.push((*low, *low));
            left = behind;
        }
    }
    Some(((negated, members), &pattern[at + 1..]))
}

#[test]
fn like_finds_what_trying_everything_finds() {
    let search = Search::new("functions-like", 4_000);
    let (mut held, mut not) = (0, 0);
    search.run(
        |_, seeded| {
            let choices: &mut dyn Choices = seeded;
            let word = |choices: &mut dyn Choices, letters: &[char], most: i64| -> String {
                (0..choices.range(0, most)).map(|_| *choices.pick(letters)).collect()
            };
            let text = word(choices, &['a', 'b', '-', ']', '!', '\u{301}'], 6);
            let pattern = word(choices, &['a', 'b', '%', '_', '[', ']', '-', '^', '!', '\u{301}'], 8);
            let escape = if choices.chance(1, 3) { Some(*choices.pick(&['!', '-', '%', '^'])) } else { None };
            let clause = escape.map_or(String::new(), |c| format!(" ESCAPE '{c}'"));
            let item = |not: &str| format!("CASE WHEN t {not}LIKE p{clause} THEN 1 ELSE 0 END");
            let places = "PATINDEX('%' + p, t)".to_owned();
            let members = [("t", Value::text(text.as_str())), ("p", Value::text(pattern.as_str()))];
            let found = of_each(vec![item(""), item("NOT "), places], vec![event(&members)])?;
            let (t, p): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
            let expected = like(&t, &p, escape);
            let place = match p.is_empty() {
                true => 1,
                false => (0..=t.len()).find(|&at| like(&t[at..], &p, None)).map_or(0, |at| at as i64 + 1),
            };
            let expected = [i64::from(expected), i64::from(!expected), place].map(Value::Int);
            match found.as_slice() {
                [row] if row[..] == expected => Ok(expected[0] == Value::Int(1)),
                _ => Err(format!("{text:?} LIKE {pattern:?}{clause}: {found:?}, by hand {expected:?}")),
            }
        },
        |is: bool| if is { held += 1 } else { not += 1 },
    );
    assert!(held > 0 && not > 0, "{held} {not}");
}

// ---- dates ----------------------------------------------------------------------------------------------

/// Year, month, day of the month and of the year, by going through the calendar year by year.
fn civil(mut day: i64) -> (i64, i64, i64, i64) {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1 + day / 146_097 * 400; // 400 years always last the same
    day %= 146_097;
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let of_year = day + 1;
    let mut month = 1;
    loop {
        let days = match month {
            2 => 28 + i64::from(leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if day < days {
            return (year, month, day + 1, of_year);
        }
        day -= days;
        month += 1;
    }
}

const UNITS: [&str; 12] = [
    "year",
    "quarter",
    "month",
    "dayofyear",
    "day",
    "week",
    "weekday",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
];

#[test]
fn parts_of_dates_are_those_of_the_calendar() {
    let search = Search::new("functions-dates", 4_000);
    search.run(
        |_, seeded| {
            let choices: &mut dyn Choices = seeded;
            let last = 3_652_058; // 9999-12-31
            let day = match choices.index(3) {
                0 => choices.range(0, last),
                1 => choices.range(738_000, 740_000),
                _ => *choices.pick(&[0, 30, 31, 58, 59, 364, 365, last - 1, last, 693_594, 730_178]),
            };
            let of_day = *choices.pick(&[0, 1, 863_999_999_999, 432_000_000_000, 372_301_234_567]);
            let at = Timestamp(day * 86_400 * SECOND + of_day);
            let (year, month, of_month, of_year) = civil(day);
            // 0001-01-01 was a Monday, and Sunday is 1.
            let weekday = (day + 1) % 7 + 1;
            let first_weekday = (day - (of_year - 1) + 1).rem_euclid(7);
            let seconds = of_day / SECOND;
            let expected = [
                year,
                (month - 1) / 3 + 1,
                month,
                of_year,
                of_month,
                (of_year - 1 + first_weekday) / 7 + 1,
                weekday,
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60,
                of_day % SECOND / 10_000,
                of_day % SECOND / 10,
            ];
            let items = UNITS.iter().map(|unit| format!("DATEPART({unit}, t)")).collect();
            let found = of_each(items, vec![event(&[("t", Value::text(at.to_string()))])])?;
            if found.first().map(Vec::as_slice) != Some(&expected.map(Value::Int)[..]) {
                return Err(format!("{at}: {found:?}, by hand {expected:?}"));
            }
            Ok(())
        },
        |()| {},
    );
}

/// DATEADD goes as many boundaries as it is told: DATEDIFF counts them back.
#[test]
fn datediff_counts_what_dateadd_added() {
    let search = Search::new("functions-dateadd", 3_000);
    search.run(
        |_, seeded| {
            let choices: &mut dyn Choices = seeded;
            let unit = *choices.pick(&UNITS);
            let n = choices.range(-40, 40);
            let at = Timestamp(choices.range(0, 315_537_897_599 * SECOND));
            let item = format!("DATEDIFF({unit}, t, DATEADD({unit}, {n}, t))");
            let found = of_each(vec![item], vec![event(&[("t", Value::text(at.to_string()))])])?;
            match found.as_slice() {
                // Within forty years of an end of the calendar it may fail.
                [] if !(40..9_960).contains(&civil(at.0 / (86_400 * SECOND)).0) => Ok(()),
                [row] if row[0] == Value::Int(n) => Ok(()),
                _ => Err(format!("{n} {unit}s from {at}: {found:?}")),
            }
        },
        |()| {},
    );
}

// ---- places in texts --------------------------------------------------------------------------------------

/// SUBSTRING and its like by numbering characters from 1.
#[test]
fn texts_are_cut_by_the_numbers_of_their_characters() {
    let search = Search::new("functions-texts", 3_000);
    search.run(
        |_, seeded| {
            let choices: &mut dyn Choices = seeded;
            let letters = ['a', 'b', 'é', '\u{301}', '𝔘'];
            let chars: Vec<char> = (0..choices.range(0, 6)).map(|_| *choices.pick(&letters)).collect();
            let text: String = chars.iter().collect();
            let (start, length) = (choices.range(-3, 8), choices.range(0, 8));
            let numbered = |from: i64, to: i64| -> Value {
                let inside = |(at, _): &(i64, &char)| from <= *at && *at <= to;
                Value::text((1_i64..).zip(&chars).filter(inside).map(|(_, c)| *c).collect::<String>())
            };
            let n = chars.len() as i64;
            let pattern: Vec<char> = (0..choices.range(0, 2)).map(|_| *choices.pick(&letters)).collect();
            let at = |place: i64| {
                let behind = &chars[usize::try_from(place - 1).unwrap()..];
                !pattern.is_empty() && behind.starts_with(&pattern)
            };
            let found = (start.max(1)..=n).find(|&place| at(place)).unwrap_or(0);
            let expected = vec![
                numbered(start, start + length - 1),
                numbered(1, length),
                numbered(n - length + 1, n),
                Value::Int(found),
                Value::text(chars.iter().rev().collect::<String>()),
                Value::Int(n),
            ];
            let items = [
                format!("SUBSTRING(t, {start}, {length})"),
                format!("LEFT(t, {length})"),
                format!("RIGHT(t, {length})"),
                format!("CHARINDEX(p, t, {start})"),
                "REVERSE(t)".to_owned(),
                "LEN(t)".to_owned(),
            ];
            let pattern: String = pattern.iter().collect();
            let members = [("t", Value::text(text.as_str())), ("p", Value::text(pattern.as_str()))];
            let said = of_each(items.to_vec(), vec![event(&members)])?;
            if said != [expected.clone()] {
                return Err(format!(
                    "{text:?}, {start}, {length}, {pattern:?}: {said:?}, by hand {expected:?}"
                ));
            }
            Ok(())
        },
        |()| {},
    );
}
