//! What was reached: an expression counts under the name of what stands outermost, and only where it gave
//! something: neither NULL nor a failure.

use rewindow_query::expr::{Expr, Predicate};
use rewindow_query::plan::{Aggregate, AggregateCall, Item, Op, Project};
use rewindow_query::{Type, Value};

use crate::asked::Asked;
use crate::support::Reached;

const UNITS: [&str; 12] = [
    "Year",
    "Quarter",
    "Month",
    "DayOfYear",
    "Day",
    "Week",
    "Weekday",
    "Hour",
    "Minute",
    "Second",
    "Millisecond",
    "Microsecond",
];
const FUNCTIONS: [&str; 47] = [
    "DateTimeFromParts",
    "Coalesce",
    "NullIf",
    "GetType",
    "Abs",
    "Ceiling",
    "Floor",
    "Sign",
    "Len",
    "Upper",
    "Lower",
    "Concat",
    "ConcatWs",
    "Square",
    "Sqrt",
    "Power",
    "Exp",
    "Round",
    "CharIndex",
    "PatIndex",
    "Substring",
    "Left",
    "Right",
    "Stuff",
    "Replace",
    "Translate",
    "Replicate",
    "Space",
    "NChar",
    "Unicode",
    "Reverse",
    "Trim",
    "LTrim",
    "RTrim",
    "RegexMatch",
    "JsonParse",
    "GetRecordPropertyValue",
    "GetArrayElement",
    "GetArrayLength",
    "CreatePoint",
    "CreateLineString",
    "CreatePolygon",
    "StDistance",
    "StWithin",
    "StOverlaps",
    "StIntersects",
    "Case",
];
const OPERATORS: [&str; 12] = [
    "Add",
    "Subtract",
    "Multiply",
    "Divide",
    "Modulo",
    "BitAnd",
    "BitOr",
    "BitXor",
    "Negate",
    "BitNot",
    "Member",
    "Timestamp",
];
const CONDITIONS: [&str; 18] = [
    "Equal",
    "NotEqual",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "And",
    "Or",
    "Not",
    "IsNull",
    "Like",
    "NOT Like",
    "Like ESCAPE",
    "NOT Like ESCAPE",
    "Between",
    "NOT Between",
    "In",
    "NOT In",
];
const AGGREGATES: [&str; 15] = [
    "Rows",
    "Count",
    "Distinct",
    "Sum",
    "Avg",
    "Min",
    "Max",
    "Var",
    "VarP",
    "Stdev",
    "StdevP",
    "PercentileCont",
    "PercentileDisc",
    "Collect",
    "TopOne",
];

/// What every run over expressions must have seen.
pub(crate) fn required_of_expressions() -> Vec<String> {
    let mut names: Vec<String> = FUNCTIONS.iter().chain(&OPERATORS).map(|name| (*name).to_owned()).collect();
    for function in ["DateDiff", "DateAdd", "DatePart", "DateName"] {
        names.extend(UNITS.map(|unit| format!("{function}({unit})")));
    }
    for condition in CONDITIONS {
        names.extend([true, false].map(|held| format!("{condition} is {held}")));
    }
    names.extend(["bigint", "float", "nvarchar(max)"].map(|ty| format!("Add gives {ty}")));
    names.extend(["bit", "bigint"].map(|ty| format!("BitXor gives {ty}")));
    for from in [Type::Bit, Type::Bigint, Type::Float, Type::Text, Type::Array, Type::Record] {
        for to in
            [Type::Bit, Type::Bigint, Type::Float, Type::Text, Type::Datetime, Type::Array, Type::Record]
        {
            let number = matches!(from, Type::Bit | Type::Bigint | Type::Float);
            let can = match to {
                Type::Text => true,
                Type::Bit | Type::Bigint | Type::Float => number || from == Type::Text,
                Type::Datetime => from == Type::Text,
                _ => from == to,
            };
            let name = |how: &str| format!("{how} {} to {}", from.name(), to.name());
            if can {
                names.extend([name("CAST"), name("TRY_CAST")]);
            } else {
                names.push(name("no TRY_CAST"));
            }
        }
    }
    names.push("failure".to_owned());
    names
}

/// What every run over aggregates must have seen.
pub(crate) fn required_of_aggregates() -> Vec<String> {
    let mut names: Vec<String> = AGGREGATES.iter().map(|name| (*name).to_owned()).collect();
    names.push("CollectTop".to_owned());
    for name in ["Rows", "Count", "Sum", "Avg", "Min", "Max", "Collect", "CollectTop", "TopOne"] {
        names.push(format!("{name} OVER"));
    }
    for ty in ["bit", "bigint", "float", "nvarchar(max)", "datetime"] {
        names.extend([format!("Min gives {ty}"), format!("Max gives {ty}")]);
    }
    names.extend(["bigint", "float"].map(|ty| format!("Sum gives {ty}")));
    names.push("failure".to_owned());
    names
}

