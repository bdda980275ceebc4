//! Functions from outside the language: what may call them, and what they take (rules 6.1, 7.5, section 10,
//! choice C-EXTERNAL).
//!
//! `udf.f` and machine-learning endpoints are functions of values, `uda.f` an aggregate, AnomalyDetection_* an
//! aggregate over LIMIT DURATION. Knows no implementation. Invariant: what they give has no static type, but
//! that of AnomalyDetection_* is a record.

use std::sync::Arc;

use super::analytic::limit;
use super::function::is_known;
use super::scalar::mismatch;
use super::scope::{Clause, Rows, Scope, Typed};
use super::types::{self, Ty};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::functions::{ExternalAggregate, ExternalScalar};
use crate::level::Level;
use crate::parse::ast::{Ast, Call, Kind};
use crate::plan::{self, Aggregate, AggregateCall, Op, SourceColumn};
use crate::value::{Type, Value};

/// In lower case.
pub(super) const METADATA_PROPERTY: &str = "getmetadatapropertyvalue";

/// AnomalyDetection_*, in lower case.
pub(super) fn is_anomaly(name: &str) -> bool {
    matches!(name, "anomalydetection_spikeanddip" | "anomalydetection_changepoint")
}

/// Functions people know from elsewhere, and what to write instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("convert", "CAST(x AS type)"),
    ("current_timestamp", "System.Timestamp()"),
    ("format", "CAST(x AS nvarchar(max)), or parts of DATENAME and DATEPART"),
    ("getdate", "System.Timestamp()"),
    ("getutcdate", "System.Timestamp()"),
    ("ifnull", "COALESCE(x, y)"),
    ("iif", "CASE WHEN ... THEN ... ELSE ... END"),
    ("isnull", "COALESCE(x, y), or x IS NULL"),
    ("instr", "CHARINDEX(what, text)"),
    ("lead", "LAG over the later event"),
    ("length", "LEN(text)"),
    ("lcase", "LOWER(text)"),
    ("median", "PERCENTILE_CONT(0.5) OVER (ORDER BY x)"),
    ("now", "System.Timestamp()"),
    ("row_number", "COLLECTTOP or TOPONE"),
    ("rank", "COLLECTTOP"),
    ("stddev", "STDEV(x)"),
    ("string_agg", "COLLECT(x)"),
    ("substr", "SUBSTRING(text, start, length)"),
    ("sysdatetime", "System.Timestamp()"),
    ("to_date", "CAST(x AS datetime)"),
    ("try_convert", "TRY_CAST(x AS type)"),
    ("ucase", "UPPER(text)"),
    ("variance", "VAR(x)"),
];

/// Names in lower case that a slip is compared with.
const NAMES: &[&str] = &[
    "abs",
    "avg",
    "ceiling",
    "charindex",
    "coalesce",
    "collect",
    "collecttop",
    "concat",
    "concat_ws",
    "count",
    "createlinestring",
    "createpoint",
    "createpolygon",
    "dateadd",
    "datediff",
    "datename",
    "datepart",
    "datetimefromparts",
    "floor",
    "getarrayelement",
    "getarrayelements",
    "getarraylength",
    "getmetadatapropertyvalue",
    "getrecordproperties",
    "getrecordpropertyvalue",
    "gettype",
    "isfirst",
    "json_parse",
    "last",
    "lower",
    "ltrim",
    "nullif",
    "patindex",
    "percentile_cont",
    "percentile_disc",
    "power",
    "regexmatch",
    "replace",
    "replicate",
    "reverse",
    "round",
    "rtrim",
    "space",
    "sqrt",
    "square",
    "st_distance",
    "st_intersects",
    "st_overlaps",
    "st_within",
    "stdev",
    "stdevp",
    "stuff",
    "substring",
    "topone",
    "translate",
    "unicode",
    "upper",
    "varp",
    "anomalydetection_changepoint",
    "anomalydetection_spikeanddip",
    "tumblingwindow",
    "hoppingwindow",
    "slidingwindow",
    "sessionwindow",
];

