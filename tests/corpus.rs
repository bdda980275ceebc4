//! The committed fuzz corpora, run through the very functions the fuzzers call, on stable Rust.
//!
//! What no other suite would catch: the return of something a fuzzer once found or had to work for.

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let listing = std::fs::read_dir(&folder).expect("the corpus is committed");
    let mut files: Vec<_> = listing.map(|file| file.expect("a folder can be listed").path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} holds {} files", folder.display(), files.len());
    for file in files {
        let bytes = std::fs::read(&file).expect("a corpus file is readable");
        if let Err(panic) = std::panic::catch_unwind(|| check(&bytes)) {
            eprintln!("broken by {}", file.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn recovery() {
    replay("recovery", rewindow::fuzz::recovery);
}

#[test]
fn checkpoint_bytes() {
    replay("checkpoint_bytes", rewindow::fuzz::checkpoint_bytes);
}

#[test]
fn query_text() {
    replay("query_text", rewindow::fuzz::query_text);
}

#[test]
fn case_file() {
    replay("case_file", rewindow::fuzz::case_file);
}
