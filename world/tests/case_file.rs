//! Case files: round trip, and every way a text can be no case.
//!
//! Catches what no run can: a field that is written but not read, an error without a place.

use std::sync::Arc;

use proptest::prelude::*;
use rewindow_query::Level;
use rewindow_query::event::Reference;
use rewindow_query::functions::Script;
use rewindow_query::{Entry, History, Ordering, Payload, Policy, Span, Timestamp, json};
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, SinkKind, StartMode};
use rewindow_world::language::{Datediff, Language};

const GOOD: &str = r#"# a comment may stand first
format = 1
name = "two"
query = '''
SELECT 1 INTO out FROM Feed'''
inputs = [
  { name = "Feed", partitions = 2 },
]
ordering = { late = "00:00:05", out_of_order = "0 s", policy = "adjust" }
deployment.nodes = 2
deployment.checkpoint_interval = "00:05:00"
deployment.poll_interval = "1 min"
deployment.batch = 10
deployment.rate = 1000
deployment.retention = "1.00:00:00"
deployment.heartbeat = "00:10:00"
faults = [
  { at = "2018-01-31T02:17:10Z", kind = "node-kill", node = 1, down = "00:00:30" },
  { at = "2018-01-31T02:18:10Z", kind = "restart", stopped = "00:00:30", start = "now" },
]
events = [
  { in = "feed", p = 0, at = "2018-01-31T02:14:00Z", data = '{"id":"us1"}' },
  { in = "Feed", p = 0, at = "2018-01-31T02:16:00Z", malformed = '{"id":' },
  { in = "Feed", p = 1, at = "2018-01-31T02:15:00Z", estimate = true },
]
"#;

#[test]
fn a_file_is_read_in_full() {
    let case = Case::from_toml(GOOD).unwrap();
    assert_eq!(&*case.query, "SELECT 1 INTO out FROM Feed");
    assert_eq!(case.deployment.poll_interval, Span::minutes(1));
    assert_eq!(
        case.faults[1].kind,
        FaultKind::UserRestart { stopped: Span::seconds(30), start: StartMode::Now }
    );
    let offsets: Vec<(u32, u64)> = case.history.entries.iter().map(|e| (e.partition, e.offset)).collect();
    assert_eq!(offsets, [(0, 0), (0, 1), (1, 0)]);
    assert_eq!(Case::from_toml(&case.to_toml()), Ok(case));
}

#[test]
fn the_example_of_the_page_is_a_case() {
    let page = include_str!("../src/case_file.rs");
    let lines = page.lines().map_while(|line| line.strip_prefix("//!"));
    let fenced = lines.skip_while(|line| *line != " ```toml").skip(1).take_while(|line| *line != " ```");
    let text: Vec<&str> = fenced.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let case = Case::from_toml(&text.join("\n")).unwrap();
    assert_eq!((case.history.entries.len(), case.faults.len()), (3, 1));
}

