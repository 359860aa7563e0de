//! `kv`: the server and its client.
#![expect(clippy::print_stderr, reason = "a command line tells what went wrong")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use synod_kv::client::{Ask, ClientError, ClientOptions, ask};
use synod_kv::server::{ServerOptions, serve};

/// A replicated key-value store.
#[derive(Debug, Parser)]
#[command(name = "kv", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten, next_help_heading = "Clients")]
    client: ClientOptions,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run one node of the store, until SIGTERM or SIGINT.
    Server(ServerOptions),
    #[command(flatten)]
    Ask(Ask),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { what, client } = Arguments::parse();
    match what {
        What::Server(options) => {
            let filter = tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
            match serve(options).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, 2),
            }
        }
        What::Ask(what) => match ask(&client, what).await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error @ ClientError::Unknown(_)) => failed(&error, 3),
            Err(error) => failed(&error, 2),
        },
    }
}

fn failed(error: &impl std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("kv: {error}");
    ExitCode::from(code)
}

const EXAMPLES: &str = "\
Three nodes, in three terminals:
  kv server --id 1 --serve 127.0.0.1:8001 --listen 127.0.0.1:7001 --peer 2=127.0.0.1:7002 --peer 3=127.0.0.1:7003 --data /tmp/kv1
  kv server --id 2 --serve 127.0.0.1:8002 --listen 127.0.0.1:7002 --peer 1=127.0.0.1:7001 --peer 3=127.0.0.1:7003 --data /tmp/kv2
  kv server --id 3 --serve 127.0.0.1:8003 --listen 127.0.0.1:7003 --peer 1=127.0.0.1:7001 --peer 2=127.0.0.1:7002 --data /tmp/kv3

And in a fourth:
  kv put greeting hello
  kv get greeting --servers 127.0.0.1:8003,127.0.0.1:8002
  kv get greeting --version          prints VERSION VALUE
  kv cas greeting 'good day' --version VERSION
  kv watch greet

Exit codes of clients: 0 done; 1 the answer is no (absent, or another version); 2 not done;
3 unknown: it may still be done, once, or never.";
