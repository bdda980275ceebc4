//! Damaged checkpoints; see `rewindow::fuzz::checkpoint_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rewindow::fuzz::checkpoint_bytes(data));
