//! The suite for transports finds those that break a promise, and passes the one in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stdout, reason = "what a failure looks like")]

mod bus;
mod worse;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bus::Bus;
use synod::conformance::Failures;
use synod::conformance::transport::Suite;
use synod::transport::memory::MemoryNetwork;
use worse::{Bug, InMemory};

fn check(bug: Bug, patience: Duration) -> Result<(), Failures> {
    let setup = InMemory(MemoryNetwork::new(), AtomicU64::new(1), bug);
    Suite::new(setup).patience(patience).run()
}

/// What each failed check says, of a transport with this bug; others may fail along with it.
fn failures(bug: Bug) -> Vec<(&'static str, String)> {
    failures_within(bug, Duration::from_secs(1))
}

fn failures_within(bug: Bug, patience: Duration) -> Vec<(&'static str, String)> {
    let failures = check(bug, patience).expect_err("it has a bug");
    println!("{bug:?}: {failures}");
    failures.list().iter().map(|failure| (failure.check, failure.reason.clone())).collect()
}

/// That this check, and no other, failed with these words.
fn only(bug: Bug, check: &str, words: &str) {
    let failures = failures_within(bug, Duration::from_secs(10));
    let [(found, reason)] = &failures[..] else { panic!("not just {check}: {failures:#?}") };
    assert_eq!(*found, check);
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn the_network_in_memory_keeps_every_promise() {
    check(Bug::Nothing, Duration::from_secs(30)).unwrap();
}

#[test]
fn who_drops_large_frames_is_found() {
    let failures = failures(Bug::DropsLarge);
    let (_, reason) =
        failures.iter().find(|(check, _)| *check == "large frames arrive").expect("found");
    assert_eq!(
        reason,
        "not within 1s: a frame of 1000036 bytes from node 1, sent repeatedly, arrives at node 2"
    );
}

#[test]
fn who_delivers_to_the_wrong_peer_is_found() {
    let failures = failures(Bug::WrongPeer);
    let words = "was handed a frame as node ";
    let found = |(check, reason): &(&str, String)| {
        *check == "frames reach their peer" && reason.contains(words)
    };
    assert!(failures.iter().any(found), "{failures:#?}");
}

#[test]
fn who_blocks_in_send_is_found() {
    let failures = failures(Bug::BlocksInSend);
    let words = "`send` at node 1 did not return within 1s: it must not wait for anything";
    let found =
        |(check, reason): &(&str, String)| *check == "send never waits" && reason.contains(words);
    assert!(failures.iter().any(found), "{failures:#?}");
}

#[test]
fn who_is_slow_in_send_is_found() {
    let failures = failures(Bug::SlowFlush);
    assert!(failures.iter().any(|(check, _)| *check == "send never waits"), "{failures:#?}");
}

#[test]
fn who_queues_without_a_bound_is_found() {
    let failures = failures(Bug::QueuesForEver);
    assert!(failures.iter().any(|(check, _)| *check == "memory is bounded"), "{failures:#?}");
}

#[test]
fn who_hides_what_is_dropped_is_found() {
    only(Bug::NothingDropped, "memory is bounded", "shows none dropped");
}

#[test]
fn who_goes_on_after_close_is_found() {
    only(Bug::NeverCloses, "the end is clean", "handed in at node 1 after `close`");
}

#[test]
fn who_keeps_the_endpoint_is_found() {
    let failures = failures(Bug::KeepsTheEndpoint);
    let words = "all clones of the endpoint of node 1 are gone";
    assert!(failures.iter().any(|(_, reason)| reason.contains(words)), "{failures:#?}");
}

#[test]
fn who_ignores_disconnect_is_found() {
    let failures = failures(Bug::ForgetsToDisconnect);
    let words = "lists [2, 3], not [3]";
    assert!(failures.iter().any(|(_, reason)| reason.contains(words)), "{failures:#?}");
}

#[test]
fn who_asks_who_it_is_once_and_not_at_every_connection_is_found() {
    let failures = Suite::new(Bus::default()).patience(Duration::from_secs(10)).run();
    let failures = failures.expect_err("it has a bug");
    println!("{failures}");
    let found: Vec<(&str, &str)> =
        failures.list().iter().map(|failure| (failure.check, failure.reason.as_str())).collect();
    assert_eq!(
        found,
        [
            ("clusters are kept apart", "node 1 was handed a frame of a node 2 of another cluster"),
            (
                "a wrong address reaches nobody",
                "node 3 was handed a frame that was meant for node 2"
            ),
            (
                "a peer may start again",
                "node 1 was handed a frame of a node 2 that it had turned away"
            ),
        ]
    );
}
