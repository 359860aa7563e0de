//! *Paxos Made Simple*, rule by rule: for each that can fail, a short story in the language of the
//! scenario scripts in which it would.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use support::script::Script;

/// Plays commands, one a line, and gives back all that came of them.
fn play(script: &mut Script, commands: &str) -> String {
    let lines = commands.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| script.run(line)).collect()
}

/// Three nodes, of which node 1 leads in ballot 1.1; disks sync when told.
fn led() -> Script {
    let mut script = Script::new();
    play(&mut script, "nodes 3\nlead 1");
    script
}

#[track_caller]
fn says(text: &str, line: &str) {
    assert!(text.lines().any(|l| l.trim() == line), "no `{line}` in:\n{text}");
}

#[track_caller]
fn never(text: &str, part: &str) {
    assert!(!text.contains(part), "`{part}` in:\n{text}");
}

/// §2.1, safety: only a proposed value is chosen, only one, and nobody learns what was not chosen.
#[test]
fn a_value_is_executed_only_when_a_majority_accepted_it() {
    let mut script = led();
    let before = play(&mut script, "propose 1 a\ndeliver 2\ndeliver 3\nsync 1");
    never(&before, "executes");
    let after = play(&mut script, "sync 2\ndeliver 1");
    says(&after, "1: executes #2.0 a (proposal 1)");
}

/// §2.2, P1: an acceptor takes the first proposal it hears of, of whomever.
#[test]
fn the_first_proposal_that_arrives_is_accepted() {
    let mut script = Script::new();
    let text = play(&mut script, "nodes 3\nlead 2\ndrop all\nstatus");
    says(&text, "3: Follower, leader 1.2, promised 1.2, chosen #1, applied #1:");
}

/// §2.2, P1a: a proposal is accepted unless a higher number was promised; then it is not.
#[test]
fn a_proposal_below_the_promise_is_not_accepted() {
    let mut script = led();
    play(&mut script, "propose 1 a\nhold 1->2\nhold 1->3\nage 2 2s\nage 3 2s\nwake 2\nstabilize");
    let text = play(&mut script, "release 1->2\nsync 2");
    says(&text, "2->1: nack 1.1, promised 2.2");
    never(&text, "accepted 1.1");
}

/// §2.2, P2b and P2c: once a value is chosen, every higher-numbered proposal has that value, since
/// its proposer hears of it from any majority.
#[test]
fn a_chosen_value_is_what_every_later_leader_proposes() {
    for (second, third) in [(2, 3), (3, 2)] {
        let mut script = led();
        let kept = play(&mut script, "propose 1 a\ndeliver 2\ndeliver 3\nsync 2\nsync 3\npower 1");
        never(&kept, "executes");
        play(&mut script, "drop all");
        let text = play(&mut script, &format!("lead {second}\nrestart 1\nrun 100ms"));
        says(&text, &format!("{second}: executes #2.0 a"));
        let text = play(&mut script, &format!("kill {second}\nlead {third}\nrun 100ms\nstatus"));
        assert!(text.contains(&format!("{third}: Leader")) && text.contains(": a\n"), "{text}");
    }
}

/// §2.2, P2c: of several reported proposals the one with the highest number counts.
#[test]
fn the_highest_numbered_report_wins() {
    let mut script = Script::new();
    // Node 1 has `old` from 1.1; node 2 has a no-op from 2.2; nobody else has either.
    play(&mut script, "nodes 3 sync=auto\nlead 1\npropose 1 old\ndrop all\nkill 1\ncampaign 2");
    play(&mut script, "deliver 3\ndeliver 2\ndeliver 3\ndeliver 2\ndrop all\nkill 2\nkill 3");
    let text = play(&mut script, "restart 1\nrestart 2\ndrop all\ncampaign 1\nstabilize\nlead 1");
    says(&text, "1: restarts, promised 1.1, chosen #1, #2 1.1 old");
    says(&text, "2: restarts, promised 2.2, chosen #1, #2 2.2 noop");
    never(&play(&mut script, "status"), "old");
    says(
        &play(&mut script, "kill 2\nrestart 2"),
        "2: restarts, promised 3.1, chosen #1, #2 3.1 noop",
    );
}

/// §2.2, phase 1 (a): the proposer asks with a number, and needs a majority of answers.
#[test]
fn a_candidate_leads_only_with_promises_of_a_majority() {
    let mut script = Script::new();
    let commands = "nodes 3\ncampaign 1\ndeliver 2\ndeliver 3\ndeliver 1\nsync 1";
    let text = play(&mut script, commands);
    says(&text, "1->2: prepare 1.1 from #1");
    never(&text, "leads");
    says(&play(&mut script, "deliver 2\nsync 2\ndeliver 1"), "1: leads 1.1");
}

/// §2.2, phase 1 (b): the promise names the highest-numbered proposal accepted, if any.
#[test]
fn a_promise_reports_what_was_accepted() {
    let mut script = led();
    play(&mut script, "propose 1 a\ndeliver 1->2\nsync 2\ndrop all\nkill 1");
    let text = play(&mut script, "campaign 3\nstabilize");
    says(&text, "2->3: promise 2.3 #2..#end, #2 1.1 a");
    never(&text, "promise 1.1");
}