/// Counts what stands in the projection in front of the output.
pub(crate) fn expressions(asked: &Asked, reached: &mut Reached) {
    reached.add("failure", u64::from(asked.failed));
    let node = &asked.plan.nodes[asked.plan.outputs[0].node];
    let Op::Project(project) = &node.op else { return };
    for row in &asked.rows {
        for (item, (_, value)) in project.items.iter().zip(row.record.members()) {
            let Item::Column(_, expr) = item else { continue };
            if let Expr::Cast { expr, to, lenient } = expr
                && let Some(from) = shown(project, expr, row.record.members())
            {
                let how = if *lenient { "TRY_CAST" } else { "CAST" };
                let how = if value.is_null() { format!("no {how}") } else { how.to_owned() };
                reached.note(format!("{how} {} to {}", from.name(), to.name()));
            }
            if !value.is_null() {
                note(expr, value, reached);
            }
        }
    }
}

/// The type of an operand, where the same row shows the operand too.
fn shown(project: &Project, of: &Expr, members: &[(std::sync::Arc<str>, Value)]) -> Option<Type> {
    let same = |item: &Item| matches!(item, Item::Column(_, expr) if expr == of);
    members[project.items.iter().position(same)?].1.kind()
}

fn note(expr: &Expr, value: &Value, reached: &mut Reached) {
    let gives = |name: String, reached: &mut Reached| {
        let ty = value.kind().map_or("NULL", Type::name);
        reached.note(format!("{name} gives {ty}"));
        reached.note(name);
    };
    match expr {
        Expr::Call(function, _) => gives(format!("{function:?}"), reached),
        Expr::Binary(op, ..) => gives(format!("{op:?}"), reached),
        Expr::Negate(_) => gives("Negate".to_owned(), reached),
        Expr::BitNot(_) => gives("BitNot".to_owned(), reached),
        Expr::Member(..) => reached.note("Member"),
        Expr::Timestamp => reached.note("Timestamp"),
        Expr::Case(branches, _) => {
            reached.note("Case");
            if let ([(condition, Expr::Literal(Value::Int(1)))], Value::Int(held @ 0..=1)) =
                (branches.as_slice(), value)
            {
                reached.note(format!("{} is {}", name(condition), *held == 1));
            }
        }
        _ => {}
    }
}

fn name(condition: &Predicate) -> String {
    let negated = |name: &str, negated: bool| if negated { format!("NOT {name}") } else { name.to_owned() };
    match condition {
        Predicate::Compare(op, ..) => format!("{op:?}"),
        Predicate::And(_) => "And".to_owned(),
        Predicate::Or(_) => "Or".to_owned(),
        // IS NOT NULL is written so too.
        Predicate::Not(_) => "Not".to_owned(),
        Predicate::IsNull(_) => "IsNull".to_owned(),
        Predicate::Like { escape, negated: not, .. } => {
            let name = negated("Like", *not);
            if escape.is_some() { format!("{name} ESCAPE") } else { name }
        }
        Predicate::Between { negated: not, .. } => negated("Between", *not),
        Predicate::In { negated: not, .. } => negated("In", *not),
        Predicate::Constant(_) => "Constant".to_owned(),
    }
}

/// Counts the aggregates of all groupings and of OVER, by the values of the columns they make.
pub(crate) fn aggregates(asked: &Asked, reached: &mut Reached) {
    reached.add("failure", u64::from(asked.failed));
    let output = &asked.plan.nodes[asked.plan.outputs[0].node];
    let Op::Project(project) = &output.op else { return };
    let below = &asked.plan.nodes[output.inputs[0]];
    let mut calls: Vec<Option<(&AggregateCall, &str)>> = Vec::new();
    match &below.op {
        Op::Group(group) => {
            calls.resize(group.keys.len(), None);
            calls.extend(group.calls.iter().map(|call| Some((call, ""))));
        }
        _ => calls.extend(overs(asked, output.inputs[0])),
    }
    for row in &asked.rows {
        for (item, (_, value)) in project.items.iter().zip(row.record.members()) {
            if let Item::Column(_, Expr::Column(at)) = item
                && let Some(Some((call, over))) = calls.get(*at)
                && !value.is_null()
            {
                let name = aggregate_name(call);
                reached.note(format!("{name} gives {}", value.kind().map_or("NULL", Type::name)));
                reached.note(format!("{name}{over}"));
            }
        }
    }
}

/// What each column of a node is, where it is an aggregate with OVER.
fn overs(asked: &Asked, node: usize) -> Vec<Option<(&AggregateCall, &'static str)>> {
    let below = &asked.plan.nodes[node];
    let Some(&input) = below.inputs.first() else { return vec![None; below.columns.len()] };
    let mut calls = overs(asked, input);
    match &below.op {
        Op::Over(over) => calls.push(Some((&over.call, " OVER"))),
        Op::Filter(_) => {}
        _ => calls = vec![None; below.columns.len()],
    }
    calls
}

fn aggregate_name(call: &AggregateCall) -> String {
    let name = match call.function {
        Aggregate::Count if call.argument.is_none() => "Rows".to_owned(),
        Aggregate::Count if call.distinct => "Distinct".to_owned(),
        function => format!("{function:?}"),
    };
    name.split('(').next().unwrap_or_default().to_owned()
}
