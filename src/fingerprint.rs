//! Fingerprints: the same name for the same bug, so that duplicates can be folded.
//!
//! Made of claim, operator, kind of the first divergence and the shape of the minimal schedule (the names
//! of its faults, in order); never of message text, times, values or seeds. Invariant: equal parts give
//! equal fingerprints in every version; the readable half alone is not unique.

use rewindow_world::case::{Case, FaultKind, StartMode};

use crate::judge::Breach;

/// The fingerprint of a breach and its minimal case, such as `sliding-counted-twice-1e9a`.
pub fn fingerprint(breach: &Breach, minimal: &Case) -> String {
    let mut parts = format!("{}|{}|{}", breach.claim.name(), breach.operator, breach.kind.name());
    for fault in &minimal.faults {
        parts.push('|');
        parts.push_str(shape(&fault.kind));
    }
    let hash = fnv1a(parts.as_bytes());
    // Both halves of the hash count.
    let short = (hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) & 0xffff;
    format!("{}-{}-{short:04x}", breach.operator, breach.kind.name())
}

/// A fault without its particulars; the start of a restart is part of what it is.
fn shape(kind: &FaultKind) -> &'static str {
    match kind {
        FaultKind::UserRestart { start: StartMode::Now, .. } => "restart now",
        FaultKind::UserRestart { start: StartMode::Custom(_), .. } => "restart custom",
        FaultKind::UserRestart { start: StartMode::WhenLastStopped, .. } => "restart when last stopped",
        FaultKind::JobChange { query: None, .. } => "restart over more partitions",
        FaultKind::JobChange { .. } => "restart with another query",
        other => other.name(),
    }
}

/// FNV-1a, 64 bits: a published hash that every version computes alike.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
