//! Any text as a case file or a report; see `rewindow::fuzz::case_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rewindow::fuzz::case_file(data));
