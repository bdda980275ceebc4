//! Shrinking the settings: plain deployment, plain tolerances, plainer faults.
//!
//! Every setting has a list of plain values, plainest first; a step goes only towards the front of the
//! list, so it ends.

use rewindow_query::{Policy, Span};
use rewindow_world::case::{Case, Damage, Deployment, FaultKind, SinkKind, StartMode};

use super::Search;

const SPANS: [Span; 4] = [Span::minutes(1), Span::minutes(5), Span::hours(1), Span::seconds(10)];
const DOWNS: [Span; 4] = [Span::ZERO, Span::seconds(1), Span::seconds(10), Span::minutes(1)];

impl Search<'_> {
    /// Plainer deployment, ordering and faults.
    pub(super) fn settings(&mut self) {
        self.deployment();
        self.ordering();
        for index in 0..self.best.faults.len() {
            self.fault(index);
        }
    }

    fn deployment(&mut self) {
        let plain = Deployment {
            nodes: 1,
            keyed: 0,
            link_delay: Span::ZERO,
            checkpoint_interval: SPANS[0],
            poll_interval: Span::seconds(1),
            batch: 1_000,
            rate: 1_000,
            retention: None,
            retention_size: None,
            heartbeat: SPANS[0],
            sink: SinkKind::Append,
        };
        if self.attempt(with_deployment(&self.best, plain.clone())) {
            return;
        }
        self.plainer(
            &SinkKind::ALL,
            |case| case.deployment.sink,
            |case, sink| with_deployment(case, Deployment { sink, ..case.deployment.clone() }),
        );
        let plain = Deployment { sink: self.best.deployment.sink, ..plain };
        if self.attempt(with_deployment(&self.best, plain)) {
            return;
        }
        self.plainer(
            &[1, 2],
            |case| case.deployment.nodes,
            |case, nodes| with_deployment(case, Deployment { nodes, ..case.deployment.clone() }),
        );
        self.plainer(
            &[0, 1],
            |case| case.deployment.keyed,
            |case, keyed| with_deployment(case, Deployment { keyed, ..case.deployment.clone() }),
        );
        self.plainer(
            &[Span::ZERO, Span::seconds(1)],
            |case| case.deployment.link_delay,
            |case, link_delay| with_deployment(case, Deployment { link_delay, ..case.deployment.clone() }),
        );
        self.plainer(&[Vec::new()], |case| case.turns.clone(), |case, turns| Case { turns, ..case.clone() });
        self.plainer(
            &[None],
            |case| case.deployment.retention,
            |case, retention| with_deployment(case, Deployment { retention, ..case.deployment.clone() }),
        );
        self.plainer(
            &[None],
            |case| case.deployment.retention_size,
            |case, size| {
                with_deployment(case, Deployment { retention_size: size, ..case.deployment.clone() })
            },
        );
        self.plainer(
            &[1_000, 1],
            |case| case.deployment.batch,
            |case, batch| with_deployment(case, Deployment { batch, ..case.deployment.clone() }),
        );
        self.plainer(
            &[1_000, 1],
            |case| case.deployment.rate,
            |case, rate| with_deployment(case, Deployment { rate, ..case.deployment.clone() }),
        );
        self.plainer(
            &[Span::seconds(1), Span::minutes(1)],
            |case| case.deployment.poll_interval,
            |case, s| with_deployment(case, Deployment { poll_interval: s, ..case.deployment.clone() }),
        );
        self.plainer(
            &SPANS,
            |case| case.deployment.checkpoint_interval,
            |case, s| with_deployment(case, Deployment { checkpoint_interval: s, ..case.deployment.clone() }),
        );
        self.plainer(
            &SPANS,
            |case| case.deployment.heartbeat,
            |case, heartbeat| with_deployment(case, Deployment { heartbeat, ..case.deployment.clone() }),
        );
    }

    fn ordering(&mut self) {
        self.plainer(
            &[Policy::Adjust],
            |case| case.ordering.policy,
            |case, policy| {
                let mut case = case.clone();
                case.ordering.policy = policy;
                case
            },
        );
        self.plainer(
            &[Span::ZERO, SPANS[0]],
            |case| case.ordering.out_of_order,
            |case, span| {
                let mut case = case.clone();
                case.ordering.out_of_order = span;
                case
            },
        );
        self.plainer(
            &[Span::seconds(5), SPANS[0], Span::hours(1)],
            |case| case.ordering.late,
            |case, span| {
                let mut case = case.clone();
                case.ordering.late = span;
                case
            },
        );
    }

    /// The plainest value that still breaks, of those plainer than the present one.
    fn plainer<T: PartialEq + Clone>(
        &mut self,
        plain: &[T],
        get: impl Fn(&Case) -> T,
        set: impl Fn(&Case, T) -> Case,
    ) {
        let now = get(&self.best);
        for value in plain.iter().take_while(|value| **value != now) {
            if self.attempt(set(&self.best, value.clone())) {
                return;
            }
        }
    }

    fn fault(&mut self, index: usize) {
        for kind in plainer_kinds(&self.best.faults[index].kind) {
            if self.attempt(with_kind(&self.best, index, kind)) {
                break;
            }
        }
        let down = |case: &Case| down_of(&case.faults[index].kind);
        self.plainer(&DOWNS, down, |case, down| {
            let mut kind = case.faults[index].kind.clone();
            set_down(&mut kind, down);
            with_kind(case, index, kind)
        });
    }
}

