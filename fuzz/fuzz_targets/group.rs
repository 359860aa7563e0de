#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| synod_fuzz::group::run(data));
