//! Failure schedules: what goes wrong, when, and how the job is deployed meanwhile.
//!
//! Faults are aimed: at arrivals, at instants where nodes save, at window ends, at the first moments of
//! another fault's recovery, at the same instant as another fault. Each case draws first which kinds of
//! fault it may use (swarm), so that combinations are tried which an even mix would drown. Keeps query,
//! history and ordering, unless a slice is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::time::SECOND;
use rewindow_query::{Entry, Span, Timestamp};
use rewindow_world::case::{Case, Damage, Deployment, Fault, FaultKind, LinkTrouble, StartMode};
use rewindow_world::journal::stored_bytes;

use super::{Trouble, Vary};
use crate::choices::Choices;
use crate::shrink;

/// A case like `base` with what `vary` allows chosen anew; its own faults are replaced.
pub fn schedule(base: &Case, vary: &Vary, choices: &mut dyn Choices) -> Case {
    let mut case = match vary.slice {
        Some(most) => slice(base, most, choices),
        None => base.clone(),
    };
    case.faults = Vec::new();
    let scene = Scene::of(&case);
    if vary.deployment {
        case.deployment = deployment(&case.deployment, &scene, choices);
    }
    if vary.retention {
        case.deployment.retention = retention(case.deployment.retention, vary, &scene, choices);
    }
    case.faults = faults(&case, vary, &scene, choices);
    case.turns = turns(vary, choices);
    if vary.retention {
        case.deployment.retention_size = retention_size(&case, choices);
    }
    case
}

/// Who moves first where several could: mostly the one that always would.
fn turns(vary: &Vary, choices: &mut dyn Choices) -> Vec<u32> {
    if !vary.deployment || !choices.chance(1, 4) {
        return Vec::new();
    }
    let count = choices.range(1, 40);
    (0..count).map(|_| u32::try_from(choices.range(0, 5)).unwrap_or(0)).collect()
}

/// When things happen in a case.
struct Scene {
    arrivals: Vec<Timestamp>,
    begin: Timestamp,
    end: Timestamp,
}

impl Scene {
    fn of(case: &Case) -> Scene {
        let mut arrivals: Vec<Timestamp> = case.history.entries.iter().map(|e| e.arrival).collect();
        arrivals.sort_unstable();
        arrivals.dedup();
        // 2024-01-01 where nothing ever arrives.
        let nowhere = Timestamp(63_839_664_000 * SECOND);
        let begin = arrivals.first().copied().unwrap_or(nowhere);
        let end = arrivals.last().copied().unwrap_or(nowhere);
        Scene { arrivals, begin, end }
    }

    fn length(&self) -> Span {
        self.end.since(self.begin)
    }
}

/// A run of entries in order of arrival.
fn slice(base: &Case, most: usize, choices: &mut dyn Choices) -> Case {
    let mut entries: Vec<&Entry> = base.history.entries.iter().collect();
    if entries.len() <= most {
        return base.clone();
    }
    entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
    let from = choices.index(entries.len() - most + 1);
    let entries = entries[from..from + most].iter().map(|entry| (*entry).clone()).collect();
    let mut case = Case { faults: Vec::new(), ..base.clone() };
    case.history = Arc::new(base.history.with_entries(entries));
    shrink::in_order(&case)
}

