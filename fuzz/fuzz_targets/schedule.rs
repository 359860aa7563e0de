#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| synod_fuzz::schedule::run(data));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, size_max: usize, seed: u32| {
    let input = synod_fuzz::schedule::mutate(&data[..size], size_max, seed.into());
    // What does not fit even without any entry stays as it was.
    if input.len() > size_max.min(data.len()) {
        return size;
    }
    data[..input.len()].copy_from_slice(&input);
    input.len()
});
