//! Makes the broken twins of `src/pool/exchange.rs`: the shipped text with one piece replaced.
//!
//! They are made anew from the text at every build, so a twin cannot get out of date: if the piece to
//! replace is no longer there exactly once, the build fails.

use std::path::Path;

/// Name, piece of the shipped text, what stands there instead.
const TWINS: [(&str, &str, &str); 6] = [
    ("no_wake_for_the_consumer", "            self.ready.notify_one();\n", ""),
    ("no_wake_for_the_workers", "                self.room.notify_one();\n", ""),
    ("end_wakes_nobody", "        self.room.notify_all();\n", ""),
    ("window_not_kept", "state.next - state.due >= self.window", "state.next - state.due > self.window"),
    ("result_in_the_wrong_place", "usize::try_from(index - state.due)", "usize::try_from(0 * index)"),
    (
        "index_moved_outside_the_lock",
        "        let index = state.next;\n        state.next += 1;\n",
        "        let index = state.next;\n        drop(state);\n        let mut state = self.lock();\n        state.next = index + 1;\n",
    ),
];

fn main() {
    let shipped = "../../src/pool/exchange.rs";
    println!("cargo::rerun-if-changed={shipped}");
    println!("cargo::rerun-if-changed=build.rs");
    let text = std::fs::read_to_string(shipped).expect("the shipped exchange is readable");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    for (name, piece, instead) in TWINS {
        assert_eq!(
            text.matches(piece).count(),
            1,
            "twin {name}: `{piece}` must stand in {shipped} exactly once"
        );
        let text = text.replace(piece, instead);
        // An included file cannot have inner doc comments.
        let body: String =
            text.lines().filter(|line| !line.starts_with("//!")).flat_map(|line| [line, "\n"]).collect();
        std::fs::write(Path::new(&out).join(format!("{name}.rs")), body).expect("OUT_DIR is writable");
    }
}
