//! A whole small case, judged; see `rewindow::fuzz::recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rewindow::fuzz::recovery(data));