#[test]
fn what_is_no_case_is_refused_with_code_and_place() {
    let table = [
        ("format = 1\n", "format = 2\n", "case-format", Some((2, 1)), "format 2"),
        ("format = 1\n", "", "case-format", Some((2, 1)), "number of its format"),
        ("format = 1\n", "format = \"x\"\n", "case-format", Some((2, 1)), "number of its format"),
        ("name = \"two\"", "name = \"two\"\nnames = 3", "case-syntax", Some((4, 1)), "names"),
        ("name = \"two\"\n", "", "case-syntax", None, "name"),
        ("policy = \"adjust\"", "policy = \"guess\"", "case-syntax", Some((9, 64)), "guess"),
        ("\"00:05:00\"", "\"soon\"", "case-syntax", Some((11, 34)), "soon"),
        ("deployment.batch = 10", "deployment.batch = 0", "case-bound", None, "batch"),
        ("deployment.rate = 1000", "deployment.rate = 0", "case-bound", None, "rate"),
        ("deployment.nodes = 2", "deployment.nodes = 100000", "case-bound", None, "nodes"),
        ("heartbeat = \"00:10:00\"", "heartbeat = \"00:00:00\"", "case-bound", None, "heartbeat"),
        ("late = \"00:00:05\"", "late = \"21 days\"", "case-bound", None, "late"),
        ("partitions = 2 },", "partitions = 0 },", "case-bound", None, "partitions"),
        (
            "partitions = 2 },",
            "partitions = 2 }, { name = \"FEED\", partitions = 1 },",
            "case-input",
            None,
            "twice",
        ),
        (
            "ordering =",
            "references = [{ name = \"feed\", versions = [] }]\nordering =",
            "case-reference",
            None,
            "feed",
        ),
        (
            "ordering =",
            "references = [{ name = \"r\", versions = [{ from = \"2018-01-31\", rows = ['[]'] }] }]\nordering =",
            "case-reference",
            Some((9, 15)),
            "no record",
        ),
        ("node = 1", "node = 2", "case-fault", Some((18, 3)), "node 2"),
        ("node = 1, ", "", "case-fault", Some((18, 3)), "`node` is missing"),
        ("node = 1", "node = 1, keep = \"1 s\"", "case-fault", Some((18, 3)), "has no `keep`"),
        ("\"node-kill\"", "\"flood\"", "case-fault", Some((18, 3)), "flood"),
        ("start = \"now\"", "start = \"then\"", "case-fault", Some((19, 3)), "then"),
        ("down = \"00:00:30\"", "down = \"-00:00:30\"", "case-bound", Some((18, 3)), "down"),
        ("02:18:10Z", "02:16:10Z", "case-fault", Some((19, 3)), "before the one in front"),
        ("in = \"feed\"", "in = \"fed\"", "case-entry", Some((22, 3)), "fed"),
        ("p = 1", "p = 2", "case-entry", Some((24, 3)), "no partition 2"),
        ("02:16:00Z", "02:13:00Z", "case-entry", Some((23, 3)), "before the entry in front"),
        ("'{\"id\":\"us1\"}'", "'{\"id\":'", "case-entry", Some((22, 3)), "no event"),
        ("'{\"id\":\"us1\"}'", "'[1]'", "case-entry", Some((22, 3)), "object"),
        ("estimate = true", "estimate = false", "case-entry", Some((24, 3)), "not clear"),
        ("estimate = true", "estimate = true, data = '{}'", "case-entry", Some((24, 3)), "not clear"),
        ("at = \"2018-01-31T02:14:00Z\"", "at = \"2018-13-31\"", "case-syntax", Some((22, 30)), "ISO 8601"),
        ("events = [", "events = [[", "case-syntax", Some((25, 2)), "unclosed array"),
    ];
    for (from, to, code, place, word) in table {
        assert!(GOOD.contains(from), "{from}");
        let error = Case::from_toml(&GOOD.replacen(from, to, 1)).expect_err(to);
        assert_eq!(error.code, code, "{to}: {error}");
        assert!(error.to_string().contains(word), "{to}: {error}");
        if place.is_some() {
            assert_eq!(error.place, place, "{to}: {error}");
        }
    }
    for foreign in ["", "\u{0}", "\u{feff}", "format", "{\"format\": 1}", "format = 1", "# Report\n```toml"] {
        assert!(Case::from_toml(foreign).is_err(), "{foreign:?}");
    }
}

