//! `rewindow test`: finding tests in files and folders, exit codes, counts, JUnit, and the vendor's layout.
//!
//! Catches what `test_cases` cannot, which asks the library: that nothing that is broken counts as passed, that
//! nothing hangs, and that the vendor's projects work as they lie in a repository.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

/// A case that holds; tests change one thing in it.
fn sound() -> Json {
    json!({
        "name": "counts",
        "query": "SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY at GROUP BY k, TumblingWindow(second, 10)",
        "inputs": {"Feed": [
            {"k": "a", "at": "2024-03-05T00:00:01Z"},
            {"k": "a", "at": "2024-03-05T00:00:02Z"},
            {"k": "b", "at": "2024-03-05T00:00:12Z"}
        ]},
        "settings": {"late_arrival_tolerance": "00:00:05"},
        "expected": {"output": [{"k": "a", "n": 2}, {"k": "b", "n": 1}]}
    })
}

/// The case with members replaced; `null` takes one away.
fn with(changes: &Json) -> Json {
    let mut case = sound();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Json::Null => drop(case.as_object_mut().unwrap().remove(name)),
            value => case[name] = value.clone(),
        }
    }
    case
}

/// A folder of its own with these files in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("test-command-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        for (file, text) in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Folder(folder)
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
        command.arg("test").args(arguments).current_dir(&self.0);
        for name in ["SEED", "JOBS"] {
            command.env_remove(format!("REWINDOW_{name}"));
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

fn good() -> String {
    sound().to_string()
}

fn bad() -> String {
    with(&json!({"name": "a <bad> one", "feature": "windows", "expected": {"output": [{"k": "a", "n": 3}]}}))
        .to_string()
}

#[test]
fn exit_codes_and_counts_say_what_passed_what_failed_and_what_was_not_read() {
    let folder = Folder::new(
        "exits",
        &[
            ("good.json", &good()),
            ("deep/er/bad.json", &bad()),
            ("data.json", "{\"a\": 1}"),
            ("list.json", "[1]"),
        ],
    );
    let (exit, out, err) = folder.run(&["good.json", "--seed", "7"]);
    assert_eq!((exit, out.as_str(), err.as_str()), (0, "1 test passed, seed 0x7\n", ""));
    let (exit, out, _) = folder.run(&["good.json", "-v", "--seed", "7"]);
    assert_eq!(
        (exit, out.as_str()),
        (0, "passed  counts  good.json  3 events, 2 rows\n1 test passed, seed 0x7\n")
    );
    let (exit, out, err) = folder.run(&[".", "--seed", "7"]);
    assert_eq!((exit, err.as_str()), (1, ""));
    assert!(
        out.starts_with("FAILED  a <bad> one  ./deep/er/bad.json\n")
            && out.ends_with("\n1 of 2 tests failed, seed 0x7\n"),
        "{out}"
    );
    assert_eq!(folder.run(&[".", "--seed", "7", "--jobs", "3"]).1, out, "whatever the number of threads");
    assert_eq!(folder.run(&[".", "--filter", "counts"]).0, 0);
    assert_eq!(folder.run(&[".", "--filter", "windows", "--filter", "nothing"]).0, 1);
    let (exit, out, _) = folder.run(&[".", "--list"]);
    assert_eq!((exit, out.lines().count()), (0, 2), "{out}");
    let (exit, _, err) = folder.run(&[".", "--filter", "nothing"]);
    assert!(exit == 4 && err.contains("test-filter"), "{err}");
    let (exit, out, _) = folder.run(&[".", "--format", "json"]);
    let result: Json = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &result["passed"], &result["failed"]), (1, &json!(1), &json!(1)));
    // One that cannot be read does not hide the others, and is never taken for one that passed.
    std::fs::write(folder.0.join("broken.json"), "{\"query\": ").unwrap();
    let (exit, out, err) = folder.run(&["."]);
    assert!(exit == 4 && out.contains("1 of 2 tests failed, 1 file could not be read"), "{out}");
    assert!(err.contains("error[test-syntax]") && err.contains("./broken.json:1:"), "{err}");
}

