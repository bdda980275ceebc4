//! Random lives of a transactional writer: whatever is killed, lost or said twice, every row is visible once, in order.

use std::sync::Arc;

use proptest::prelude::*;
use rewindow_query::{Record, Row, Timestamp};

use crate::commit::{Ledger, Stage, Writer};
use crate::plant::Plants;

/// What happens next in a writer's life.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Rows become certain.
    Rows(u8),
    /// A checkpoint is saved; whether the writer hears that it was published, and whether it can be read later.
    Save { heard: bool, kept: bool },
    /// All that was sent is applied by the sink, the last of it twice.
    Flush,
    /// The writer is lost with all it did not get out, and opened from its newest checkpoint that can be read.
    Kill,
    /// State is void: it is opened without one, and gives again what is not visible.
    Begin,
}

enum Sent {
    Stage(u64, Stage),
    Commit(u64, Vec<u64>),
    Abort(u64, Vec<u64>),
}

struct Life {
    plants: Plants,
    ledger: Ledger,
    writer: Writer,
    incarnation: u64,
    /// The next row to become certain.
    next: i64,
    /// The furthest it ever was.
    furthest: i64,
    sent: Vec<Sent>,
    /// Sealed number and next row of every checkpoint that can be read.
    kept: Vec<(u64, i64)>,
    visible: Vec<i64>,
}

fn row(number: i64) -> Row {
    Row {
        output: 0,
        partition: None,
        timestamp: Timestamp(number),
        key: [].into(),
        ordinal: 0,
        record: Arc::new(Record::new(Vec::new())),
    }
}

impl Life {
    fn new(plants: Plants) -> Life {
        let ledger = Ledger::default();
        let (writer, _) = Writer::open(&ledger, None, plants);
        let (sent, kept, visible) = (Vec::new(), Vec::new(), Vec::new());
        Life { plants, ledger, writer, incarnation: 0, next: 1, furthest: 1, sent, kept, visible }
    }

    fn apply(&mut self, sent: &Sent) {
        match sent {
            Sent::Stage(by, stage) => {
                self.ledger.stage(*by, stage, Timestamp::MIN);
            }
            Sent::Commit(by, numbers) => {
                for committed in self.ledger.commit(*by, numbers) {
                    self.visible.extend(committed.rows.iter().map(|row| row.timestamp.0));
                }
            }
            Sent::Abort(by, numbers) => {
                self.ledger.abort(*by, numbers);
            }
        }
    }

    fn flush(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        sent.iter().for_each(|one| self.apply(one));
        // The acknowledgement was lost: it is said again.
        sent.last().into_iter().for_each(|one| self.apply(one));
    }

    fn open(&mut self, checkpoint: Option<u64>) {
        self.sent.clear();
        self.incarnation += 1;
        let (writer, settlement) = Writer::open(&self.ledger, checkpoint, self.plants);
        self.writer = writer;
        self.sent.push(Sent::Commit(self.incarnation, settlement.commit));
        self.sent.push(Sent::Abort(self.incarnation, settlement.abort));
    }

    fn rows_until(&mut self, end: i64) {
        let stage = self.writer.stage((self.next..end).map(row).collect());
        self.sent.push(Sent::Stage(self.incarnation, stage));
        (self.next, self.furthest) = (end, self.furthest.max(end));
    }

    fn go(&mut self, to: Move) {
        match to {
            Move::Rows(count) => {
                self.rows_until(self.next + i64::from(count));
            }
            Move::Save { heard, kept } => {
                self.flush();
                let number = self.writer.seal();
                if kept {
                    self.kept.push((number, self.next));
                }
                // What is heard of was published: whoever published it may lose it again.
                if heard {
                    let commit = self.writer.published(number);
                    self.sent.push(Sent::Commit(self.incarnation, commit));
                }
            }
            Move::Flush => self.flush(),
            Move::Kill => match self.kept.last().copied() {
                Some((number, next)) => {
                    self.next = next;
                    self.open(Some(number));
                }
                None => self.go(Move::Begin),
            },
            Move::Begin => {
                self.kept.clear();
                self.next = self.visible.last().map_or(1, |last| last + 1);
                self.open(None);
            }
        }
    }

    /// The end of the input, all of it read again: what is visible then, and how many rows there were.
    fn end(mut self) -> (Vec<i64>, i64) {
        self.rows_until(self.furthest.max(self.next));
        let commit = self.writer.end();
        self.sent.push(Sent::Commit(self.incarnation, commit));
        self.flush();
        (self.visible, self.next - 1)
    }
}

fn live(moves: &[Move], plants: Plants) -> Result<(), String> {
    let mut life = Life::new(plants);
    moves.iter().for_each(|&to| life.go(to));
    let (visible, rows) = life.end();
    let owed: Vec<i64> = (1..=rows).collect();
    if visible == owed { Ok(()) } else { Err(format!("visible {visible:?} of 1 to {rows}")) }
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Move::Rows),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(heard, kept)| Move::Save { heard, kept }),
        1 => Just(Move::Flush),
        2 => Just(Move::Kill),
        1 => Just(Move::Begin),
    ]
}

proptest! {
    #[test]
    fn every_row_is_visible_once_and_in_order(moves in proptest::collection::vec(a_move(), 0..40)) {
        if let Err(why) = live(&moves, Plants::none()) {
            prop_assert!(false, "{}", why);
        }
    }
}

/// Killed with the commit of a published checkpoint still on its way.
const UNHEARD: [Move; 5] =
    [Move::Rows(2), Move::Save { heard: true, kept: true }, Move::Kill, Move::Flush, Move::Rows(1)];

/// The second checkpoint is never heard of, the third transaction is open: back to the first.
const SLOTS: [Move; 7] = [
    Move::Rows(1),
    Move::Save { heard: true, kept: true },
    Move::Rows(1),
    Move::Save { heard: false, kept: false },
    Move::Rows(1),
    Move::Flush,
    Move::Kill,
];

#[test]
fn what_was_sealed_is_committed_by_whoever_comes_next() {
    assert_eq!(live(&UNHEARD, Plants::none()), Ok(()));
    assert_eq!(live(&SLOTS, Plants::none()), Ok(()));
}

#[test]
fn an_older_writer_is_not_listened_to() {
    let mut ledger = Ledger::default();
    let stage = |number| Stage { number, first: 0, rows: vec![row(1)] };
    assert!(ledger.stage(2, &stage(1), Timestamp::MIN));
    assert!(!ledger.stage(1, &stage(2), Timestamp::MIN));
    assert_eq!((ledger.commit(1, &[1]).len(), ledger.abort(1, &[1])), (0, 0));
    assert_eq!(ledger.rows_of(&[1, 2]), 1);
    assert_eq!(ledger.commit(2, &[1, 2]).len(), 1);
}

#[test]
#[cfg(feature = "plant")]
fn plants_of_the_writer_show() {
    use crate::plant::Plant;
    assert!(live(&UNHEARD, Plants::only(Some(Plant::CommitForgotten))).is_err());
    assert!(live(&SLOTS, Plants::only(Some(Plant::TransactionBySlot))).is_err());
}
