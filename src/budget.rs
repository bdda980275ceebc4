//! Budgets: how much is tried, with which seed, on how many threads. The only place of the program that reads
//! the environment or a clock.
//!
//! The environment says how long to look, never what is right. Knows nothing of cases. What stands on the
//! command line wins over the environment, the environment over the job.
//!
//! | variable | meaning |
//! |---|---|
//! | `REWINDOW_CASES` | how many schedules |
//! | `REWINDOW_TIME` | no new schedule after this long, such as `90 s` or `00:05:00` |
//! | `REWINDOW_SEED` | a number (`12`, `0x8f21c0de`), `commit`, or `random` |
//! | `REWINDOW_JOBS` | how many threads |
//! | `REWINDOW_DETERMINISM` | which of the cases that held are run again: `off`, `sample` (one in a hundred), `all` |
//! | `REWINDOW_REPORT_DIR` | where reports go, instead of `target/rewindow` |
//!
//! Without a seed it is made of the job's name and this program's version: a red build stays red, and a new
//! version explores something new.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rewindow_query::Span;

use crate::errors::Problem;
use crate::fingerprint::fnv1a;

/// Most threads used without being asked to.
const JOBS_MAX: usize = 8;

/// What was asked for; `None` where nothing was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    /// How many schedules.
    pub cases: Option<u64>,
    /// No new schedule after this long.
    pub time: Option<Duration>,
    /// Where the seed comes from.
    pub seed: Option<Seed>,
    /// How many threads.
    pub jobs: Option<usize>,
    /// Which of the cases that held are run again.
    pub determinism: Option<Determinism>,
    /// Where reports go.
    pub report_dir: Option<PathBuf>,
}

/// Where a seed comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seed {
    /// It is given.
    Number(u64),
    /// From the commit that is checked out where the job lies, and the job's name.
    Commit,
    /// A new one each time; it is printed, so it can be given again.
    Random,
}

/// Which of the cases that held are run again, to see whether the run is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Determinism {
    /// None.
    Off,
    /// One in a hundred.
    Sample,
    /// All.
    All,
}

/// A seed that is decided, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChosenSeed {
    /// The number.
    pub number: u64,
    /// `given`, `from commit 1a2b3c4`, `random`, or `default`: from the job's name and
    /// this program's version.
    pub origin: String,
}

/// `seed 0x8f21c0de (given)`
impl fmt::Display for ChosenSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {:#010x} ({})", self.number, self.origin)
    }
}

impl Budget {
    /// What the environment asks for.
    ///
    /// # Errors
    /// A variable that cannot be understood: a budget is never guessed.
    pub fn from_environment() -> Result<Budget, Problem> {
        #[expect(clippy::disallowed_methods, reason = "budgets are read here and nowhere else")]
        let read = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Budget::from_variables(&read)
    }

    fn from_variables(read: &dyn Fn(&str) -> Option<OsString>) -> Result<Budget, Problem> {
        fn value<T>(
            read: &dyn Fn(&str) -> Option<OsString>,
            name: &str,
            parse: fn(&str) -> Result<T, String>,
        ) -> Result<Option<T>, Problem> {
            let Some(bytes) = read(name) else { return Ok(None) };
            let text = bytes.into_string().map_err(|bytes| format!("{bytes:?} is not UTF-8"));
            let problem = |e| Problem::new("environment", format!("{name}: {e}"));
            let parsed = text.and_then(|text| parse(&text));
            parsed.map(Some).map_err(|e| problem(e).help(format!("correct it, or unset {name}")))
        }
        Ok(Budget {
            cases: value(read, "REWINDOW_CASES", parse_cases)?,
            time: value(read, "REWINDOW_TIME", parse_time)?,
            seed: value(read, "REWINDOW_SEED", parse_seed)?,
            jobs: value(read, "REWINDOW_JOBS", parse_jobs)?,
            determinism: value(read, "REWINDOW_DETERMINISM", parse_determinism)?,
            report_dir: read("REWINDOW_REPORT_DIR").map(PathBuf::from),
        })
    }

    /// This budget, completed by another where it asks for nothing.
    #[must_use]
    pub fn or(self, other: Budget) -> Budget {
        Budget {
            cases: self.cases.or(other.cases),
            time: self.time.or(other.time),
            seed: self.seed.or(other.seed),
            jobs: self.jobs.or(other.jobs),
            determinism: self.determinism.or(other.determinism),
            report_dir: self.report_dir.or(other.report_dir),
        }
    }

    /// The seed for a job of this name that lies in `folder`.
    ///
    /// # Errors
    /// `commit` was asked for, and there is none.
    pub fn seed_for(&self, name: &str, folder: &Path) -> Result<ChosenSeed, Problem> {
        let short = |text: &str| fnv1a(text.as_bytes()) & 0xffff_ffff;
        Ok(match self.seed {
            Some(Seed::Number(number)) => ChosenSeed { number, origin: "given".to_owned() },
            Some(Seed::Random) => {
                use std::hash::{BuildHasher, RandomState};
                let number = RandomState::new().hash_one("seed") & 0xffff_ffff;
                ChosenSeed { number, origin: "random".to_owned() }
            }
            Some(Seed::Commit) => {
                let commit = commit(folder).ok_or_else(|| {
                    Problem::new("seed-commit", "there is no commit to make a seed of")
                        .in_file(folder)
                        .help("give a number, --seed 1, or check the job out of a git repository")
                })?;
                let number = short(&format!("{commit} {name}"));
                ChosenSeed { number, origin: format!("from commit {}", &commit[..7]) }
            }
            None => {
                let number = short(&format!("{name} {}", env!("CARGO_PKG_VERSION")));
                ChosenSeed { number, origin: "default".to_owned() }
            }
        })
    }

