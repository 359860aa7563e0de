//! Writes `samples/kv/src/api.rs` from `samples/kv/proto/kv.proto`; with `--check`, says whether it is
//! stale and changes nothing.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = tempfile::tempdir()?;
    let schema = protox::compile(["kv.proto"], [sample.join("proto")])?;
    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(schema)?;
    let generated = fs::read(out.path().join("synod.kv.v1.rs"))?;
    let target = sample.join("src/api.rs");
    if env::args().any(|argument| argument == "--check") {
        if fs::read(&target)? != generated {
            return Err("samples/kv/src/api.rs is stale: run this again without --check".into());
        }
    } else {
        fs::write(target, generated)?;
    }
    Ok(())
}
