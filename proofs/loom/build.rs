//! Makes the broken twins of `src/pool/exchange.rs` and `src/runtime/shared.rs`: the shipped text with one piece replaced.
//!
//! They are made anew from the text at every build, so a twin cannot get out of date: if the piece to
//! replace is no longer there exactly once, the build fails.

use std::path::Path;

const POOL: &str = "../../src/pool/exchange.rs";
const RUNTIME: &str = "../../src/runtime/shared.rs";

/// Text, name, piece of the shipped text, what stands there instead.
const TWINS: [(&str, &str, &str, &str); 19] = [
    (POOL, "no_wake_for_the_consumer", "            self.ready.notify_one();\n", ""),
    (POOL, "no_wake_for_the_workers", "                self.room.notify_one();\n", ""),
    (POOL, "end_wakes_nobody", "        self.room.notify_all();\n", ""),
    (
        POOL,
        "window_not_kept",
        "state.next - state.due >= self.window",
        "state.next - state.due > self.window",
    ),
    (POOL, "result_in_the_wrong_place", "usize::try_from(index - state.due)", "usize::try_from(0 * index)"),
    (
        POOL,
        "index_moved_outside_the_lock",
        "        let index = state.next;\n        state.next += 1;\n",
        "        let index = state.next;\n        drop(state);\n        let mut state = self.lock();\n        state.next = index + 1;\n",
    ),
    (RUNTIME, "change_not_counted", "        state.changes += 1;\n", ""),
    (
        RUNTIME,
        "change_wakes_nobody",
        "        state.changes += 1;\n        self.changed.notify_all();\n",
        "        state.changes += 1;\n",
    ),
    (
        RUNTIME,
        "post_tells_nobody",
        "        tray.letters.push_back(letter);\n        self.tell(state);\n",
        "        tray.letters.push_back(letter);\n",
    ),
    (
        RUNTIME,
        "take_tells_nobody",
        "            self.tell(state);\n            return Ok(Taken::Letter(letter));\n",
        "            return Ok(Taken::Letter(letter));\n",
    ),
    (
        RUNTIME,
        "close_tells_nobody",
        "        state.trays[to].open -= 1;\n        self.tell(state);\n",
        "        state.trays[to].open -= 1;\n",
    ),
    (
        RUNTIME,
        "read_tells_nobody",
        "        state.lanes[lane] = to;\n        self.tell(state);\n",
        "        state.lanes[lane] = to;\n",
    ),
    (RUNTIME, "room_not_kept", "tray.letters.len() >= self.room", "tray.letters.len() > self.room"),
    (
        RUNTIME,
        "close_hides_what_was_posted",
        "        if let Some(letter) = tray.letters.pop_front() {\n",
        "        if tray.open == 0 {\n            return Ok(Taken::Ended);\n        }\n        if let Some(letter) = tray.letters.pop_front() {\n",
    ),
    (
        RUNTIME,
        "looks_after_the_round",
        "            let seen = self.lock()?.changes;\n            let came = round()?;\n",
        "            let came = round()?;\n            let seen = self.lock()?.changes;\n",
    ),
    (RUNTIME, "waits_without_looking", "while state.changes == seen {", "for _ in 0..1 {"),
    (
        RUNTIME,
        "stop_wakes_nobody",
        "            state.stopped = true;\n        }\n        self.changed.notify_all();\n",
        "            state.stopped = true;\n        }\n",
    ),
    (
        RUNTIME,
        "stopped_waits_on",
        "            if state.stopped {\n                return Err(Stopped);\n            }\n",
        "",
    ),
    (
        RUNTIME,
        "lock_let_go_in_front_of_the_write",
        "        Ok(write(&mut fence))\n",
        "        drop(fence);\n        let mut fence = self.0.lock().map_err(|_| Refused::Stopped)?;\n        Ok(write(&mut fence))\n",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed={POOL}");
    println!("cargo::rerun-if-changed={RUNTIME}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    for (shipped, name, piece, instead) in TWINS {
        let text = std::fs::read_to_string(shipped).expect("the shipped text is readable");
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
