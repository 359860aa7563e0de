//! What one group of three nodes costs, in memory, on one thread, without a disk.
//!
//! ```text
//! cargo bench -p synod-core                    the table: CPU time, messages, bytes, allocations
//! cargo bench -p synod-core -- --instructions  exact instructions per command (needs valgrind)
//! cargo bench -p synod-core -- --run synod 1024 16 codec 65536    one configuration, to profile
//! ```
//!
//! Clients keep a window of commands in flight: when one is executed at the node that proposed it,
//! the next is proposed. The same loop drives `omnipaxos` as the reference. Both hand every chosen
//! command to a state machine (that ignores it) on every node.
#![expect(clippy::print_stdout, reason = "printing tables is what it is for")]

mod allocations;
mod instructions;
mod omni;
mod run;
mod synod;

use run::{Cost, Form, Setup, System};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] => table(),
        ["--instructions"] => instructions::table(),
        ["--run", system, window, payload, form, commands] => {
            let setup = Setup {
                system: system.parse().expect("synod or omnipaxos"),
                window: window.parse().expect("a window in commands"),
                payload: payload.parse().expect("a payload in bytes"),
                form: form.parse().expect("structs or codec"),
            };
            run::steady(setup, commands.parse().expect("a number of commands"));
        }
        other => panic!("unknown arguments {other:?}"),
    }
}

fn table() {
    println!("one group, three nodes, one thread, in memory; a turn of all nodes takes 10 µs\n");
    println!(
        "{:>6} {:>7} {:>7} | {:^36} | {:^36} | {:>6}",
        "window", "payload", "form", "synod", "omnipaxos", "ratio"
    );
    let head = format!("{:>9} {:>7} {:>8} {:>9}", "cmd/CPU-s", "msg/cmd", "B/cmd", "alloc/cmd");
    println!("{:>6} {:>7} {:>7} | {head} | {head} | {:>6}", "", "B", "", "cmd/s");
    for payload in [16, 256, 4096] {
        for window in [1, 64, 1024] {
            for form in [Form::Structs, Form::Codec] {
                let commands =
                    if window == 1 { 100_000 } else { 400_000 }.min(256_000_000 / payload);
                let measure =
                    |system| run::measure(Setup { system, window, payload, form }, commands);
                let [ours, theirs] = [System::Synod, System::Omnipaxos].map(measure);
                let ratio = ours.per_second() / theirs.per_second();
                let (ours, theirs) = (cells(&ours, form), cells(&theirs, form));
                println!("{window:>6} {payload:>7} {form:>7} | {ours} | {theirs} | {ratio:>6.2}");
            }
        }
    }
}

fn cells(cost: &Cost, form: Form) -> String {
    let bytes = match form {
        Form::Structs => "–".into(),
        Form::Codec => format!("{:.1}", cost.per_command(cost.bytes)),
    };
    format!(
        "{:>7.3} M {:>7.3} {bytes:>8} {:>9.4}",
        cost.per_second() / 1e6,
        cost.per_command(cost.messages),
        cost.per_command(cost.allocations),
    )
}