/// Named or found, what cannot be read does not keep the rest from running.
#[test]
fn what_could_be_read_runs_beside_a_path_that_could_not() {
    let folder = Folder::new("half", &[("good.json", &good()), ("bad.json", &bad()), ("empty/a.txt", "")]);
    for (path, code) in [("nosuch.json", "test-unreadable"), ("empty", "test-needed")] {
        for paths in [[path, "good.json"], ["good.json", path]] {
            let (exit, out, err) = folder.run(&paths);
            assert!(exit == 4 && out.contains("1 test passed, 1 file could not be read"), "{paths:?}: {out}");
            assert!(err.contains(&format!("error[{code}]")), "{paths:?}: {err}");
        }
    }
    let (exit, out, _) = folder.run(&["bad.json", "nosuch.json"]);
    assert!(exit == 4 && out.contains("1 of 1 test failed, 1 file could not be read"), "{out}");
    let (exit, out, err) = folder.run(&["nosuch.json", "empty"]);
    assert_eq!((exit, out.as_str()), (4, ""), "{err}");
}

#[test]
fn junit_has_a_line_for_each_test_and_the_command_that_runs_it_again() {
    let folder =
        Folder::new("junit", &[("good.json", &good()), ("bad.json", &bad()), ("broken.json", "{\"query\"")]);
    let (exit, ..) = folder.run(&[".", "--junit", "out.xml", "--seed", "9"]);
    let xml = std::fs::read_to_string(folder.0.join("out.xml")).unwrap();
    assert_eq!(exit, 4);
    for words in [
        "<testsuites name=\"rewindow\" tests=\"3\" failures=\"1\" errors=\"1\">",
        "<testcase name=\"counts\" classname=\"rewindow\" file=\"./good.json\">",
        "<testcase name=\"a &lt;bad&gt; one\" classname=\"windows\" file=\"./bad.json\">",
        "value=\"rewindow test ./bad.json --filter 'a &lt;bad&gt; one' --seed 0x9\"",
        "<failure message=\"`output`: row 1 (./bad.json:1) is another",
        "<error message=\"the file is no JSON",
    ] {
        assert!(xml.contains(words), "{words}\n{xml}");
    }
    assert_eq!(folder.run(&["good.json", "--junit", "no/such/folder.xml"]).0, 4);
}

#[test]
fn what_holds_no_tests_is_refused_with_a_hint() {
    let big = format!("{{\"query\": \"{}\"}}", " ".repeat(64 << 20));
    let files = [
        ("job.asaql", "SELECT * FROM a"),
        ("a/job.asaql", "SELECT * FROM a"),
        ("a/in.json", "{\"a\": 1}\n{\"a\": 2}"),
        ("b/x.txt", ""),
        ("empty.json", ""),
        ("list.json", "[]"),
        ("big.json", &big),
    ];
    let folder = Folder::new("none", &files);
    std::fs::write(folder.0.join("bytes.json"), [0x7b, 0xff, 0xfe]).unwrap();
    for (path, code, words) in [
        ("job.asaql", "test-needed", "a query alone is no test"),
        ("a", "test-needed", "a query beside data is no test"),
        ("b", "test-needed", "tests are case files"),
        ("empty.json", "test-needed", "neither a case nor a testConfig.json"),
        ("list.json", "test-needed", "neither a case nor a testConfig.json"),
        ("a/in.json", "test-needed", "neither a case nor a testConfig.json"),
        ("bytes.json", "test-unreadable", "is not UTF-8"),
        ("big.json", "test-unreadable", "larger than 64 MiB"),
        ("nowhere.json", "test-unreadable", "no such file"),
    ] {
        let (exit, out, err) = folder.run(&[path]);
        assert_eq!((exit, out.as_str()), (4, ""), "{path}: {err}");
        assert!(err.contains(&format!("error[{code}]")) && err.contains(words), "{path}: {err}");
    }
    assert_eq!(folder.run(&[]).0, 4, "at least one path");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = Folder::new("pipe", &[("good.json", &good())]);
    let pipe = folder.0.join("pipe.json");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (exit, _, err) = folder.run(&["pipe.json"]);
    assert!(exit == 4 && err.contains("no regular file"), "{err}");
    assert_eq!(folder.run(&["."]).0, 0, "in a folder it is no test");
}

// ---- the vendor's layout --------------------------------------------------------------------------------

