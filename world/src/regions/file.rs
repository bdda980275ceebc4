//! Cases of regions as text: a case file whose last section is `[regions]`.
//!
//! ```toml
//! format = 1
//! # ... a case; `at` of its events is when the application sends them, and it has no faults ...
//!
//! [regions]
//! members = [
//!   { name = "east", delay = ["00:00:00", "00:00:02"], salt = 7, twice = [3], down = [
//!     { at = "2024-01-01T00:01:00Z", back = "2024-01-01T00:02:00Z" },
//!   ], faults = [
//!     { at = "2024-01-01T00:00:30Z", kind = "node-kill", node = 0, down = "00:00:05" },
//!   ] },
//!   { name = "west", delay = ["00:00:01", "00:00:03"] },
//! ]
//! rollout.at = "2024-01-01T00:03:00Z"
//! rollout.batches = ["west", "east"]
//! rollout.readable = true
//! rollout.down = "00:00:05"
//! rollout.soak = "00:01:00"
//! rollout.lag = "00:00:30"
//! rollout.faulty = "crash"
//! rollout.every = "00:00:10"
//! ```
//!
//! The first member is the primary. Invariant: what [`RegionsCase::to_toml`] writes, [`RegionsCase::from_toml`]
//! reads back as equal.

use std::fmt::Write;

