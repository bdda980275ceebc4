//! Smaller texts: a query with one part left out, for whoever looks for the smallest that still shows something.
//!
//! Works on the text, so comments, spelling and order of what stays are kept. Knows no meaning: a text given
//! here may be refused by the analysis, because what it leaves out is used elsewhere. Invariant: every text
//! given is shorter than the one it was made from.

use std::ops::Range;

use crate::parse;
use crate::parse::ast::{More, Query, Script, Select};

/// The text with one part left out, in every way, larger parts first. Parts are statements, steps of WITH,
/// branches of UNION, joins, WHERE, HAVING, items of SELECT and grouping keys. None for a text that does not
/// parse.
pub fn smaller(text: &str) -> Vec<String> {
    let Ok(script) = parse::parse(text) else { return Vec::new() };
    let mut parts = Parts { text, found: Vec::new() };
    parts.script(&script);
    let mut found = parts.found;
    found.sort_by_key(|part| (std::cmp::Reverse(part.len()), part.start));
    found.dedup();
    let without = |part: Range<usize>| format!("{}{}", &text[..part.start], &text[part.end..]);
    found.into_iter().filter(|part| !part.is_empty()).map(without).collect()
}

struct Parts<'a> {
    text: &'a str,
    found: Vec<Range<usize>>,
}

impl Parts<'_> {
    fn script(&mut self, script: &Script) {
        for (index, step) in script.steps.iter().enumerate() {
            let close = self.after(step.query.place.end, ')');
            let whole = step.name.place.start..close;
            self.listed(index, script.steps.len(), |at| script.steps[at].name.place.start, whole.clone());
            if script.steps.len() == 1 {
                self.found.push(self.word_before(whole.start, "with")..close);
            }
        }
        // A statement goes with what is written above it.
        let steps_end = script.steps.last().map_or(0, |step| self.after(step.query.place.end, ')'));
        let tables_end = script.tables.last().map_or(0, |table| self.after(table.end, ';'));
        let mut above = steps_end.max(tables_end);
        for query in &script.statements {
            let end = self.after(query.place.end, ';');
            if script.statements.len() > 1 {
                self.found.push(above..end);
            }
            above = end;
        }
        let steps = script.steps.iter().map(|step| &step.query);
        steps.chain(&script.statements).for_each(|query| self.query(query));
    }

    fn query(&mut self, query: &Query) {
        let branches = &query.branches;
        for (index, branch) in branches.iter().enumerate() {
            match (index, branches.get(index + 1)) {
                // With the UNION that follows it, or the one in front.
                (_, Some(next)) => self.found.push(branch.place.start..next.place.start),
                (0, None) => {}
                (_, None) => self.found.push(branches[index - 1].place.end..branch.place.end),
            }
            self.select(branch);
        }
    }

    fn select(&mut self, select: &Select) {
        let items = &select.items;
        for (index, item) in items.iter().enumerate() {
            self.listed(index, items.len(), |at| items[at].place.start, item.place.clone());
        }
        for join in &select.joins {
            self.found.push(match join {
                More::Join(join) => join.place.clone(),
                More::Apply(apply) => apply.place.clone(),
            });
        }
        if let Some(filter) = &select.filter {
            self.found.push(self.word_before(filter.place.start, "where")..filter.place.end);
        }
        for (index, key) in select.group.iter().enumerate() {
            self.listed(index, select.group.len(), |at| select.group[at].place.start, key.place.clone());
        }
        if let Some(having) = &select.having {
            self.found.push(self.word_before(having.place.start, "having")..having.place.end);
        }
    }

    /// One of several between commas: with the comma behind it, or for the last the one in front.
    fn listed(&mut self, index: usize, count: usize, start: impl Fn(usize) -> usize, place: Range<usize>) {
        if index + 1 < count {
            self.found.push(place.start..start(index + 1));
        } else if index > 0 {
            let comma = self.text[..place.start].rfind(',').unwrap_or(place.start);
            self.found.push(comma..place.end);
        }
    }

    /// Behind the next sign of that kind if only blanks stand before it, else `at`.
    fn after(&self, at: usize, sign: char) -> usize {
        let rest = &self.text[at..];
        let blanks = rest.len() - rest.trim_start().len();
        if rest[blanks..].starts_with(sign) { at + blanks + sign.len_utf8() } else { at }
    }

    /// Where the word in front of `at` begins, if it is this one, else `at`.
    fn word_before(&self, at: usize, word: &str) -> usize {
        let before = self.text[..at].trim_end();
        let start = before.len().saturating_sub(word.len());
        let is = before.get(start..).is_some_and(|found| found.eq_ignore_ascii_case(word));
        if is { start } else { at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyse;

    const QUERY: &str = "WITH s AS (SELECT a, b FROM x TIMESTAMP BY t WHERE a > 1), \
        u AS (SELECT a FROM s UNION SELECT b AS a FROM s)\n\
        SELECT a, COUNT(*) AS c, MAX(b) AS m INTO o FROM s GROUP BY a, b, Tumbling(second, 1) HAVING COUNT(*) > 1;\n\
        SELECT a INTO p FROM u";

    #[test]
    fn every_part_is_left_out_once() {
        let texts = smaller(QUERY);
        assert!(texts.iter().all(|text| text.len() < QUERY.len()));
        let accepted: Vec<&String> = texts.iter().filter(|text| analyse(text, None).is_ok()).collect();
        let without = |part: &str| {
            assert!(QUERY.contains(part), "{part}");
            accepted.iter().any(|text| **text == QUERY.replacen(part, "", 1))
        };
        for part in [
            "\n\
        SELECT a INTO p FROM u",
            "WHERE a > 1",
            "SELECT a FROM s UNION ",
            " UNION SELECT b AS a FROM s",
            "COUNT(*) AS c, ",
            ", MAX(b) AS m",
            "HAVING COUNT(*) > 1",
            "b, Tumbling".trim_end_matches("Tumbling"),
        ] {
            assert!(without(part), "{part}: {accepted:#?}");
        }
    }

    #[test]
    fn again_and_again_a_single_small_statement_is_left() {
        let mut text = QUERY.to_owned();
        while let Some(next) = smaller(&text).into_iter().find(|next| analyse(next, None).is_ok()) {
            text = next;
        }
        assert!(!text.contains("WITH") || text.matches("SELECT").count() == 2, "{text}");
        assert!(text.len() < 60, "{text}");
        assert_eq!(smaller("SELECT FROM"), [""; 0]);
    }
}