const QUERY: &str = "SELECT e.car, n.name, COUNT(*) AS n INTO counts FROM entry e TIMESTAMP BY at\n\
    JOIN names n ON e.car = n.car GROUP BY e.car, n.name, TumblingWindow(minute, 1)\n\
    SELECT car INTO all_cars FROM entry TIMESTAMP BY at";

fn config(change: &dyn Fn(&mut Json)) -> String {
    let input = |alias: &str, kind: &str, format: &str, file: &str| json!({"InputAlias": alias, "Type": kind, "Format": format, "FilePath": file, "ScriptType": "InputMock"});
    let mut config = json!({
        "Script": "C:\\Users\\somebody\\job.asaql",
        "TestCases": [{
            "Name": "Case 1",
            "Inputs": [
                input("entry", "Data Stream", "JSON", "C:\\Users\\somebody\\entry.json"),
                input("names", "Reference Data", "Csv", "names.csv")
            ],
            "ExpectedOutputs": [
                {"OutputAlias": "counts", "FilePath": "counts.json", "IgnoreFields": ["name"], "Required": true},
                {"OutputAlias": "all_cars", "FilePath": "[N/A]", "Required": false}
            ]
        }]
    });
    change(&mut config);
    config.to_string()
}

/// A project as the vendor's tools lay it out.
fn project(name: &str, change: &dyn Fn(&mut Json)) -> Folder {
    let files: &[(&str, &str)] = &[
        ("job.asaql", QUERY),
        ("asaproj.json", "{\"name\": \"job\", \"startFile\": \"job.asaql\"}"),
        ("JobConfig.json", "{\"ScriptType\": \"JobConfig\"}"),
        ("test/testConfig.json", &config(change)),
        (
            "test/entry.json",
            "{\"car\": \"7\", \"at\": \"2024-01-01T00:00:01Z\"}\r\n{\"car\": \"7\", \"at\": \"2024-01-01T00:00:00.5Z\"}\r\n",
        ),
        ("test/list.json", "[{\"car\": \"7\", \"at\": \"2024-01-01T00:00:01Z\"}]"),
        ("test/names.csv", "car,name\r\n7,\"Seven, \"\"the\"\" car\"\r\n\r\n8,Eight\r\n"),
        ("test/ragged.csv", "car,name\n7\n"),
        ("test/twice.csv", "car,car\n7,8\n"),
        ("test/counts.json", "{\"car\": \"7\", \"n\": 2}\n"),
        ("test/one.json", "{\"car\": \"7\", \"name\": \"Seven, \\\"the\\\" car\", \"n\": 1}\n"),
        ("test/numbers.json", "1 2 3"),
        ("test/broken.json", "{\"car\": "),
    ];
    Folder::new(name, files)
}