/// What is not of the form wanted, or not within its bounds, is said where it stands, with what may stand there.
#[test]
fn values_are_refused_at_their_line_with_what_may_stand_there() {
    let span = "`hh:mm:ss` or a number with a unit";
    let table = [
        ("down = \"00:00:30\"", "down = 60", "case-syntax", 18, span),
        ("node = 1", "node = -1", "case-syntax", 18, "a whole number from 0 to 4294967295"),
        ("deployment.rate = 1000", "deployment.rate = -1", "case-syntax", 14, "a whole number, at least 0"),
        ("\"1 min\"", "90", "case-syntax", 12, span),
        ("at = \"2018-01-31T02:14:00Z\"", "at = 2018-01-31T02:14:00Z", "case-syntax", 22, "ISO 8601"),
        ("at = \"2018-01-31T02:14:00Z\"", "at = true", "case-syntax", 22, "ISO 8601"),
        ("deployment.batch = 10", "deployment.batch = 0", "case-bound", 13, "at least 1"),
        ("deployment.rate = 1000", "deployment.rate = 0", "case-bound", 14, "1 to 1000000000000"),
        ("deployment.nodes = 2", "deployment.nodes = 0", "case-bound", 10, "1 to 256"),
        (
            "deployment.nodes = 2",
            "deployment.nodes = 2\ndeployment.keyed = 300",
            "case-bound",
            11,
            "0 to 256",
        ),
        ("\"1 min\"", "\"0 s\"", "case-bound", 12, "1 tick to 3660 d"),
        ("\"00:05:00\"", "\"4000 d\"", "case-bound", 11, "3660 d"),
        ("heartbeat = \"00:10:00\"", "heartbeat = \"00:00:00\"", "case-bound", 16, "1 tick"),
        ("\"1.00:00:00\"", "\"-1 s\"", "case-bound", 15, "0 s to 3660 d"),
        ("late = \"00:00:05\"", "late = \"21 days\"", "case-bound", 9, "20 d"),
        ("out_of_order = \"0 s\"", "out_of_order = \"-1 s\"", "case-bound", 9, "0 s"),
        ("partitions = 2 },", "partitions = 0 },", "case-bound", 7, "1 to 1024"),
        (
            "partitions = 2 },",
            "partitions = 2 },\n{ name = \"FEED\", partitions = 1 },",
            "case-input",
            8,
            "twice",
        ),
    ];
    for (from, to, code, line, word) in table {
        assert!(GOOD.contains(from), "{from}");
        let error = Case::from_toml(&GOOD.replacen(from, to, 1)).expect_err(to);
        assert_eq!((error.code, error.place.map(|(line, _)| line)), (code, Some(line)), "{to}: {error}");
        assert!(error.to_string().contains(word), "{to}: {error}");
    }
    // A table of its own does as well as keys with dots.
    let own = "faults = []\nevents = []\n[deployment]\nnodes = 0\n";
    let text = GOOD.replace("deployment.nodes = 2\n", "").replace("deployment.", "");
    let (head, rest) = text.split_once("checkpoint_interval").unwrap();
    let (settings, _) = rest.split_once("faults = [").unwrap();
    let error = Case::from_toml(&format!("{head}{own}checkpoint_interval{settings}")).unwrap_err();
    assert_eq!((error.code, error.place), ("case-bound", Some((13, 9))), "{error}");
}

#[test]
fn floats_are_read_to_the_last_bit() {
    let text = GOOD.replace("\"us1\"", "2.4650190211439362e299");
    let case = Case::from_toml(&text).unwrap();
    let Payload::Event(event) = &case.history.entries[0].payload else { panic!("an event") };
    assert_eq!(event.get("id"), Some(&rewindow_query::Value::Float(2.465_019_021_143_936_2e299)));
}

fn span() -> impl Strategy<Value = Span> {
    (1..Span::LATE_MAX.0).prop_map(Span)
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..315_537_897_600 * rewindow_query::time::SECOND).prop_map(Timestamp)
}

fn kind() -> impl Strategy<Value = FaultKind> {
    let start = prop_oneof![
        Just(StartMode::Now),
        Just(StartMode::WhenLastStopped),
        instant().prop_map(StartMode::Custom)
    ];
    prop_oneof![
        (0..2_u32, span()).prop_map(|(node, down)| FaultKind::NodeKill { node, down }),
        span().prop_map(|down| FaultKind::OsUpgrade { down }),
        (any::<bool>(), span()).prop_map(|(readable, down)| FaultKind::ServiceUpgrade { readable, down }),
        (span(), start.clone()).prop_map(|(stopped, start)| FaultKind::UserRestart { stopped, start }),
        (span(), start, prop::option::of("[ -~\\n]{0,30}"), any::<bool>()).prop_map(
            |(stopped, start, query, more)| FaultKind::JobChange {
                stopped,
                start,
                partitions: (query.is_none() || more).then_some(9),
                query: query.map(Arc::from),
            }
        ),
        span().prop_map(|keep| FaultKind::RetentionCut { keep }),
        span().prop_map(|span| FaultKind::SinkUnavailable { span }),
        Just(FaultKind::SinkAckLost),
    ]
}