fn deployment(base: &Deployment, scene: &Scene, choices: &mut dyn Choices) -> Deployment {
    // Cadences follow the length of the history: some dozens of looks and saves, whatever its scale.
    let length = scene.length().0.max(10 * SECOND);
    let nodes = u32::try_from(choices.range(1, 3)).unwrap_or(1);
    let checkpoint_interval = match choices.weighted(&[3, 2, 1, 1]) {
        0 => base.checkpoint_interval,
        1 => Span(length / choices.range(3, 40)),
        2 => Span(length.saturating_mul(2)),
        _ => Span::seconds((length / SECOND / 50).max(1)),
    };
    let poll_interval = match choices.weighted(&[3, 1, 1]) {
        0 => base.poll_interval,
        1 => Span(length / choices.range(20, 200)),
        _ => Span(base.poll_interval.0.saturating_mul(3)),
    };
    let batch = match choices.weighted(&[2, 1, 1]) {
        0 => base.batch,
        1 => 1,
        _ => u32::try_from(choices.range(2, 20)).unwrap_or(2),
    };
    let rate = match choices.weighted(&[3, 1]) {
        0 => base.rate,
        // Slow enough for a catch-up to be caught by the next fault.
        _ => u64::try_from(choices.range(1, 20)).unwrap_or(1),
    };
    let heartbeat = match choices.weighted(&[3, 1]) {
        0 => base.heartbeat,
        _ => Span((length / choices.range(3, 30)).max(SECOND)),
    };
    let keyed = match choices.weighted(&[2, 2, 1]) {
        0 => base.keyed,
        1 => 1,
        _ => u32::try_from(choices.range(2, 3)).unwrap_or(2),
    };
    let link_delay = match choices.weighted(&[3, 1, 1]) {
        0 => base.link_delay,
        1 => Span::seconds(choices.range(1, 10)),
        _ => Span(length / choices.range(5, 50)),
    };
    let bounded = |span: Span| Span(span.0.clamp(1, Span::hours(24 * 365).0));
    Deployment {
        nodes,
        keyed,
        link_delay: bounded(link_delay),
        checkpoint_interval: bounded(checkpoint_interval),
        poll_interval: bounded(poll_interval),
        batch,
        rate,
        retention: base.retention,
        retention_size: base.retention_size,
        heartbeat: bounded(heartbeat),
        sink: base.sink,
    }
}

/// Generous, exactly the need, a tick less, short.
fn retention(base: Option<Span>, vary: &Vary, scene: &Scene, choices: &mut dyn Choices) -> Option<Span> {
    let keep = match choices.weighted(&[6, 2, 2, 1, 2]) {
        0 => return base,
        1 => return None,
        2 => vary.lookback,
        3 => Span(vary.lookback.0 - 1),
        _ => Span(choices.range(0, scene.length().0.max(SECOND))),
    };
    Some(Span(keep.0.clamp(0, Span::hours(24 * 365).0)))
}

/// A partition that holds more bytes is long.
const LONG: i64 = 10_000;

/// As deployed, all, or less than what the fullest partition holds in the end: an event or two, half of it, nearly all.
fn retention_size(case: &Case, choices: &mut dyn Choices) -> Option<u64> {
    let chosen = choices.weighted(&[10, 1, 1, 1]);
    if chosen == 0 {
        return case.deployment.retention_size;
    }
    let mut partitions = BTreeMap::<(usize, u32), u64>::new();
    for entry in &case.history.entries {
        *partitions.entry((entry.input, entry.partition)).or_default() += stored_bytes(&entry.payload);
    }
    let fullest = i64::try_from(partitions.into_values().max().unwrap_or(0)).unwrap_or(i64::MAX);
    let most = match chosen {
        1 => fullest.min(100).max(fullest / 10),
        2 => fullest / 2,
        _ => fullest,
    };
    // A long log that keeps an event or two is overtaken at every look, which says no more than a short one that does.
    let least = if fullest > LONG { fullest / 20 } else { 0 };
    u64::try_from(choices.range(least, most)).ok()
}

fn faults(case: &Case, vary: &Vary, scene: &Scene, choices: &mut dyn Choices) -> Vec<Fault> {
    if vary.faults.is_empty() {
        return Vec::new();
    }
    let enabled: Vec<Trouble> = match choices.weighted(&[3, 1]) {
        0 => vary.faults.iter().copied().filter(|_| choices.chance(1, 2)).collect(),
        // What one kind does by itself says more of it.
        _ => Vec::new(),
    };
    let enabled = if enabled.is_empty() { vec![*choices.pick(&vary.faults)] } else { enabled };
    let most = i64::try_from(vary.faults_max).unwrap_or(i64::MAX);
    // One case in 16 has no fault: then the claim is Agree.
    let count = if choices.draw(16) == 0 { 0 } else { choices.range(1, most) };
    let mut faults: Vec<Fault> = Vec::new();
    for _ in 0..count {
        let at = moment(case, vary, scene, &faults, choices);
        let kind = kind(case, *choices.pick(&enabled), at, vary, scene, choices);
        faults.push(Fault { at, kind });
    }
    faults.sort_by_key(|fault| fault.at);
    super::change::never_too_many(&mut faults);
    super::change::never_fewer(&mut faults);
    among_those_there(case.deployment.nodes, &mut faults);
    faults
}

