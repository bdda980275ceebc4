//! Every code a query can be refused with, on one page.
//!
//! A code is stable: it names one kind of error for ever, tools may match on it. The wording of messages
//! is free. Invariant: no [`QueryError`] carries a code that is not in [`ALL`].

use std::ops::Range;

use crate::error::QueryError;

macro_rules! codes {
    ($($name:ident = $code:literal: $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $code;)*
        /// All codes with what they mean.
        pub const ALL: &[(&str, &str)] = &[$(($code, $meaning)),*];
    };
}

codes! {
    SYNTAX = "syntax": "The text does not follow the grammar.";
    TOO_LONG = "too-long": "The text, or what it expands to, exceeds the size an analysis accepts.";
    TOO_DEEP = "too-deep": "Expressions are nested deeper than an analysis follows.";
    UNSUPPORTED = "unsupported": "A part of the language that is known but not supported yet.";
    UNKNOWN_STREAM = "unknown-stream": "FROM names neither a step nor a declared stream.";
    UNKNOWN_FUNCTION = "unknown-function": "No function of that name exists (section 10).";
    UNREGISTERED_FUNCTION = "unregistered-function": "A function from outside the language for which no implementation is registered (choice C-EXTERNAL).";
    FUNCTION_PREFIX = "function-prefix": "A prefix in front of a function of the language (section 15).";
    UNKNOWN_UNIT = "unknown-unit": "No unit of time of that name exists (rule 4.5, section 10).";
    UNKNOWN_TYPE = "unknown-type": "No type of that name exists (rule 1.1).";
    DUPLICATE_STEP = "duplicate-step": "Two steps of WITH have one name (rule 5.7).";
    DUPLICATE_OUTPUT = "duplicate-output": "Two statements write to one output (rule 5.8).";
    DUPLICATE_ALIAS = "duplicate-alias": "Two inputs of one SELECT have one name.";
    DUPLICATE_COLUMN = "duplicate-column": "Two columns of one SELECT have one name (choice C-NAME).";
    STAR_DUPLICATE = "star-duplicate": "A column right of a star has the name of one of its columns (A-STAR-DUP).";
    STAR_IN_JOIN = "star-in-join": "SELECT * over a join (rule 8.1, A-JOIN-STAR).";
    STAR_IN_GROUP = "star-in-group": "A star in the SELECT list of a grouping (rule 5.4).";
    AMBIGUOUS_COLUMN = "ambiguous-column": "A column that more than one input may have.";
    ALIAS_IN_WHERE = "alias-in-where": "An alias of the SELECT list used before it exists (rule 5.2, A-UNKNOWN-COLUMN).";
    INTO_IN_STEP = "into-in-step": "INTO inside a step or a later branch of a UNION (rule 5.7).";
    PREDICATE_AS_VALUE = "predicate-as-value": "A condition where a value is needed (choice C-PREDICATE).";
    VALUE_AS_PREDICATE = "value-as-predicate": "A value where a condition is needed (choice C-PREDICATE).";
    TYPE_MISMATCH = "type-mismatch": "A default of another type than its argument, or an argument of a function from outside that never fits (rules 7.1, 7.5, 3.11).";
    BAD_ARGUMENTS = "bad-arguments": "Number or form of a function's arguments (section 10).";
    BAD_NUMBER = "bad-number": "A number outside the range of its type (rule 1.1).";
    BAD_UNIT = "bad-unit": "A unit that has no fixed length, or is not allowed here (rules 4.5, 8.2).";
    BAD_SIZE = "bad-size": "A length of time that is no positive constant of whole ticks (A-FRACTION-SIZE).";
    BAD_ESCAPE = "bad-escape": "ESCAPE is not followed by one character in quotes (rule 5.3).";
    LIMIT_WINDOW = "limit-window": "A window or ISFIRST interval longer than seven days (rule 4.5).";
    LIMIT_PANES = "limit-panes": "A hopping window so fine that an event is in over a million windows (choice C-PANES).";
    LIMIT_DATEDIFF = "limit-datediff": "A join over more than seven days (rule 8.1).";
    LIMIT_DURATION = "limit-duration": "A LIMIT DURATION longer than seven days (section 16).";
    NO_WINDOW = "no-window": "An aggregate, or GROUP BY, without a window (rules 4.1, 6.1).";
    TWO_WINDOWS = "two-windows": "More than one window in one GROUP BY (rule 4.1).";
    WINDOW_PLACE = "window-place": "A window outside GROUP BY (rule 4.1).";
    WINDOW_FIELD = "window-field": "A field of System.Window() other than Id (A-SYSTEM-WINDOW).";
    WINDOW_ID_PLACE = "window-id-place": "System.Window().Id outside the SELECT list (rule 4.11).";
    WINDOW_IDS = "window-ids": "Windows() with ids for some members only, or an id that is no text (rule 4.11).";
    DUPLICATE_WINDOW_ID = "duplicate-window-id": "Two members of Windows() with one id (rule 4.11).";
    NESTED_WINDOWS = "nested-windows": "Windows() inside Windows() (rule 4.11).";
    NOT_GROUPED = "not-grouped": "A column of a grouping that is neither key nor aggregate (rule 5.4).";
    AGGREGATE_PLACE = "aggregate-place": "An aggregate where no group exists yet (rule 6.1).";
    NO_ORDER = "no-order": "COLLECTTOP, TOPONE or a percentile without OVER (ORDER BY ...) (rule 6.1).";
    NO_OVER = "no-over": "An aggregate that has no form with OVER (A-OVER-LIST).";
    DISTINCT_OVER = "distinct-over": "COUNT(DISTINCT ...) OVER (rule 6.1).";
    ANALYTIC_PLACE = "analytic-place": "An analytic function where it cannot stand (rule 7.4).";
    NESTED_ANALYTIC = "nested-analytic": "An analytic function inside another (section 7).";
    ANALYTIC_SIDE = "analytic-side": "An analytic function over a join that does not belong to exactly one side (rule 5.1).";
    NO_LIMIT = "no-limit": "LAG or LAST without LIMIT DURATION (section 7).";
    LAG_OFFSET = "lag-offset": "The offset of LAG is no whole constant of at least 1 (rule 7.1).";
    TIMESTAMP_BY = "timestamp-by": "TIMESTAMP BY over something that is no payload of a raw stream (rule 3.3, A-TIMESTAMP-BY-STEP).";
    TIMESTAMP_IN_ON = "timestamp-in-on": "System.Timestamp() in ON: a pair has no timestamp yet (rule 8.1).";
    SUBSTREAMS = "substreams": "TIMESTAMP BY ... OVER against its restrictions (rule 3.9).";
    DUPLICATE_TABLE = "duplicate-table": "Two CREATE TABLE for one stream (rule 1.8).";
    UNKNOWN_VARIABLE = "unknown-variable": "A variable that the pattern does not have, or that is defined later (rule 9.4).";
    DUPLICATE_VARIABLE = "duplicate-variable": "Two definitions of one variable (rule 9.4).";
    BAD_PATTERN = "bad-pattern": "A pattern that can match no event (rule 9.2).";
    LIMIT_PATTERN = "limit-pattern": "A pattern of more than 10,000 places (choice C-MATCH-LIMIT).";
    PATTERN_PLACE = "pattern-place": "Something in DEFINE or MEASURES that has no meaning there (rules 9.4, 9.5).";
    APPLY_PLACE = "apply-place": "APPLY with something else than GetArrayElements and GetRecordProperties, or these elsewhere (rule 5.10).";
    REFERENCE_PLACE = "reference-place": "Reference data where a stream is needed, or asked for a timestamp (rule 8.7).";
    UNBOUNDED_JOIN = "unbounded-join": "DATEDIFF in ON leaves the distance in time open on a side (rule 8.1).";
    EMPTY_JOIN = "empty-join": "No distance in time satisfies ON (rule 8.1).";
    PARTITION_KEY = "partition-key": "PARTITION BY with something that is no key (rule 11.3).";
    JOIN_PARTITION = "join-partition": "Partitioned inputs whose keys ON does not equate (rule 8.6).";
    UNION_COLUMNS = "union-columns": "Branches of a UNION with different columns (rule 5.6).";
    UNION_TYPES = "union-types": "Branches of a UNION with types that do not fit (rule 5.6).";
    UNION_PARTITION = "union-partition": "Branches of a UNION that are partitioned differently (rule 5.6).";
}

/// An error with a code of this page.
pub(crate) fn fail(
    code: &'static str,
    place: &Range<usize>,
    label: impl Into<String>,
    message: impl Into<String>,
) -> QueryError {
    QueryError { code, message: message.into(), place: place.clone(), label: label.into(), help: None }
}

impl QueryError {
    /// The same error with advice.
    pub(crate) fn help(mut self, help: impl Into<String>) -> QueryError {
        self.help = Some(help.into());
        self
    }
}

/// A known part of the language that is not supported yet.
pub(crate) fn unsupported(what: &str, rule: &str, place: &Range<usize>) -> QueryError {
    let message = format!("{what} is not supported yet (rule {rule})");
    fail(UNSUPPORTED, place, "not supported yet", message)
}