impl Scope<'_> {
    /// A call without a prefix that means nothing: below level 1.2 any may stand in front of a function of
    /// the language, from there on none (section 15).
    pub(super) fn without_prefix(&self, call: &Call) -> Result<Option<Call>, QueryError> {
        let Some((prefix, bare)) = call.name.rsplit_once('.') else { return Ok(None) };
        if prefix.eq_ignore_ascii_case("udf") || prefix.eq_ignore_ascii_case("uda") {
            return Ok(None);
        }
        let known = is_known(&bare.to_ascii_lowercase());
        if known && self.build.level < Level::V1_2 {
            return Ok(Some(Call { name: bare.to_owned(), ..call.clone() }));
        }
        if known || prefix.eq_ignore_ascii_case("system") {
            let message = match known {
                true => format!("{bare} is a function of the language and takes no prefix (section 15)"),
                false => format!("there is no function {} (section 15)", call.name),
            };
            let error = fail(codes::FUNCTION_PREFIX, &call.name_place, "prefix", message);
            return Err(match known {
                true => error.help(format!("write {bare}(...)")),
                false => {
                    error.help("System has Timestamp() and Window(); a function of your own is udf.name")
                }
            });
        }
        Ok(None)
    }

    /// `udf.f(...)`, an endpoint, or no function at all.
    pub(super) fn external(&mut self, call: &Call, clause: Clause) -> Result<Typed, QueryError> {
        let known = call.name.contains('.') || self.build.functions.is_scalar(&call.name);
        if !known {
            let endpoint = slip(&call.name).is_none() && self.build.endpoints;
            if !endpoint {
                return Err(unknown(call));
            }
            self.warn(format!(
                "{} is no function of the language: it is taken for a machine-learning endpoint (choice C-EXTERNAL)",
                call.name
            ));
        }
        let args = call.args.iter().map(|arg| self.value(arg, clause)).collect::<Result<Vec<_>, _>>()?;
        let function = ExternalScalar::scalar(&call.name, &call.name_place, Some(&self.build.functions));
        let args = args.into_iter().map(|arg| arg.expr).collect();
        Ok(Typed { expr: Expr::External(function, args), ty: None })
    }

    /// An aggregate from outside.
    pub(super) fn external_aggregate(&self, call: &Call, parameters: Vec<Value>) -> Arc<ExternalAggregate> {
        let functions = Some(&self.build.functions);
        Arc::new(ExternalAggregate::aggregate(&call.name, &call.name_place, parameters, functions))
    }

    /// `AnomalyDetection_SpikeAndDip(x, confidence, history, mode)` and
    /// `AnomalyDetection_ChangePoint(x, confidence, history)`, with OVER (... LIMIT DURATION ...) (rule 7.5).
    pub(super) fn anomaly(&mut self, name: &str, call: &Call, ast: &Ast) -> Result<(Op, Ty), QueryError> {
        let spikes = name.ends_with("SPIKEANDDIP");
        let count = if spikes { 4 } else { 3 };
        self.count_arguments(call, ast, count, count)?;
        let Some(over) = call.over.as_ref().filter(|over| over.limit.is_some()) else {
            let message =
                format!("{} needs OVER (... LIMIT DURATION ...): its history (rule 7.5)", call.name);
            let error = fail(codes::NO_LIMIT, &ast.place, "no limit", message);
            return Err(error.help(format!("write {}(...) OVER (LIMIT DURATION(second, 120))", call.name)));
        };
        let argument = self.value(&call.args[0], Clause::Analytic)?;
        if !types::numeric(argument.ty) {
            let message = format!("{} takes a number (rule 7.5)", call.name);
            return Err(mismatch(&call.args[0].place, argument.ty, &message));
        }
        let mut parameters = vec![confidence(call)?, history(call)?];
        if let Some(mode) = call.args.get(3) {
            let Kind::Text(text) = &mode.kind else { return Err(bad_mode(call, mode)) };
            if !["spikes", "dips", "spikesanddips"].iter().any(|known| known.eq_ignore_ascii_case(text)) {
                return Err(bad_mode(call, mode));
            }
            parameters.push(Value::text(text.to_ascii_lowercase()));
        }
        let (partition, when) = self.over(over, name)?;
        let user = Some(self.external_aggregate(call, parameters));
        let aggregate = AggregateCall {
            function: Aggregate::User,
            argument: Some(argument.expr),
            distinct: false,
            as_text: false,
            order: Vec::new(),
            user,
        };
        let op = Op::Over(plan::Over { call: aggregate, partition, limit: limit(over)?, when });
        refuse_inside(&op, &call.name)?;
        Ok((op, Some(Type::Record)))
    }

    /// `GetMetadataPropertyValue(stream, 'name')` (rule 3.11): a function from outside of the event, its
    /// PartitionId and arrival, and the name.
    pub(super) fn metadata_property(
        &mut self,
        call: &Call,
        ast: &Ast,
        clause: Clause,
    ) -> Result<Typed, QueryError> {
        self.count_arguments(call, ast, 2, 2)?;
        let side = self.side_of(&call.args[0]);
        let Some(side) = side.filter(|&side| matches!(self.sides[side].rows, Rows::Stream { .. })) else {
            let message =
                format!("{} takes a stream that FROM reads here, then a name (rule 3.11)", call.name);
            let error = fail(codes::BAD_ARGUMENTS, &call.args[0].place, "no stream", message);
            return Err(error.help("call it in the step that reads the stream"));
        };
        if self.is_grouped(clause) {
            let message = format!("{} of single events has no value for a group (rule 5.4)", call.name);
            let error = fail(codes::NOT_GROUPED, &ast.place, "not grouped", message);
            return Err(error.help("compute it in a step of WITH, or aggregate it"));
        }
        let mut args = Vec::new();
        for column in [SourceColumn::Payload, SourceColumn::PartitionId, SourceColumn::Arrival] {
            args.push(Expr::Column(self.source_column(side, column)?));
        }
        let name = self.value(&call.args[1], clause)?;
        if !types::text(name.ty) {
            let message = format!("{} takes the name as text (rule 3.11)", call.name);
            return Err(mismatch(&call.args[1].place, name.ty, &message));
        }
        args.push(name.expr);
        let function = ExternalScalar::scalar(&call.name, &call.name_place, Some(&self.build.functions));
        Ok(Typed { expr: Expr::External(function, args), ty: None })
    }
}