/// §2.2, phase 1 (b): a number at or below one promised gets no promise.
#[test]
fn a_prepare_below_the_promise_is_refused() {
    let mut script = Script::new();
    play(&mut script, "nodes 3 sync=auto\ncampaign 1\ndeliver 2\ndeliver 1\nhold 1->2\nhold 1->3");
    play(&mut script, "lead 3");
    let text = play(&mut script, "release 1->2");
    never(&text, "2->1: promise");
    says(&text, "2->1: nack 1.1, promised 1.3");
}

/// §2.2, phase 2 (a): free to propose anything where nobody reported anything.
#[test]
fn a_leader_proposes_what_clients_ask_where_nothing_was_reported() {
    let mut script = led();
    says(&play(&mut script, "propose 2 mine\ndeliver 1"), "1->3: accept 1.1 #2 mine, chosen #1");
}

/// §2.2: abandoning a proposal is always safe, and a refusal is a reason to.
#[test]
fn a_refused_leader_gives_up_its_ballot() {
    let mut script = led();
    play(&mut script, "cut 1-2\ncut 1-3\nage 2 2s\nage 3 2s\nwake 2\nstabilize\nheal");
    let text = play(&mut script, "after 50ms\nstabilize");
    says(&text, "1: steps down from 1.1: Outbid");
}

/// §2.3: a learner hears from one distinguished learner, and asks if messages were lost.
#[test]
fn what_is_chosen_is_learned_even_if_no_message_of_it_arrived() {
    let mut script = led();
    play(&mut script, "cut 1->3\npropose 1 a\nstabilize\nheal\n");
    let text = play(&mut script, "after 50ms\nstabilize");
    says(&text, "3: executes #2.0 a");
}

/// §2.4: two proposers must not keep each other from choosing for ever.
#[test]
fn duelling_candidates_come_to_an_end() {
    let mut script = Script::new();
    play(&mut script, "nodes 3 sync=auto\ncampaign 1\nage 2 2s\nage 3 2s\nwake 2\nwake 3");
    let text = play(&mut script, "run 3s\npropose 1 a\nrun 100ms\nstatus");
    assert_eq!(text.matches("Leader, leader").count(), 1, "{text}");
    assert_eq!(text.matches(": a\n").count(), 3, "{text}");
}

/// §2.5: an acceptor remembers its promise and its votes; it records them before it answers.
#[test]
fn an_acceptor_answers_only_when_its_disk_holds_the_answer() {
    let mut script = led();
    let text = play(&mut script, "propose 1 a\ndeliver 1->2");
    says(&text, "2: write accepted 1.1 #2 a, chosen #1");
    never(&text, "2->1: accepted");
    says(&play(&mut script, "sync 2"), "2->1: accepted 1.1 #2");
    let text = play(&mut script, "power 2\nrestart 2");
    assert!(text.contains("promised 1.1") && text.contains("#2 1.1 a"), "{text}");
}

/// §2.5: no two proposals have one number: sets are disjoint, and a proposer remembers the highest
/// it has tried, before it tries.
#[test]
fn a_number_is_used_once_whatever_is_lost() {
    let mut script = Script::new();
    let text = play(&mut script, "nodes 3\ncampaign 1\ndeliver 2\ndeliver 1");
    says(&text, "1: write promised 1.1");
    never(&text, "1->2: prepare");
    says(&play(&mut script, "sync 1"), "1->2: prepare 1.1 from #1");
    let text = play(&mut script, "power 1\nrestart 1\ndrop all\ncampaign 1");
    says(&text, "1: canvasses 2.1");
    let mut other = Script::new();
    says(&play(&mut other, "nodes 3\ncampaign 3"), "3: canvasses 1.3");
}

/// §3: one phase 1 covers all instances; in the steady state there is only phase 2.
#[test]
fn one_phase_1_serves_all_instances() {
    let mut script = led();
    let text = play(&mut script, "propose 1 a\nstabilize\npropose 1 b\nstabilize\nstatus");
    never(&text, "prepare");
    assert_eq!(text.matches(": a b\n").count(), 3, "{text}");
}

/// §3: a new leader fills gaps below what it found with no-ops, and executes in order only.
#[test]
fn gaps_are_filled_with_no_ops_and_nothing_is_executed_above_one() {
    let mut script = led();
    let text = play(
        &mut script,
        "propose 1 a\ndrop all\npropose 1 b\ndeliver 2\ndeliver 3\nsync 2\nsync 3\ndeliver 1\nsync 1",
    );
    never(&text, "executes");
    play(&mut script, "power 1\ndrop all");
    let text = play(&mut script, "campaign 2\nstabilize\nstatus");
    says(&text, "2->3: accept 2.2 #2 noop, chosen #1");
    says(&text, "2->3: accept 2.2 #3 b, chosen #1");
    says(&text, "3: Follower, leader 2.2, promised 2.2, chosen #3, applied #3: b");
}

/// §3: a leader may be ahead of what is chosen by a bounded number of instances.
#[test]
fn a_leader_is_ahead_by_at_most_its_window() {
    let mut script = Script::new();
    play(&mut script, "nodes 3 window=2\nlead 1");
    let text = play(&mut script, "propose 1 a\npropose 1 b\npropose 1 c");
    says(&text, "1->2: accept 1.1 #3 b, chosen #1");
    never(&text, "#4");
    says(&play(&mut script, "stabilize"), "1->2: accept 1.1 #4 c, chosen #2");
}
