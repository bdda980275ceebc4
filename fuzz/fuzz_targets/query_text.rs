//! Any text as a query; see `rewindow::fuzz::query_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rewindow::fuzz::query_text(data));