#[test]
fn a_vendor_test_configuration_is_read_with_its_files() {
    let same: &dyn Fn(&mut Json) = &|_| {};
    let (exit, out, err) = project("vendor", same).run(&[".", "--seed", "1", "-v"]);
    assert_eq!(exit, 4, "a broken file that no test names is told: {out}{err}");
    assert!(err.contains("broken.json:1:"), "{err}");
    let folder = project("vendor", same);
    let (exit, out, err) = folder.run(&["test/testConfig.json", "--seed", "1", "-v"]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    assert_eq!(out, "passed  Case 1  test/testConfig.json  2 events, 1 row\n1 test passed, seed 0x1\n");
    std::fs::remove_file(folder.0.join("test/broken.json")).unwrap();
    assert_eq!(folder.run(&["."]).0, 0, "in a folder the files it names are data");
    // The script comes from the project where the configuration names none; a list of rows is rows, too.
    let folder = project("vendor-list", &|config| {
        config["Script"] = json!("");
        config["TestCases"][0]["Inputs"][0]["FilePath"] = json!("list.json");
        config["TestCases"][0]["ExpectedOutputs"][0]["FilePath"] = json!("one.json");
        config["TestCases"][0]["ExpectedOutputs"][0]["IgnoreFields"] = json!([]);
    });
    let (exit, out, err) = folder.run(&["test/testConfig.json"]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    // A row that is another is shown with the file that expects it.
    let folder = project("vendor-fails", &|config| {
        config["TestCases"][0]["ExpectedOutputs"][0]["FilePath"] = json!("one.json");
    });
    let (exit, out, _) = folder.run(&["test/testConfig.json"]);
    assert!(
        exit == 1 && out.contains("row 1 (test/one.json:1) is another") && !out.contains("Seven"),
        "{out}"
    );
}

#[test]
fn what_is_wrong_with_a_test_configuration_is_said_with_its_place() {
    type Change = fn(&mut Json);
    let cases: &[(Change, &str, &str)] = &[
        (|c| drop(c.as_object_mut().unwrap().remove("TestCases")), "test-needed", "neither a case nor"),
        (|c| c["TestCases"] = json!({}), "test-value", "TestCases must be a list"),
        (|c| c["Skript"] = json!(""), "test-member", "no member `Skript`"),
        (|c| c["Script"] = json!("other.asaql"), "test-value", "there is no query `other.asaql`"),
        (|c| c["Script"] = json!(7), "test-value", "Script must be text"),
        (|c| c["TestCases"][0]["Name"] = json!(null), "test-value", "Name must be text; it is null"),
        (
            |c| c["TestCases"][0] = json!({"Name": "x", "ExpectedOutputs": []}),
            "test-missing",
            "lacks `Inputs`",
        ),
        (
            |c| c["TestCases"][0] = json!({"Name": "x", "Inputs": []}),
            "test-missing",
            "lacks `ExpectedOutputs`",
        ),
        (|c| c["TestCases"][0]["Only"] = json!(true), "test-member", "no member `Only`"),
        (
            |c| c["TestCases"][0]["Inputs"][0]["Type"] = json!("Data Lake"),
            "test-value",
            "`Data Stream` or `Reference Data`",
        ),
        (|c| c["TestCases"][0]["Inputs"][0]["Format"] = json!("Avro"), "test-value", "`Json` or `Csv`"),
        (
            |c| c["TestCases"][0]["Inputs"][0]["FilePath"] = json!("x.json"),
            "test-value",
            "there is no file `x.json`",
        ),
        (
            |c| c["TestCases"][0]["Inputs"][0]["InputAlias"] = json!("NAMES"),
            "test-member",
            "two inputs are named",
        ),
        (
            |c| c["TestCases"][0]["Inputs"][0] = json!({"FilePath": "entry.json"}),
            "test-missing",
            "lacks `InputAlias`",
        ),
        (
            |c| c["TestCases"][0]["Inputs"][0]["FilePath"] = json!("broken.json"),
            "test-syntax",
            "broken.json:1:",
        ),
        (
            |c| c["TestCases"][0]["Inputs"][1]["FilePath"] = json!("ragged.csv"),
            "test-value",
            "1 fields where the header has 2",
        ),
        (
            |c| c["TestCases"][0]["Inputs"][1]["FilePath"] = json!("twice.csv"),
            "test-value",
            "names `car` twice",
        ),
        (
            |c| c["TestCases"][0]["ExpectedOutputs"][0]["FilePath"] = json!("numbers.json"),
            "test-value",
            "numbers.json:1:1",
        ),
        (
            |c| c["TestCases"][0]["ExpectedOutputs"][0]["Required"] = json!("no"),
            "test-value",
            "true or false",
        ),
        (
            |c| c["TestCases"][0]["ExpectedOutputs"][0]["IgnoreFields"] = json!("a"),
            "test-value",
            "must be a list",
        ),
        (
            |c| c["TestCases"][0]["ExpectedOutputs"][0]["Requird"] = json!(true),
            "test-member",
            "no member `Requird`",
        ),
    ];
    for (number, (change, code, words)) in cases.iter().enumerate() {
        let folder = project(&format!("vendor-{number}"), change);
        let (exit, out, err) = folder.run(&["test/testConfig.json"]);
        assert_eq!(exit, 4, "{words}: {out}{err}");
        let flat = err.replace('\n', " ");
        assert!(
            err.contains(&format!("error[{code}]")) && flat.contains(words) && err.contains("╭─["),
            "{words}: {err}"
        );
    }
    let folder = project("vendor-no-query", &|c| c["Script"] = json!(""));
    std::fs::remove_file(folder.0.join("job.asaql")).unwrap();
    let (exit, _, err) = folder.run(&["test/testConfig.json"]);
    assert!(exit == 4 && err.contains("nothing says which query is tested"), "{err}");
}
