//! A node's process for `tests/processes.rs`: the same that the demo starts.

#[path = "../../../runtime/examples/demo/node.rs"]
mod node;

use std::error::Error;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// One node of three.
    Node(node::Arguments),
}

fn main() -> Result<(), Box<dyn Error>> {
    let Role::Node(arguments) = Arguments::parse().role;
    node::run(&arguments)
}