/// Arguments of analytic functions contain no function from outside (section 7).
pub(super) fn refuse_inside(op: &Op, name: &str) -> Result<(), QueryError> {
    let mut found = None;
    op.visit(&mut |expr| {
        if let Expr::External(function, _) = expr {
            found.get_or_insert_with(|| (function.name.clone(), function.place.clone()));
        }
    });
    let Some((inner, place)) = found else { return Ok(()) };
    let message = format!("{inner} cannot stand inside {name}: no function from outside can (section 7)");
    let error = fail(codes::NESTED_ANALYTIC, &place, "nested", message);
    Err(error.help("compute it in a step of WITH"))
}

/// A percentage from 1 to 100.
fn confidence(call: &Call) -> Result<Value, QueryError> {
    match &call.args[1].kind {
        Kind::Integer(int @ 1..=100) => Ok(Value::Int(*int)),
        Kind::Decimal(float, _) if (1.0..=100.0).contains(float) => Ok(Value::Float(*float)),
        _ => Err(bad_parameter(call, 1, "its confidence as a constant from 1 to 100")),
    }
}

/// A number of events.
fn history(call: &Call) -> Result<Value, QueryError> {
    match &call.args[2].kind {
        Kind::Integer(int) if *int > 0 => Ok(Value::Int(*int)),
        _ => Err(bad_parameter(call, 2, "the length of its history, in events, as a constant above zero")),
    }
}

fn bad_parameter(call: &Call, at: usize, what: &str) -> QueryError {
    let message = format!("{} takes {what} (rule 7.5)", call.name);
    fail(codes::BAD_ARGUMENTS, &call.args[at].place, "no such constant", message)
}

fn bad_mode(call: &Call, mode: &Ast) -> QueryError {
    let message = format!("{} looks for 'spikes', 'dips' or 'spikesanddips' (rule 7.5)", call.name);
    fail(codes::BAD_ARGUMENTS, &mode.place, "no mode", message)
}

/// No function of that name, and what was meant.
fn unknown(call: &Call) -> QueryError {
    let message = format!("there is no function {} (section 10)", call.name);
    let error = fail(codes::UNKNOWN_FUNCTION, &call.name_place, "unknown function", message);
    error.help(match slip(&call.name) {
        Some(meant) => format!("write {meant}"),
        None => "a function of your own is udf.name; an endpoint is registered under its name".to_owned(),
    })
}

/// What was meant by a name: a function known from elsewhere, or one of the language spelled wrong.
fn slip(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(known, _)| *known == name) {
        return Some((*instead).to_owned());
    }
    let far = if name.len() < 5 { 1 } else { 2 };
    let close = NAMES.iter().map(|known| (edits(&name, known), *known)).min();
    close.filter(|(edits, _)| *edits <= far).map(|(_, known)| known.to_uppercase())
}

/// How many characters must be left out, put in or replaced to get from one name to the other; more than
/// two are not told apart.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 2 {
        return 3;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
