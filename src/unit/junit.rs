//! JUnit XML: one test case for each test, as build servers read it.
//!
//! Holds no time, so that the same files and seed give the same bytes. Invariant: the text is well-formed XML 1.0
//! whatever the names and rows hold.

use crate::errors::Problem;

/// One line of the report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The test's name.
    pub name: String,
    /// Its group and file.
    pub class: String,
    /// What stands in the file at hand.
    pub file: String,
    /// What to type to run it again.
    pub command: String,
    /// How it failed: in a line, and at length; `None` if it passed.
    pub failure: Option<(String, String)>,
}

/// The report of a run: its tests, and the files that could not be read.
pub fn report(seed: u64, entries: &[Entry], problems: &[Problem]) -> String {
    let failures = entries.iter().filter(|entry| entry.failure.is_some()).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{}\"",
        entries.len() + problems.len(),
        problems.len()
    );
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&format!("<testsuites name=\"rewindow\" {counts}>\n"));
    xml.push_str(&format!("  <testsuite name=\"rewindow test\" {counts} skipped=\"0\">\n"));
    xml.push_str(&format!(
        "    <properties>\n      <property name=\"seed\" value=\"{seed:#x}\"/>\n    </properties>\n"
    ));
    for entry in entries {
        let Entry { name, class, file, command, failure } = entry;
        let (name, class, file) = (escape(name), escape(class), escape(file));
        xml.push_str(&format!("    <testcase name=\"{name}\" classname=\"{class}\" file=\"{file}\">\n"));
        let command = escape(command);
        xml.push_str(&format!(
            "      <properties>\n        <property name=\"command\" value=\"{command}\"/>\n      </properties>\n"
        ));
        if let Some((line, text)) = failure {
            let (line, text) = (escape(line), escape(text));
            xml.push_str(&format!("      <failure message=\"{line}\">{text}</failure>\n"));
        }
        xml.push_str("    </testcase>\n");
    }
    for problem in problems {
        let file = problem.place.as_ref().map_or_else(String::new, |place| place.file.clone());
        let (file, line, text) = (escape(&file), escape(&problem.message), escape(&problem.to_string()));
        xml.push_str(&format!("    <testcase name=\"{file}\" classname=\"unreadable\" file=\"{file}\">\n"));
        xml.push_str(&format!("      <error message=\"{line}\">{text}</error>\n    </testcase>\n"));
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Text for an attribute or an element; what XML 1.0 has no character for becomes `U+FFFD`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_row_holds_the_report_is_well_formed() {
        let entry = Entry {
            name: "a \"b\" <c> & \u{1}".to_owned(),
            class: "x".to_owned(),
            file: "f".to_owned(),
            command: "rewindow test 'f' --seed 0x1".to_owned(),
            failure: Some(("]]>".to_owned(), "one\ntwo".to_owned())),
        };
        let xml = report(1, &[entry], &[Problem::new("test-syntax", "no <JSON>")]);
        assert!(xml.contains("name=\"a &quot;b&quot; &lt;c&gt; &amp; \u{fffd}\""), "{xml}");
        assert!(xml.contains("<failure message=\"]]&gt;\">one&#10;two</failure>"), "{xml}");
        assert!(xml.contains("tests=\"2\" failures=\"1\" errors=\"1\""), "{xml}");
        assert!(xml.contains("<error message=\"no &lt;JSON&gt;\">"), "{xml}");
    }
}