    /// How many threads to use: what was asked for, else one for each processor, up to eight.
    pub fn threads(&self) -> usize {
        let available = std::thread::available_parallelism().map_or(2, usize::from);
        self.jobs.unwrap_or(available.min(JOBS_MAX)).max(1)
    }
}

/// Whether the user asked for text without colours: `NO_COLOR` is set to something.
pub fn colours_unwanted() -> bool {
    #[expect(clippy::disallowed_methods, reason = "how something looks is no meaning")]
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A number of schedules.
///
/// # Errors
/// Text that is none.
pub fn parse_cases(text: &str) -> Result<u64, String> {
    match text.replace([',', '_'], "").parse::<u64>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("`{text}` is no number of schedules, such as 2000")),
    }
}

/// A length of time.
///
/// # Errors
/// Text that is none.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let spaced = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) if !text[..at].ends_with(' ') => format!("{} {}", &text[..at], &text[at..]),
        _ => text.to_owned(),
    };
    let span = Span::parse(text).or_else(|| Span::parse(&spaced)).filter(|s| *s > Span::ZERO);
    let micros = span.and_then(|s| u64::try_from(s.0 / 10).ok());
    micros
        .map(Duration::from_micros)
        .ok_or_else(|| format!("`{text}` is no time, such as `90 s` or `00:05:00`"))
}

/// A seed.
///
/// # Errors
/// Text that is none.
pub fn parse_seed(text: &str) -> Result<Seed, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match (text, number) {
        ("commit", _) => Ok(Seed::Commit),
        ("random", _) => Ok(Seed::Random),
        (_, Some(number)) => Ok(Seed::Number(number)),
        _ => Err(format!("`{text}` is no seed: give a number (12, 0x8f21c0de), `commit` or `random`")),
    }
}

/// A number of threads.
///
/// # Errors
/// Text that is none.
pub fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err(format!("`{text}` is no number of threads, 1 to 1024")),
    }
}

/// Which cases are run again.
///
/// # Errors
/// Text that says nothing of the kind.
pub fn parse_determinism(text: &str) -> Result<Determinism, String> {
    match text {
        "off" => Ok(Determinism::Off),
        "sample" => Ok(Determinism::Sample),
        "all" => Ok(Determinism::All),
        _ => Err(format!("`{text}` is none of `off`, `sample`, `all`")),
    }
}

/// The commit checked out in the repository that holds a folder, read from its files.
fn commit(folder: &Path) -> Option<String> {
    let start = std::path::absolute(folder).ok()?;
    let git = start.ancestors().map(|a| a.join(".git")).find(|git| git.is_dir())?;
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let id = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_owned(),
        Some(name) => match std::fs::read_to_string(git.join(name)) {
            Ok(id) => id.trim().to_owned(),
            Err(_) => {
                let packed = std::fs::read_to_string(git.join("packed-refs")).ok()?;
                packed.lines().find_map(|l| l.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))?
            }
        },
    };
    (id.len() >= 40 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// How long something has taken, for progress and for budgets of time; no verdict depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[expect(clippy::disallowed_methods, reason = "progress and budgets of time only")]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_understood_or_named() {
        let read = |name: &str| {
            let value = match name {
                "REWINDOW_CASES" => "2,000",
                "REWINDOW_TIME" => "90s",
                "REWINDOW_SEED" => "0x10",
                "REWINDOW_JOBS" => "3",
                "REWINDOW_DETERMINISM" => "all",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let budget = Budget::from_variables(&read).unwrap();
        assert_eq!((budget.cases, budget.seed, budget.jobs), (Some(2_000), Some(Seed::Number(16)), Some(3)));
        assert_eq!((budget.time, budget.report_dir), (Some(Duration::from_secs(90)), None));
        for name in ["CASES", "TIME", "SEED", "JOBS", "DETERMINISM"] {
            let name = format!("REWINDOW_{name}");
            let bad = Budget::from_variables(&|n| (n == name).then(|| "soon".into())).unwrap_err();
            assert!(bad.message.starts_with(&name), "{bad}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_variable_that_is_no_text_is_named_and_a_folder_may_have_any_name() {
        use std::os::unix::ffi::OsStringExt;
        let odd = || OsString::from_vec(vec![0xff]);
        for name in ["CASES", "TIME", "SEED", "JOBS", "DETERMINISM"] {
            let name = format!("REWINDOW_{name}");
            let bad = Budget::from_variables(&|n| (n == name).then(odd)).unwrap_err();
            assert!(bad.message.starts_with(&name) && bad.message.ends_with("is not UTF-8"), "{bad}");
        }
        let budget = Budget::from_variables(&|n| (n == "REWINDOW_REPORT_DIR").then(odd)).unwrap();
        assert_eq!(budget.report_dir, Some(PathBuf::from(odd())));
    }

    #[test]
    fn the_seed_of_a_job_stays_as_long_as_its_name_and_version() {
        let seed = |name| Budget::default().seed_for(name, Path::new(".")).unwrap().number;
        assert_eq!(seed("a"), seed("a"));
        assert_ne!(seed("a"), seed("b"));
        let given = Budget { seed: Some(Seed::Number(7)), ..Budget::default() };
        assert_eq!(given.seed_for("a", Path::new(".")).unwrap().to_string(), "seed 0x00000007 (given)");
    }
}
