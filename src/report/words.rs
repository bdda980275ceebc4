//! The words of a report: kinds, faults and rows as a reader says them.

use rewindow_query::{Row, Timestamp};

use crate::judge::{Breach, Kind};

/// The finding in one sentence: `` `six_hours` counts an entry twice after a node kill ``.
pub fn title(breach: &Breach) -> String {
    let what = match breach.kind {
        Kind::Panicked => "panics",
        Kind::Refused => "will not open",
        Kind::CheckpointForbidden => "uses a checkpoint it must not use",
        Kind::CheckpointUnused => "does not use the checkpoint it has",
        Kind::PublishRefused => "is refused a checkpoint it may save",
        Kind::ReadTooFar => "reads farther back than one lookback",
        Kind::ReadTooLittle => "reads less far back than one lookback",
        Kind::WrongPosition => "goes on from a wrong position",
        Kind::GapNeedless => "announces a gap where nothing was lost",
        Kind::GapTooWide => "announces a wider gap than was unavoidable",
        Kind::GapSilent => "gives incomplete rows without saying so",
        Kind::FailedNeedlessly => "fails where it must not",
        Kind::DidNotFail => "does not fail where it must",
        Kind::FailedElsewhere => "fails at the wrong row",
        Kind::CountsMore => "counts an entry twice",
        Kind::CountsLess => "leaves out an entry",
        Kind::Differs => "gives a wrong row",
        Kind::Zombie => "lets a node that was replaced go on",
        Kind::Invented => "gives a row nobody owes",
        Kind::Lost => "loses a row",
        Kind::Repeated => "repeats a row without need",
        Kind::OutOfOrder => "gives rows out of order",
        Kind::BeforeStart => "gives a row from before its start",
        Kind::LateRow => "withholds a row that is certain",
        Kind::FrontierBehind => "says that it has given less than it must have",
        Kind::NotVisible => "never shows a row to consumers",
        Kind::VisibleTwice => "shows a row to consumers twice",
        Kind::VisibleWrong => "shows a wrong row to consumers",
        Kind::VisibleLate => "shows a row to consumers too late",
        Kind::VisibleOutOfOrder => "shows rows to consumers out of order",
        Kind::NotLevel => "never catches up",
        Kind::CatchUp => "catches up in another time than estimated",
        Kind::NotDeterministic => "differs from one run to the next",
        Kind::BothFaulty => "has a faulty version in both regions",
        Kind::UpgradedTogether => "has both regions upgraded at once",
        Kind::RegionsDisagree => "says one thing here and another there",
        Kind::ConsumerRepeated => "reaches the consumer twice",
        Kind::FaultUnnoticed => "is not seen to be faulty",
        Kind::ConsumerLost => "does not reach the consumer",
    };
    let after = match breach.fault {
        None => String::new(),
        Some(fault) => format!(" after {}", with_article(fault)),
    };
    format!("`{}` {what}{after}", breach.output_name)
}

fn with_article(fault: &str) -> &str {
    match fault {
        "node kill" => "a node kill",
        "os upgrade" => "an OS upgrade",
        "upgrade, state" => "a service upgrade with state",
        "upgrade, replay" => "a service upgrade without state",
        "restart" => "a user restart",
        "restart, changed" => "a restart as another job",
        "retention" => "the source forgot",
        "sink unavailable" => "the sink was away",
        "sink ack lost" => "an acknowledgement was lost",
        "hang" => "a node hung",
        "rolling upgrade" => "a rolling upgrade",
        "rollback" => "a rollback",
        "scale" => "a change of the number of nodes",
        other => other,
    }
}

/// A row in short: `(us, count 2)`; the first column bare where it is a key.
pub(super) fn short(row: &Row) -> String {
    let keys = row.key.len();
    let members = row.record.members().iter().enumerate().map(|(index, (name, value))| {
        let value = match value {
            rewindow_query::Value::Text(text) => text.to_string(),
            other => other.to_string(),
        };
        if index < keys && row.key.contains(&row.record.members()[index].1) {
            value
        } else {
            format!("{name} {value}")
        }
    });
    clip(&format!("({})", members.collect::<Vec<_>>().join(", ")), 60)
}

/// Where the years that are written as dates end.
const YEAR_10000: Timestamp = Timestamp(3_155_378_976_000_000_000);

/// An instant with no more fraction than it has: `2018-01-31T02:16:57Z`. Outside the years 1 to 9999, how far.
pub(super) fn instant(at: Timestamp) -> String {
    if at >= YEAR_10000 && at != Timestamp::MAX {
        return format!("{} past the year 9999", at.since(YEAR_10000));
    }
    if at < Timestamp(0) && at != Timestamp::MIN {
        return format!("{} before the year 1", Timestamp(0).since(at));
    }
    let text = at.to_string();
    match text.strip_suffix('Z').and_then(|text| text.split_once('.')) {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => format!("{whole}Z"),
            some => format!("{whole}.{some}Z"),
        },
        None => text,
    }
}

/// Text for one cell: on one line, no bars that would end it, at most so many characters.
pub(super) fn cell(text: &str) -> String {
    clip(text, 120).replace('|', "\\|").replace(['\n', '\r'], " ")
}

pub(super) fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