/// An interesting moment, or a little beside it.
fn moment(case: &Case, vary: &Vary, scene: &Scene, before: &[Fault], choices: &mut dyn Choices) -> Timestamp {
    let near = |scene: &Scene, choices: &mut dyn Choices| match scene.arrivals.len() {
        0 => scene.begin,
        some => scene.arrivals[choices.index(some)],
    };
    let at = match choices.weighted(&[4, 2, 2, 3, 1, 1]) {
        0 => near(scene, choices),
        1 => {
            let interval = case.deployment.checkpoint_interval;
            let node = choices.range(0, i64::from(case.deployment.nodes) - 1);
            let phase = Span(interval.0 * node / i64::from(case.deployment.nodes));
            grid(near(scene, choices), interval, phase)
        }
        2 if !vary.grids.is_empty() => grid(near(scene, choices), *choices.pick(&vary.grids), Span::ZERO),
        3 if !before.is_empty() => {
            // While another fault's recovery runs, or just when it begins or should be over.
            let fault = choices.pick(before);
            let down = down_of(&fault.kind);
            match choices.weighted(&[2, 2, 1]) {
                0 => fault.at,
                1 => fault.at.plus(down),
                _ => fault.at.plus(Span(choices.range(0, down.0.saturating_mul(2).max(SECOND)))),
            }
        }
        4 => scene.end.plus(Span::seconds(choices.range(0, 100))),
        _ => scene.begin.plus(Span(choices.range(0, scene.length().0))),
    };
    let beside = [Span::ZERO, Span::TICK, Span(-1), Span::seconds(1), Span::seconds(-1), Span::seconds(5)];
    calendar(at.plus(*choices.pick(&beside)))
}

fn kind(
    case: &Case,
    trouble: Trouble,
    at: Timestamp,
    vary: &Vary,
    scene: &Scene,
    choices: &mut dyn Choices,
) -> FaultKind {
    let down = down(scene, choices);
    match trouble {
        Trouble::NodeKill => FaultKind::NodeKill { node: node(case, vary, choices), down },
        Trouble::OsUpgrade => FaultKind::OsUpgrade { down },
        Trouble::UpgradeState => FaultKind::ServiceUpgrade { readable: true, down },
        Trouble::UpgradeReplay => FaultKind::ServiceUpgrade { readable: false, down },
        Trouble::Restart => FaultKind::UserRestart { stopped: down, start: start(at, vary, scene, choices) },
        Trouble::JobChange => super::change::job_change(case, down, start(at, vary, scene, choices), choices),
        Trouble::Retention => {
            let keep = match choices.weighted(&[2, 2, 1]) {
                0 => Span(choices.range(0, vary.lookback.0.max(SECOND))),
                1 => Span(choices.range(0, scene.length().0.max(SECOND))),
                _ => Span::ZERO,
            };
            FaultKind::RetentionCut { keep: Span(keep.0.clamp(0, Span::hours(24 * 365).0)) }
        }
        Trouble::SinkUnavailable => {
            // Long enough for a node to save, and to be struck, meanwhile.
            let interval = case.deployment.checkpoint_interval;
            let span = match choices.weighted(&[2, 2]) {
                0 => down,
                _ => Span(choices.range(0, interval.0.saturating_mul(2).max(SECOND))),
            };
            FaultKind::SinkUnavailable { span: Span(span.0.clamp(0, Span::hours(24 * 30).0)) }
        }
        Trouble::SinkAckLost => FaultKind::SinkAckLost,
        Trouble::Hang => {
            // Back before anybody notices, at the same moment, or long after.
            let back = match choices.weighted(&[2, 1, 3]) {
                0 => Span(choices.range(0, down.0)),
                1 => down,
                _ => down.plus(Span::seconds(choices.range(0, 120))),
            };
            FaultKind::Hang { node: node(case, vary, choices), noticed: down, back }
        }
        Trouble::Slow => {
            let times = *choices.pick(&[2, 3, 10, 1_000]);
            FaultKind::Slow { node: node(case, vary, choices), times, during: during(scene, choices) }
        }
        Trouble::RollingUpgrade => FaultKind::RollingUpgrade { down },
        Trouble::Rollback => FaultKind::Rollback { down },
        Trouble::Scale => {
            let nodes = u32::try_from(choices.range(1, i64::from(NODES))).unwrap_or(1);
            FaultKind::Scale { nodes, down }
        }
        Trouble::Checkpoint => {
            FaultKind::Checkpoint { node: node(case, vary, choices), damage: *choices.pick(&Damage::ALL) }
        }
        Trouble::Link => {
            let by = match choices.weighted(&[2, 1, 1]) {
                0 => Span::seconds(choices.range(1, 30)),
                1 => Span::ZERO,
                _ => down,
            };
            let trouble =
                *choices.pick(&[LinkTrouble::Delay(by), LinkTrouble::Twice(by), LinkTrouble::Swap(by)]);
            FaultKind::Link { node: node(case, vary, choices), trouble, during: during(scene, choices) }
        }
    }
}

