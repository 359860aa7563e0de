//! A run as a picture: one page that needs nothing but a browser.
//!
//! The page holds its style, its scripts (`picture/page/`, written by hand, no libraries) and the
//! run as JSON. It asks no network for anything, so it can be mailed, archived and opened years later.

mod data;
mod place;
mod rules;
#[cfg(test)]
mod tests;

use crate::plan::Plan;
use crate::run::Watched;

use data::Data;
pub use place::Spot;

/// The page that shows a run. `command` is what to type to see it again.
///
/// The run has to have been watched with all its steps kept, or only the end of it is shown.
#[must_use]
pub fn page(plan: &Plan, watched: &Watched, command: &str) -> String {
    let data = Data::of(plan, watched, command);
    let json = serde_json::to_string(&data).expect("numbers and texts");
    // No text inside can end the element that holds it.
    let json = json.replace('<', "\\u003c");
    let mut page = FRAME.to_owned();
    page = page.replace("{{title}}", &escaped(&format!("{} · synod", plan.name())));
    page = page.replace("{{style}}", STYLE);
    page = page.replace("{{script}}", &SCRIPTS.concat());
    page.replace("{{data}}", &json)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const FRAME: &str = include_str!("picture/page/frame.html");

const STYLE: &str = include_str!("picture/page/style.css");

/// In the order in which they build on each other.
const SCRIPTS: [&str; 9] = [
    include_str!("picture/page/run.js"),
    include_str!("picture/page/log.js"),
    include_str!("picture/page/scale.js"),
    include_str!("picture/page/look.js"),
    include_str!("picture/page/diagram.js"),
    include_str!("picture/page/messages.js"),
    include_str!("picture/page/grid.js"),
    include_str!("picture/page/panel.js"),
    include_str!("picture/page/main.js"),
];
