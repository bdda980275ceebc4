//! Names of the interesting states a run can reach: the `sometimes` beside every `always` (design §5).
//!
//! The world counts what it can see itself. A campaign sums the counts and asks for those in [`ALL`].

/// A checkpoint was restored whose operators held something besides the ordering stage.
pub const RESTORED_OPEN: &str = "restored inside an open window";
/// A shard was opened again, read from a checkpoint.
pub const FROM_CHECKPOINT: &str = "recovered from a checkpoint";
/// A shard was opened again and had to read the past without state.
pub const REPLAYED: &str = "recovered by replay alone";
/// A kill before the first checkpoint of a shard was complete (C-NOSTATE).
pub const NO_CHECKPOINT: &str = "killed before the first checkpoint";
/// What a recovery had to read was partly forgotten.
pub const EXPIRED: &str = "met an expired log";
/// A reader that was running met an offset that was gone.
pub const EXPIRED_READER: &str = "overtaken by retention";
/// A recovery announced rows that may be incomplete.
pub const GAP: &str = "gap announced";
/// A fault struck a node while one of its shards was catching up.
pub const STRUCK_AGAIN: &str = "struck again while catching up";
/// A fault struck a node that was down.
pub const STRUCK_DOWN: &str = "struck while down";
/// Two faults at the same instant.
pub const TWO_AT_ONCE: &str = "two faults at once";
/// A shard was opened by a new version that reads the old state.
pub const UPGRADE_STATE: &str = "upgraded with state";
/// A shard was opened by a new version that cannot read the old state.
pub const UPGRADE_REPLAY: &str = "upgraded by replay";
/// A node was rebooted by an OS upgrade.
pub const OS_UPGRADE: &str = "rebooted by an os upgrade";
/// A user's restart from the present moment.
pub const START_NOW: &str = "restarted now";
/// A user's restart from a chosen time.
pub const START_CUSTOM: &str = "restarted at a custom time";
/// A user's restart from the last output.
pub const START_LAST: &str = "restarted when last stopped";
/// A user's start left out rows.
pub const SKIPPED: &str = "rows left out by a start";
/// A user's start lay before what had been delivered.
pub const STARTED_BACK: &str = "restarted before what was delivered";
/// Rows reached the sink that it had already.
pub const COPIES: &str = "copies delivered";
/// A recovery found nothing to catch up.
pub const EMPTY_BACKLOG: &str = "recovered without a backlog";
/// A recovery caught up before anything else happened.
pub const LEVEL: &str = "caught up";
/// A worker read a journaled estimate of the arrival clock (rule 3.7).
pub const ESTIMATE: &str = "read an estimate";
/// A worker read text that does not decode (rule 1.5).
pub const MALFORMED: &str = "read a malformed entry";
/// A batch was cut by its limit while more was there.
pub const BATCH_CUT: &str = "batch cut by its limit";
/// A checkpoint was completed while the shard was catching up.
pub const SAVED_CATCHING: &str = "saved while catching up";
/// A checkpoint was completed.
pub const SAVED: &str = "saved";
/// The job failed with a runtime error (rule 14.2).
pub const FAILED: &str = "failed";

/// The service started a failed job again (rule 14.2).
pub const RESTARTED: &str = "started again after a failure";

/// A write found the sink unavailable.
pub const SINK_AWAY: &str = "waited for the sink";
/// A node was lost with writes that the sink had not taken.
pub const WRITES_LOST: &str = "struck with writes waiting";
/// A save was put off because a write was waiting.
pub const SAVE_PUT_OFF: &str = "save put off by a waiting write";
/// A write was done twice because its acknowledgement was lost.
pub const WRITTEN_AGAIN: &str = "written again";
/// A row took the place of another of its identity.
pub const REPLACED: &str = "row written over";
/// A row was left out because the sink had its identity.
pub const KEY_SKIPPED: &str = "row skipped by its key";
/// A transaction with rows became visible.
pub const COMMITTED: &str = "committed";
/// A restored writer committed rows that its predecessor had sealed.
pub const COMMITTED_LATE: &str = "committed by a successor";
/// Staged rows were given up.
pub const ABORTED: &str = "aborted";

