//! Plans as files: one JSON object a line, so that two plans can be compared line by line.
//!
//! The first line holds the settings, then comes a line for each fault and for each request. What a
//! line does not say is calm: nothing is lost, nothing is slow. So a file keeps its meaning when the
//! simulator learns new faults, and when seeds come to stand for other plans.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Plan;
use super::requests::Request;
use crate::faults::Planned;

/// A plan and what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    /// What somebody should know who opens the file.
    pub about: About,
    /// The plan.
    pub plan: Plan,
}

/// What somebody should know who opens the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// The rule that the plan broke, if it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// How.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub broke: String,
    /// The commit of the code that broke it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The hash of that run, in hexadecimal digits: another one means that the code has changed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// What the bug was, once that is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub story: String,
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Line<P> {
    /// The version of this format.
    SynodPlan(u32),
    About(About),
    Settings(P),
    Fault(Planned),
    Request(Request),
}

/// Why a file is no plan.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlanFileError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// It is not of a version that this program knows.
    Version(u32),
    /// A line is not understood: its number from 1, and why.
    Line(usize, String),
    /// The plan asks for what makes no sense.
    Plan(String),
}

impl PlanFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If there is none, or it is no plan.
    pub fn read(path: &Path) -> Result<Self, PlanFileError> {
        let text =
            fs::read_to_string(path).map_err(|error| PlanFileError::Io(path.into(), error))?;
        Self::parse(&text)
    }

    /// Reads a plan from text.
    ///
    /// # Errors
    ///
    /// If it is no plan.
    pub fn parse(text: &str) -> Result<Self, PlanFileError> {
        let mut about = About::default();
        let mut plan = Plan::default();
        let (mut faults, mut requests) = (Vec::new(), Vec::new());
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |error: serde_json::Error| PlanFileError::Line(n + 1, error.to_string());
            match serde_json::from_str(line).map_err(wrong)? {
                Line::SynodPlan(VERSION) => {}
                Line::SynodPlan(version) => return Err(PlanFileError::Version(version)),
                Line::About(said) => about = said,
                Line::Settings(settings) => plan = settings,
                Line::Fault(fault) => faults.push(fault),
                Line::Request(request) => requests.push(request),
            }
        }
        (plan.faults, plan.requests) = (faults, requests);
        plan.check().map_err(PlanFileError::Plan)?;
        Ok(Self { about, plan })
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, self.text())
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { about, plan } = self;
        let mut text = String::new();
        let mut line = |line: Line<&Plan>| {
            let line = serde_json::to_string(&line).expect("plans have no odd keys");
            writeln!(text, "{line}").expect("writing to a string does not fail");
        };
        line(Line::SynodPlan(VERSION));
        if *about != About::default() {
            line(Line::About(about.clone()));
        }
        line(Line::Settings(plan));
        plan.faults.iter().for_each(|fault| line(Line::Fault(fault.clone())));
        plan.requests.iter().for_each(|request| line(Line::Request(request.clone())));
        text
    }
}

impl std::fmt::Display for PlanFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Version(version) => {
                write!(f, "a plan of version {version}; this program reads version {VERSION}")
            }
            Self::Line(n, why) => write!(f, "line {n}: {why}"),
            Self::Plan(why) => write!(f, "the plan does not work: {why}"),
        }
    }
}

impl std::error::Error for PlanFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Version(_) | Self::Line(..) | Self::Plan(_) => None,
        }
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Preset;

    #[test]
    fn every_plan_survives_its_file() {
        for seed in 0..200 {
            let about = About { story: "a \"story\"".to_owned(), ..About::default() };
            let file = PlanFile { about, plan: Plan::of(seed) };
            assert_eq!(PlanFile::parse(&file.text()).unwrap(), file, "seed {seed}");
        }
    }

    #[test]
    fn what_a_file_does_not_say_is_calm() {
        let plan = PlanFile::parse("{\"synod-plan\":1}\n").unwrap().plan;
        assert_eq!(plan, Plan::default());
        assert_eq!(plan.preset, Preset::Calm);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let plan = PlanFile { about: About::default(), plan: Plan::of(1) }.text();
        let says = |text: &str| PlanFile::parse(text).unwrap_err().to_string();
        assert!(says("{\"synod-plan\":9}").contains("version 9"));
        assert!(says(&plan.replace("\"nodes\"", "\"knots\"")).contains("knots"));
        assert!(says(&format!("{plan}{{\"fault\":{{}}}}")).starts_with("line "));
        let request = r#"{"request":{"client":99,"pause":"1ms","ask":{"read":0},"patience":"1s"}}"#;
        assert!(says(&format!("{{\"synod-plan\":1}}\n{request}")).contains("client 99"));
    }
}
