//! Instructions per command, counted by callgrind: the same on a loaded machine.

use std::env;
use std::process::Command;

/// Prints instructions per chosen command at window 1 and 1024, with payloads of 16 bytes.
///
/// Each configuration runs with N and with 3N commands, and the difference is divided by 2N, so
/// that starting, electing and growing do not count.
pub(crate) fn table() {
    println!("instructions per chosen command, three nodes together, 16-byte payloads\n");
    println!("{:>6} {:>7} {:>9} {:>9} {:>6}", "window", "form", "synod", "omnipaxos", "ratio");
    for window in [1, 1024] {
        for form in ["structs", "codec"] {
            let commands = if window == 1 { 4096 } else { 65_536 };
            let of = |system| per_command(system, window, form, commands);
            let [ours, theirs] = ["synod", "omnipaxos"].map(of);
            let percent = ours * 100 / theirs;
            println!("{window:>6} {form:>7} {ours:>9} {theirs:>9} {percent:>5}%");
        }
    }
}

fn per_command(system: &str, window: usize, form: &str, commands: u64) -> u64 {
    let count = |commands| count(system, window, form, commands);
    (count(commands * 3) - count(commands)) / (commands * 2)
}

fn count(system: &str, window: usize, form: &str, commands: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("the path of this program"))
        .args(["--run", system, &window.to_string(), "16", form, &commands.to_string()])
        .output()
        .expect("valgrind is not installed");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the run failed: {report}");
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.unwrap_or_else(|| panic!("callgrind failed: {report}"));
    count.trim().parse().expect("a number of instructions")
}