/// Most nodes that a job is scaled to.
const NODES: u32 = 4;

/// A node, also one that the job may be given only later: [`among_those_there`] sees to the order.
fn node(case: &Case, vary: &Vary, choices: &mut dyn Choices) -> u32 {
    let scaled = if vary.faults.contains(&Trouble::Scale) { NODES } else { 1 };
    let most = case.deployment.nodes.max(scaled);
    u32::try_from(choices.range(0, i64::from(most) - 1)).unwrap_or(0)
}

/// Faults strike nodes that there have been by then.
fn among_those_there(nodes: u32, faults: &mut [Fault]) {
    let mut there = nodes;
    for fault in faults {
        match &mut fault.kind {
            FaultKind::Scale { nodes, .. } => there = there.max(*nodes),
            FaultKind::NodeKill { node, .. }
            | FaultKind::Hang { node, .. }
            | FaultKind::Slow { node, .. }
            | FaultKind::Checkpoint { node, .. }
            | FaultKind::Link { node, .. } => *node %= there,
            _ => {}
        }
    }
}

/// How long a disturbance lasts.
fn during(scene: &Scene, choices: &mut dyn Choices) -> Span {
    match choices.weighted(&[1, 1]) {
        0 => Span::seconds(choices.range(1, 300)),
        _ => Span(choices.range(0, (scene.length().0).clamp(SECOND, Span::hours(24 * 30).0))),
    }
}

fn down(scene: &Scene, choices: &mut dyn Choices) -> Span {
    match choices.weighted(&[3, 3, 2, 1]) {
        0 => Span::seconds(1),
        1 => Span::ZERO,
        2 => Span::seconds(choices.range(5, 120)),
        _ => Span(choices.range(0, (scene.length().0 / 2).clamp(SECOND, Span::hours(24 * 30).0))),
    }
}

/// Start modes; custom times lie before, after and exactly at window ends.
fn start(at: Timestamp, vary: &Vary, scene: &Scene, choices: &mut dyn Choices) -> StartMode {
    match choices.weighted(&[3, 2, 3]) {
        0 => StartMode::WhenLastStopped,
        1 => StartMode::Now,
        _ => {
            let back = Span(choices.range(0, scene.length().0.max(SECOND)));
            let near = match choices.weighted(&[3, 1]) {
                0 => at.minus(back),
                _ => at.plus(Span::seconds(choices.range(0, 60))),
            };
            let edge = match vary.grids.is_empty() {
                true => near,
                false => grid(near, *choices.pick(&vary.grids), Span::ZERO),
            };
            StartMode::Custom(calendar(edge.plus(Span(choices.range(-1, 1)))))
        }
    }
}

fn down_of(kind: &FaultKind) -> Span {
    match *kind {
        FaultKind::NodeKill { down, .. }
        | FaultKind::OsUpgrade { down }
        | FaultKind::ServiceUpgrade { down, .. }
        | FaultKind::RollingUpgrade { down }
        | FaultKind::Rollback { down }
        | FaultKind::Scale { down, .. }
        | FaultKind::Hang { noticed: down, .. }
        | FaultKind::UserRestart { stopped: down, .. }
        | FaultKind::JobChange { stopped: down, .. } => down,
        FaultKind::SinkUnavailable { span } => span,
        FaultKind::RetentionCut { .. }
        | FaultKind::SinkAckLost
        | FaultKind::Slow { .. }
        | FaultKind::Checkpoint { .. }
        | FaultKind::Link { .. } => Span::ZERO,
    }
}

/// The first point of a grid at or after an instant.
fn grid(at: Timestamp, interval: Span, phase: Span) -> Timestamp {
    let interval = interval.0.max(1);
    let behind = at.0.saturating_sub(phase.0).rem_euclid(interval);
    if behind == 0 { at } else { at.plus(Span(interval - behind)) }
}

fn calendar(at: Timestamp) -> Timestamp {
    if at.is_calendar() { at } else { Timestamp(at.0.clamp(0, 315_537_897_599 * SECOND)) }
}