/// A packet was late, doubled or overtaken because of a fault.
pub const LINK_DISTURBED: &str = "packet disturbed";
/// A packet came to a task that was down.
pub const PACKET_LOST: &str = "packet to a node that is down";
/// A packet came whose predecessors had not.
pub const PACKET_MISSING: &str = "packet with rows missing before it";
/// A packet came from an epoch or a sender that is over.
pub const PACKET_STALE: &str = "packet of an epoch that is over";
/// Rows of a link were sent again to a task that had asked.
pub const RESENT: &str = "rows asked for again";
/// Rows of a link were asked for that the sender no longer had: only where something is wrong, so not among [`ALL`].
pub const HISTORY_GONE: &str = "link history gone";
/// A shard of several tasks began a new epoch because no set of checkpoints could be used.
pub const BEGUN_AGAIN: &str = "began again without state";
/// A task with links was opened in the middle of an epoch without a checkpoint.
pub const EPOCH_AGAIN: &str = "began its epoch again";
/// A checkpoint was passed over because it could not be used.
pub const SKIPPED_CHECKPOINT: &str = "older checkpoint used";
/// Harm came to a checkpoint.
pub const DAMAGED: &str = "checkpoint damaged";
/// A node that had been replaced was refused.
pub const FENCED: &str = "fenced";
/// A node hung and went on before anybody noticed.
pub const PAUSED: &str = "came back unnoticed";
/// A node became slow.
pub const SLOWED: &str = "slowed";
/// Two versions of the service ran side by side.
pub const MIXED_VERSIONS: &str = "two versions at once";
/// The service went back to an older version.
pub const ROLLED_BACK: &str = "rolled back";
/// The number of nodes changed.
pub const SCALED: &str = "scaled";
/// The user started another job in place of the one that ran.
pub const CHANGED: &str = "job changed";
/// The user started a job that had failed.
pub const STARTED_FAILED: &str = "failed job started by the user";

/// All names, in the order of reports.
pub const ALL: [&str; 54] = [
    SAVED,
    FROM_CHECKPOINT,
    REPLAYED,
    RESTORED_OPEN,
    NO_CHECKPOINT,
    EXPIRED,
    EXPIRED_READER,
    GAP,
    STRUCK_AGAIN,
    STRUCK_DOWN,
    TWO_AT_ONCE,
    UPGRADE_STATE,
    UPGRADE_REPLAY,
    OS_UPGRADE,
    START_NOW,
    START_CUSTOM,
    START_LAST,
    SKIPPED,
    STARTED_BACK,
    COPIES,
    EMPTY_BACKLOG,
    LEVEL,
    ESTIMATE,
    MALFORMED,
    BATCH_CUT,
    SAVED_CATCHING,
    FAILED,
    RESTARTED,
    SINK_AWAY,
    WRITES_LOST,
    SAVE_PUT_OFF,
    WRITTEN_AGAIN,
    REPLACED,
    KEY_SKIPPED,
    COMMITTED,
    COMMITTED_LATE,
    ABORTED,
    LINK_DISTURBED,
    PACKET_LOST,
    PACKET_MISSING,
    PACKET_STALE,
    RESENT,
    BEGUN_AGAIN,
    EPOCH_AGAIN,
    SKIPPED_CHECKPOINT,
    DAMAGED,
    FENCED,
    PAUSED,
    SLOWED,
    MIXED_VERSIONS,
    ROLLED_BACK,
    SCALED,
    CHANGED,
    STARTED_FAILED,
];

/// Those that only tasks with links can reach.
pub const OF_LINKS: [&str; 7] =
    [LINK_DISTURBED, PACKET_LOST, PACKET_MISSING, PACKET_STALE, RESENT, BEGUN_AGAIN, EPOCH_AGAIN];
