//! The `synod-sim` program.

fn main() {}
