//! `rewindow plan`: the page of a job, or of a query alone.

use std::path::PathBuf;

use clap::Args;
use rewindow::errors::Problem;
use rewindow::job::{self, Source, bare};
use rewindow::plan_page::PlanPage;

use super::{Exit, Format, screen};

#[derive(Args)]
pub(super) struct Arguments {
    /// A job.toml, or an .asaql query
    job: PathBuf,
    /// Entries per second that come in [default: as in the events of the job]
    #[arg(long, value_parser = parse_rate)]
    rate: Option<f64>,
    /// Start it "now" in virtual time, on its own events, and say when the first row comes
    #[arg(long)]
    simulate: bool,
    /// How the page is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Most entries per second, as for a deployment.
const RATE_MAX: f64 = 1e12;

pub(super) fn plan(arguments: &Arguments) -> Result<Exit, Problem> {
    let page = match job::open(&arguments.job)? {
        Source::Query(query) => {
            if arguments.rate.is_some() {
                super::note("--rate says nothing about a query alone: it needs a job.toml");
            }
            if arguments.simulate {
                super::note("--simulate says nothing about a query alone: it needs a job.toml");
            }
            PlanPage::of_query(&query, &bare::DEFAULTS)
        }
        Source::Job(job) => {
            screen::remarks(&job.log.remarks);
            let mut page = PlanPage::of_job(&job, arguments.rate);
            if arguments.simulate {
                page.simulate(&job).map_err(|error| Problem::of_case(&error, &arguments.job))?;
                if page.deployed.as_ref().is_none_or(|deployed| deployed.simulated.is_none()) {
                    super::note("nothing to simulate: no events, or more come in than can be processed");
                }
            }
            page
        }
    };
    super::print(&match arguments.format {
        Format::Text => page.screen(),
        Format::Json => super::json(&page)?,
    })?;
    Ok(Exit::Held)
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.replace([',', '_'], "").parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= RATE_MAX => Ok(rate),
        _ => Err("a number of entries per second, such as 12000, up to 10^12".to_owned()),
    }
}