/// Plainer faults in place of this one, plainest first.
fn plainer_kinds(kind: &FaultKind) -> Vec<FaultKind> {
    let restart = |stopped, start| FaultKind::UserRestart { stopped, start };
    let change = |stopped, start, query: &Option<_>, partitions| FaultKind::JobChange {
        stopped,
        start,
        query: query.clone(),
        partitions,
    };
    match *kind {
        FaultKind::NodeKill { node: 0, .. } | FaultKind::RetentionCut { .. } => Vec::new(),
        FaultKind::SinkUnavailable { .. } | FaultKind::SinkAckLost => Vec::new(),
        FaultKind::Hang { node, noticed, back } => {
            let kill = FaultKind::NodeKill { node: 0, down: noticed };
            if node == 0 { vec![kill] } else { vec![kill, FaultKind::Hang { node: 0, noticed, back }] }
        }
        FaultKind::RollingUpgrade { down } | FaultKind::Rollback { down } | FaultKind::Scale { down, .. } => {
            vec![FaultKind::NodeKill { node: 0, down }, FaultKind::ServiceUpgrade { readable: true, down }]
        }
        FaultKind::Slow { node, during, .. } => {
            let plain = FaultKind::Slow { node: 0, times: 2, during };
            if (FaultKind::Slow { node, times: 2, during }) == plain { Vec::new() } else { vec![plain] }
        }
        FaultKind::Checkpoint { node, damage } => {
            let plain = FaultKind::Checkpoint { node: 0, damage: Damage::Lost };
            if node == 0 && damage == Damage::Lost { Vec::new() } else { vec![plain] }
        }
        FaultKind::Link { node, trouble, during } => {
            let plain = FaultKind::Link { node: 0, trouble, during };
            if node == 0 { Vec::new() } else { vec![plain] }
        }
        FaultKind::NodeKill { down, .. } | FaultKind::OsUpgrade { down } => {
            vec![FaultKind::NodeKill { node: 0, down }]
        }
        FaultKind::ServiceUpgrade { readable, down } => {
            let kill = FaultKind::NodeKill { node: 0, down };
            let upgrade = FaultKind::ServiceUpgrade { readable: true, down };
            if readable { vec![kill] } else { vec![kill, upgrade] }
        }
        FaultKind::JobChange { stopped, start, ref query, partitions } => {
            let mut plainer = vec![restart(stopped, start)];
            if query.is_some() && partitions.is_some() {
                plainer
                    .extend([change(stopped, start, query, None), change(stopped, start, &None, partitions)]);
            }
            if start != StartMode::WhenLastStopped {
                plainer.push(change(stopped, StartMode::WhenLastStopped, query, partitions));
            }
            plainer
        }
        FaultKind::UserRestart { stopped, start } => match start {
            StartMode::WhenLastStopped => Vec::new(),
            StartMode::Now => vec![restart(stopped, StartMode::WhenLastStopped)],
            StartMode::Custom(_) => {
                vec![restart(stopped, StartMode::WhenLastStopped), restart(stopped, StartMode::Now)]
            }
        },
    }
}

fn down_of(kind: &FaultKind) -> Span {
    match *kind {
        FaultKind::NodeKill { down, .. }
        | FaultKind::OsUpgrade { down }
        | FaultKind::RollingUpgrade { down }
        | FaultKind::Rollback { down }
        | FaultKind::Scale { down, .. }
        | FaultKind::ServiceUpgrade { down, .. }
        | FaultKind::UserRestart { stopped: down, .. }
        | FaultKind::JobChange { stopped: down, .. }
        | FaultKind::Hang { noticed: down, .. }
        | FaultKind::Slow { during: down, .. }
        | FaultKind::Link { during: down, .. }
        | FaultKind::RetentionCut { keep: down }
        | FaultKind::SinkUnavailable { span: down } => down,
        FaultKind::SinkAckLost | FaultKind::Checkpoint { .. } => Span::ZERO,
    }
}

fn set_down(kind: &mut FaultKind, to: Span) {
    match kind {
        FaultKind::NodeKill { down, .. }
        | FaultKind::OsUpgrade { down }
        | FaultKind::RollingUpgrade { down }
        | FaultKind::Rollback { down }
        | FaultKind::Scale { down, .. }
        | FaultKind::ServiceUpgrade { down, .. }
        | FaultKind::UserRestart { stopped: down, .. }
        | FaultKind::JobChange { stopped: down, .. }
        | FaultKind::Hang { noticed: down, .. }
        | FaultKind::Slow { during: down, .. }
        | FaultKind::Link { during: down, .. }
        | FaultKind::RetentionCut { keep: down }
        | FaultKind::SinkUnavailable { span: down } => *down = to,
        FaultKind::SinkAckLost | FaultKind::Checkpoint { .. } => {}
    }
}

fn with_kind(case: &Case, index: usize, kind: FaultKind) -> Case {
    let mut case = case.clone();
    case.faults[index].kind = kind;
    case
}

/// What would befall nodes that no longer exist befalls node 0.
fn with_deployment(case: &Case, deployment: Deployment) -> Case {
    let mut case = Case { deployment, ..case.clone() };
    for fault in &mut case.faults {
        if let FaultKind::NodeKill { node, .. }
        | FaultKind::Hang { node, .. }
        | FaultKind::Slow { node, .. }
        | FaultKind::Checkpoint { node, .. }
        | FaultKind::Link { node, .. } = &mut fault.kind
        {
            *node = if *node < case.deployment.nodes { *node } else { 0 };
        }
    }
    case
}
