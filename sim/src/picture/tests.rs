use std::collections::BTreeMap;

use serde_json::Value;

use super::page;
use super::rules::WORDS;
use crate::checkers::Violation;
use crate::plan::{Plan, Preset};
use crate::run::{Watched, watch};
use crate::{Guests, Options, run_plan};

fn run(seed: u64) -> (Plan, Watched) {
    let plan = Plan::draw(seed, Preset::Mix);
    let watched = watch(&plan, &Guests::default(), usize::MAX);
    (plan, watched)
}

fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script id=\"data\" type=\"application/json\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn keeping_everything_changes_nothing_in_a_run() {
    for seed in 0..8 {
        let (plan, watched) = run(seed);
        let plain = run_plan(&plan, &Options::default()).unwrap();
        assert_eq!((plain.hash, plain.stats), (watched.hash, watched.stats), "seed {seed}");
    }
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let (plan, watched) = run(3);
    let page = page(&plan, &watched, "synod-sim replay 3");
    let (before, rest) = page.split_once("<script id=\"data\"").unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    let own = format!("{before}{after}");
    for sign in [
        "http:", "https:", "src=", "href=", "url(", "@import", "fetch(", "XMLHttp", "import(",
        "//cdn", "{{",
    ] {
        assert!(!own.contains(sign), "{sign}");
    }
}

#[test]
fn a_page_holds_what_happened() {
    let (plan, watched) = run(3);
    let data = data(&page(&plan, &watched, "synod-sim replay 3"));
    let rows = data["rows"].as_array().unwrap();
    assert_eq!(rows.len(), watched.steps.len());
    let mut codes: BTreeMap<i64, u64> = BTreeMap::new();
    for row in rows {
        *codes.entry(row[3].as_i64().unwrap()).or_default() += 1;
    }
    let stats = &watched.stats;
    assert_eq!(codes.get(&11).copied().unwrap_or(0), stats.messages);
    assert_eq!(codes[&9], stats.syncs);
    // Some are stopped before they have read their log.
    assert!(codes[&1] <= stats.starts && codes[&1] > 0);
    assert_eq!(codes[&14], stats.chosen);
    assert_eq!(data["head"]["hash"], format!("{:016x}", watched.hash));
    let time: i64 = rows.iter().map(|row| row[0].as_i64().unwrap()).sum();
    assert_eq!(time, i64::try_from(watched.steps.last().unwrap().at.as_nanos()).unwrap());
}

#[test]
fn no_text_ends_the_element_that_holds_it() {
    let (plan, mut watched) = run(3);
    let what = "n2 in group 0 said </script><b>".to_owned();
    watched.broken = Some(Violation::new("choices", what.clone()));
    let page = page(&plan, &watched, "synod-sim replay 3");
    let data = data(&page);
    assert_eq!(data["head"]["broken"]["what"], what);
    assert_eq!(data["head"]["broken"]["spot"]["node"], 1);
    assert!(!page.contains("<b>"));
}

#[test]
fn every_rule_is_explained() {
    let mut folders = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/src").into()];
    let mut missing = Vec::new();
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir::<std::path::PathBuf>(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for rest in text.split(concat!("Violation", "::new(")).skip(1) {
                    let Some(rule) = rest.trim_start().strip_prefix('"') else { continue };
                    let rule = rule.split('"').next().unwrap();
                    count += 1;
                    if !WORDS.iter().any(|(name, _)| *name == rule) {
                        missing.push(format!("{rule} in {}", path.display()));
                    }
                }
            }
        }
    }
    assert!(count > 20, "the rules were not found");
    assert!(missing.is_empty(), "picture/rules.rs has no words for {missing:#?}");
}