use rewindow_query::{Span, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use super::check::{Part, of_fault};
use super::{Faulty, Outage, Region, RegionsCase, Rollout};
use crate::case::Case;
use crate::case_file::{FaultText, clock, fault_fields, quoted, syntax};
use crate::error::CaseError;

/// The header of the section.
const HEADER: &str = "[regions]";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionsText {
    members: Vec<Spanned<RegionText>>,
    rollout: Option<Spanned<RolloutText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionText {
    name: String,
    delay: Vec<Span>,
    #[serde(default)]
    salt: u32,
    #[serde(default)]
    twice: Vec<usize>,
    #[serde(default)]
    down: Vec<Spanned<OutageText>>,
    #[serde(default)]
    faults: Vec<Spanned<FaultText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageText {
    at: Timestamp,
    back: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RolloutText {
    at: Timestamp,
    batches: Vec<String>,
    readable: bool,
    down: Span,
    soak: Span,
    lag: Span,
    faulty: Option<String>,
    every: Option<Span>,
}

impl RegionsCase {
    /// Whether a text is a case of regions: its last section is `[regions]`.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        // The header may stand in a query too; then the text as a whole has no such table.
        section(text).is_some()
            && toml::from_str::<toml::Table>(text).is_ok_and(|t| t.contains_key("regions"))
    }

    /// Reads a case of regions.
    ///
    /// # Errors
    /// As [`Case::from_toml`] for the case, and likewise for the section `[regions]`, which must be the last.
    pub fn from_toml(text: &str) -> Result<RegionsCase, CaseError> {
        let Some((start, end)) = section(text) else {
            let error = CaseError::new("case-regions", "there is no section `[regions]`");
            return Err(error.hint("write it last, or read the file as a case of one region"));
        };
        let base = Case::from_toml(&text[..start])?;
        // Lines before the section are kept empty, so that places are those of the file.
        let blank: String = text[..start].chars().filter(|&c| c == '\n').collect();
        let header = blank.len();
        let own = blank + &text[end..];
        let read: RegionsText = toml::from_str(&own).map_err(|error| syntax(&own, &error))?;
        let places = Places::of(&read, header);
        let case = read.into_case(base, &own)?;
        case.check_parts().map_err(|(part, error)| match part {
            Part::Base(keys) => error.at_key(&text[..start], keys),
            part => error.at(&own, places.of_part(part)),
        })?;
        Ok(case)
    }

    /// Writes the case.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = self.base.to_toml();
        self.write(&mut out).expect("a String takes all that is written");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\n{HEADER}\nmembers = [")?;
        for region in &self.regions {
            let (least, most) = (clock(region.delay.0), clock(region.delay.1));
            write!(out, "  {{ name = {}, delay = [{least}, {most}]", quoted(&region.name))?;
            write!(out, ", salt = {}", region.salt)?;
            if !region.twice.is_empty() {
                write!(out, ", twice = {:?}", region.twice)?;
            }
            if !region.outages.is_empty() {
                writeln!(out, ", down = [")?;
                for Outage { at, back } in &region.outages {
                    writeln!(out, "    {{ at = \"{at}\", back = \"{back}\" }},")?;
                }
                write!(out, "  ]")?;
            }
            if !region.faults.is_empty() {
                writeln!(out, ", faults = [")?;
                for fault in &region.faults {
                    writeln!(out, "    {{ at = \"{}\", {} }},", fault.at, fault_fields(&fault.kind))?;
                }
                write!(out, "  ]")?;
            }
            writeln!(out, " }},")?;
        }
        writeln!(out, "]")?;
        let Some(rollout) = &self.rollout else { return Ok(()) };
        let name = |&region: &usize| quoted(self.regions.get(region).map_or("", |r| r.name.as_str()));
        let batches: Vec<String> = rollout.batches.iter().map(name).collect();
        writeln!(out, "rollout.at = \"{}\"", rollout.at)?;
        writeln!(out, "rollout.batches = [{}]", batches.join(", "))?;
        writeln!(out, "rollout.readable = {}", rollout.readable)?;
        writeln!(out, "rollout.down = {}", clock(rollout.down))?;
        writeln!(out, "rollout.soak = {}", clock(rollout.soak))?;
        writeln!(out, "rollout.lag = {}", clock(rollout.lag))?;
        if let Some(faulty) = rollout.faulty {
            writeln!(out, "rollout.faulty = \"{}\"", faulty.name())?;
        }
        match rollout.faulty {
            Some(Faulty::Crash { every }) => writeln!(out, "rollout.every = {}", clock(every)),
            _ => Ok(()),
        }
    }
}

/// Where the last line begins that is the header of the section, and where the header ends.
fn section(text: &str) -> Option<(usize, usize)> {
    let (mut last, mut at) = (None, 0);
    for line in text.split_inclusive('\n') {
        if let Some(rest) = behind_header(line) {
            last = Some((at, at + line.len() - rest.len()));
        }
        at += line.len();
    }
    last
}

/// What stands behind the header on its line, which is nothing or a comment.
fn behind_header(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.trim_start();
    let rest = name.strip_prefix("regions")?.trim_start().strip_prefix(']')?;
    (rest.trim().is_empty() || rest.trim_start().starts_with('#')).then_some(rest)
}

/// Where the section and its parts begin.
struct Places {
    header: usize,
    /// Of each region, of its outages, of its faults.
    members: Vec<(usize, Vec<usize>, Vec<usize>)>,
    rollout: usize,
}

impl Places {
    fn of(read: &RegionsText, header: usize) -> Places {
        let member = |member: &Spanned<RegionText>| {
            let own = member.get_ref();
            let outages = own.down.iter().map(|outage| outage.span().start).collect();
            (member.span().start, outages, own.faults.iter().map(|fault| fault.span().start).collect())
        };
        let rollout = read.rollout.as_ref().map_or(header, |rollout| rollout.span().start);
        Places { header, members: read.members.iter().map(member).collect(), rollout }
    }

    fn of_part(&self, part: Part) -> usize {
        match part {
            Part::Base(_) | Part::Members => self.header,
            Part::Region(region) => self.members[region].0,
            Part::Outage(region, outage) => self.members[region].1[outage],
            Part::Fault(region, fault) => self.members[region].2[fault],
            Part::Rollout => self.rollout,
        }
    }
}

impl RegionsText {
    /// `text` is what it was read from.
    fn into_case(self, base: Case, text: &str) -> Result<RegionsCase, CaseError> {
        let names: Vec<String> = self.members.iter().map(|member| member.get_ref().name.clone()).collect();
        let region = |member: Spanned<RegionText>| {
            let start = member.span().start;
            member.into_inner().into_region(text).map_err(|error| error.at(text, start))
        };
        let regions = self.members.into_iter().map(region).collect::<Result<_, _>>()?;
        let rollout = self.rollout.map(|rollout| {
            let start = rollout.span().start;
            rollout.into_inner().into_rollout(&names).map_err(|error| error.at(text, start))
        });
        Ok(RegionsCase { base, regions, rollout: rollout.transpose()? })
    }
}

impl RegionText {
    fn into_region(self, text: &str) -> Result<Region, CaseError> {
        let name = self.name;
        let &[least, most] = &self.delay[..] else {
            let found = format!("`delay` of {name} has {} spans", self.delay.len());
            let hint = "the shortest and the longest: `delay = [\"0 s\", \"2 s\"]`";
            return Err(CaseError::new("case-regions", found).hint(hint));
        };
        let outage = |text: Spanned<OutageText>| {
            let OutageText { at, back } = text.into_inner();
            Outage { at, back }
        };
        let fault = |(index, fault): (usize, Spanned<FaultText>)| {
            let start = fault.span().start;
            let read = fault.into_inner().into_fault();
            read.map_err(|error| of_fault(error, index, &name).at(text, start))
        };
        let faults = self.faults.into_iter().enumerate().map(fault).collect::<Result<_, _>>()?;
        let outages = self.down.into_iter().map(outage).collect();
        Ok(Region { name, delay: (least, most), salt: self.salt, twice: self.twice, outages, faults })
    }
}

impl RolloutText {
    fn into_rollout(self, names: &[String]) -> Result<Rollout, CaseError> {
        let find = |name: &String| {
            names.iter().position(|own| own == name).ok_or_else(|| {
                let error = CaseError::new("case-rollout", format!("there is no region `{name}`"));
                error.hint("name it in `members`")
            })
        };
        let wrong = |found: &str| {
            Err(CaseError::new("case-rollout", found.to_owned())
                .hint("crash with `every`, stall, wrong, or none"))
        };
        let faulty = match (self.faulty.as_deref(), self.every) {
            (None, None) => None,
            (Some("crash"), Some(every)) => Some(Faulty::Crash { every }),
            (Some("stall"), None) => Some(Faulty::Stall),
            (Some("wrong"), None) => Some(Faulty::Wrong),
            _ => return wrong("what is faulty about the version is not clear"),
        };
        let batches = self.batches.iter().map(find).collect::<Result<_, _>>()?;
        let RolloutText { at, readable, down, soak, lag, .. } = self;
        Ok(Rollout { at, batches, readable, down, soak, lag, faulty })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Counts of five seconds of `count` events a second apart, in two regions.
    pub(in crate::regions) fn pair(count: i64) -> RegionsCase {
        let begin = Timestamp::parse("2024-01-01T00:00:00Z").unwrap();
        let mut text = String::from(
            "format = 1\nname = \"pair\"\nquery = '''\nSELECT COUNT(*) AS n INTO counts FROM a TIMESTAMP BY t \
             GROUP BY TumblingWindow(second, 5)\n'''\ninputs = [ { name = \"a\", partitions = 1 } ]\n\
             ordering = { late = \"00:00:30\", out_of_order = \"00:00:20\", policy = \"adjust\" }\n\
             deployment.nodes = 1\ndeployment.checkpoint_interval = \"00:00:07\"\n\
             deployment.poll_interval = \"00:00:01\"\ndeployment.batch = 100\ndeployment.rate = 1000\n\
             deployment.heartbeat = \"00:00:10\"\nfaults = []\nevents = [\n",
        );
        for second in 0..count {
            let at = begin.plus(Span::seconds(second));
            writeln!(text, "  {{ in = \"a\", p = 0, at = \"{at}\", data = '{{\"t\":\"{at}\"}}' }},").unwrap();
        }
        text.push_str(
            "]\n\n[regions]\nmembers = [\n  { name = \"east\", delay = [\"00:00:00\", \"00:00:01\"] },\n  \
             { name = \"west\", delay = [\"00:00:00\", \"00:00:03\"], salt = 9 },\n]\n",
        );
        RegionsCase::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn what_is_written_is_read_back_as_equal() {
        let mut case = pair(5);
        let at = |s: i64| case.base.history.entries[0].arrival.plus(Span::seconds(s));
        let kind = crate::case::FaultKind::NodeKill { node: 0, down: Span::seconds(2) };
        let fault = crate::case::Fault { at: at(3), kind };
        let outage = Outage { at: at(1), back: at(2) };
        let rollout = Rollout {
            at: at(4),
            batches: vec![1, 0],
            readable: false,
            down: Span::seconds(1),
            soak: Span::seconds(30),
            lag: Span::seconds(5),
            faulty: Some(Faulty::Crash { every: Span::seconds(6) }),
        };
        for faulty in [rollout.faulty, Some(Faulty::Stall), Some(Faulty::Wrong), None] {
            case.rollout = Some(Rollout { faulty, ..rollout.clone() });
            case.regions[1].twice = vec![0, 3];
            case.regions[1].outages = vec![outage];
            case.regions[0].faults = vec![fault.clone()];
            assert_eq!(RegionsCase::from_toml(&case.to_toml()), Ok(case.clone()), "{}", case.to_toml());
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_line() {
        let text = pair(2).to_toml();
        assert!(RegionsCase::is_one(&text) && !RegionsCase::is_one(&pair(2).base.to_toml()));
        let line = text.lines().position(|line| line.contains("west")).unwrap() + 1;
        let error = RegionsCase::from_toml(&text.replace("salt = 9", "salz = 9")).unwrap_err();
        assert_eq!((error.code, error.place.map(|(line, _)| line)), ("case-syntax", Some(line)));
        let two = RegionsCase::from_toml(&text.replace("west", "east")).unwrap_err();
        assert_eq!(two.code, "case-regions");
        let rollout = "rollout = { at = \"2024-01-01T00:00:00Z\", batches = [\"west\", \"west\"], readable = true, \
                       down = \"00:00:01\", soak = \"00:00:10\", lag = \"00:00:01\" }\n";
        let error = RegionsCase::from_toml(&(text + rollout)).unwrap_err();
        assert_eq!(error.code, "case-rollout", "{error}");
    }

    /// A pair with something of its second region; the last two lines of that are its outages and its faults.
    fn with(outages: &str, faults: &str) -> String {
        let text = pair(2).to_toml();
        let own = format!("salt = 9, down = [\n{outages}\n  ], faults = [\n{faults}\n  ] }}");
        assert!(text.contains("salt = 9 }"));
        text.replace("salt = 9 }", &own)
    }

    #[test]
    fn what_is_wrong_in_a_region_is_said_at_its_line() {
        let good = "    { at = \"2024-01-01T00:00:01Z\", kind = \"sink-ack-lost\" },\n";
        let fault =
            |fields: &str| with("", &format!("{good}    {{ at = \"2024-01-01T00:00:02Z\", {fields} }},"));
        let outage =
            |at: &str, back: &str| with(&format!("    {{ at = \"{at}\", back = \"{back}\" }},"), good);
        let plain = pair(2).to_toml();
        let rollout = |batches: &str, soak: &str| {
            plain.clone()
                + &format!(
                    "rollout.at = \"2024-01-01T00:00:00Z\"\nrollout.batches = [{batches}]\n\
                     rollout.readable = true\nrollout.down = \"00:00:01\"\n\
                     rollout.soak = \"{soak}\"\nrollout.lag = \"00:00:01\"\n"
                )
        };
        let down = "down = \"00:00:01\"";
        let (second, minute) = ("2024-01-01T00:00:01Z", "2024-01-01T00:01:00Z");
        let east = "\"east\", delay = [\"00:00:00\", \"00:00:01\"]";
        let delays = |delays: &str| plain.replace(east, &format!("\"east\", delay = [{delays}]"));
        // The text, where in it the line begins, and words that are said of it.
        let table = [
            (fault("kind = \"nonsense\""), "00:00:02Z\"", "fault 2 of west: there is no fault `nonsense`"),
            (
                fault(&format!("kind = \"node-kill\", node = 7, {down}")),
                "00:00:02Z\"",
                "fault 2 of west: node 7",
            ),
            (fault(&format!("kind = \"rollback\", {down}")), "00:00:02Z\"", "fault 2 of west: an upgrade"),
            (
                fault(&format!("kind = \"scale\", nodes = 2, {down}")),
                "00:00:02Z\"",
                "another number of nodes",
            ),
            (outage(minute, second), "00:01:00Z", "outage of west at 2024-01-01T00:01:00"),
            (delays("\"00:00:02\", \"00:00:01\""), "east", "the longest delay of east is 1 s"),
            (delays("\"00:00:02\""), "east", "the shortest and the longest"),
            (plain.replace("salt = 9", "salt = 9, twice = [7]"), "west", "`twice` of west"),
            (plain.replace("\"west\"", "\"east\""), "salt = 9", "region `east`"),
            (format!("{}[regions]\nmembers = []\n", pair(2).base.to_toml()), "[regions]", "0 regions"),
            (rollout("\"north\"", "00:00:10"), "rollout.", "there is no region `north`"),
            (rollout("\"east\"", "00:00:00"), "rollout.", "soak is 0 s"),
            (
                plain.replace("deployment.heartbeat", "deployment.sink = \"upsert\"\ndeployment.heartbeat"),
                "sink",
                "upsert",
            ),
        ];
        for (text, begins, words) in table {
            let line = text.lines().position(|line| line.contains(begins)).unwrap() + 1;
            let error = RegionsCase::from_toml(&text).expect_err(words);
            assert!(error.to_string().contains(words), "{words}: {error}");
            assert_eq!(error.place.map(|(line, _)| line), Some(line), "{error}\n{text}");
        }
    }

    #[test]
    fn the_header_is_what_toml_takes_for_it() {
        let text = pair(2).to_toml();
        for header in ["[regions] # east and west", "  [regions]", "\t[ regions ]\t#", "[regions]\r"] {
            let text = text.replace("[regions]", header);
            assert!(RegionsCase::is_one(&text), "{header}");
            assert_eq!(RegionsCase::from_toml(&text), Ok(pair(2)), "{header}");
        }
        for header in ["[[regions]]", "[regions.x]", "[\"regions\"]", "[regions"] {
            let text = text.replace("[regions]", header);
            assert_eq!(
                RegionsCase::from_toml(&text).map_err(|error| error.code),
                Err("case-regions"),
                "{header}"
            );
        }
    }
}