fn payload() -> impl Strategy<Value = Payload> {
    let text = "[a-z'\"\\\\\u{0}-\u{20}\u{7f}-\u{9f}é\u{1f600}]{0,6}";
    let event = (text, text, any::<i64>(), -1e300..1e300_f64).prop_map(|(name, text, int, float)| {
        let members = serde_json_text(&name, &text, int, float);
        Payload::Event(Arc::new(json::read_event(&members).expect("an object")))
    });
    prop_oneof![event, text.prop_map(|text| Payload::Malformed(text.into())), Just(Payload::Estimate)]
}

/// An object as JSON text, made with the reader's own writer.
fn serde_json_text(name: &str, text: &str, int: i64, float: f64) -> String {
    use rewindow_query::{Record, Value};
    let nested = Record::new(vec![("x".into(), Value::Float(float))]);
    let list = Value::Array([Value::Null, Value::Bit(true), Value::Record(Arc::new(nested))].into());
    let members = vec![
        (format!("m{name}").into(), Value::text(text)),
        ("i".into(), Value::Int(int)),
        ("l".into(), list),
    ];
    Record::new(members).to_string()
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        texts in ("\\PC{0,12}", "[ -~\n\t'\"\\\\\r\u{7f}]{0,40}"),
        mut faults in prop::collection::vec((instant(), kind()), 0..5),
        mut events in prop::collection::vec((instant(), 0..3_u32, payload()), 0..8),
        spans in (span(), span(), span(), prop::option::of(span())),
        versions in prop::collection::vec((instant(), prop::collection::vec(payload(), 0..3)), 0..3),
    ) {
        let script = Script { name: "udf.f".to_owned(), source: texts.1.as_str().into() };
        let row = |payload| match payload {
            Payload::Event(record) => Some(record),
            Payload::Malformed(_) | Payload::Estimate => None,
        };
        let versions = versions.into_iter().map(|(from, rows)| (from, rows.into_iter().filter_map(row).collect()));
        let reference = Reference { versions: versions.collect() };
        faults.sort_by_key(|(at, _)| *at);
        events.sort_by_key(|(at, _, _)| *at);
        let mut next = [0; 3];
        let entries = events.into_iter().map(|(arrival, partition, payload)| {
            next[partition as usize] += 1;
            Entry { input: 1, partition, offset: next[partition as usize] - 1, arrival, payload }
        });
        let input = |name: &str, partitions| CaseInput { name: name.to_owned(), partitions };
        let case = Case {
            name: texts.0,
            query: texts.1.into(),
            inputs: vec![input("it's", 1), input("a \"b\"\\", 3)],
            language: Language { level: Level::V1_0, datediff: Datediff::Elapsed, scripts: vec![script] },
            references: vec!["who's".to_owned(), "none".to_owned()],
            ordering: Ordering { late: spans.0, out_of_order: spans.1, policy: Policy::Drop },
            deployment: Deployment {
                nodes: 2,
                keyed: 0,
                link_delay: Span::ZERO,
                checkpoint_interval: spans.2,
                poll_interval: spans.0,
                batch: u32::MAX,
                rate: 12,
                retention: spans.3,
                retention_size: spans.3.map(|keep| keep.0.unsigned_abs() % (1 << 50)),
                heartbeat: spans.1,
                sink: SinkKind::ALL[faults.len() % 4],
            },
            history: Arc::new(History {
                entries: entries.collect(),
                references: [reference, Reference::default()].into(),
            }),
            faults: faults.into_iter().map(|(at, kind)| Fault { at, kind }).collect(),
            turns: Vec::new(),
        };
        let text = case.to_toml();
        let read = Case::from_toml(&text);
        prop_assert_eq!(read.as_ref(), Ok(&case), "{}", text);
    }

    #[test]
    fn no_text_panics_the_reader(cut in 0..GOOD.len(), noise in "\\PC{0,8}") {
        let mut text = GOOD.to_owned();
        text.insert_str(cut, &noise);
        let _ = Case::from_toml(&text);
        let _ = Case::from_toml(&GOOD[..cut]);
    }
}
