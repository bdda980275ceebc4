//! The room of the fast answer: the same operators as `model`, columnar, incremental, checkpointed.
//!
//! An [`instance::Instance`] runs one shard of a plan; cut into [`task::Task`]s that links join, a shard runs on
//! several nodes. It is given entries in batches cut anywhere and
//! gives rows as soon as the watermark makes them certain. It knows nothing of the world: it reads no
//! clock, rolls no dice, and learns of a failure only by being opened again (`recovery`).

pub mod aggregate;
pub mod apply;
pub mod batch;
pub mod build;
pub mod calls;
pub mod checkpoint;
pub mod codec;
pub mod column;
pub mod commit;
pub mod coordinator;
pub mod eval;
pub mod exact;
pub mod extremes;
pub mod filter;
pub mod grouping;
pub mod history;
pub mod hopping;
pub mod instance;
pub mod isfirst;
pub mod join;
pub mod lag;
pub mod last;
pub mod layout;
pub mod link;
pub mod listed;
pub mod looking;
pub mod merge;
pub mod operator;
pub mod ordering;
pub mod output;
pub mod over;
pub mod pattern;
pub mod plant;
pub mod project;
pub mod recovery;
pub mod reference;
pub mod session;
pub mod setup;
pub mod sliding;
pub mod slots;
pub mod spread;
pub mod store;
pub mod substream;
pub mod table;
pub mod task;
pub mod tumbling;
pub mod union;
pub mod user;

pub use checkpoint::CheckpointError;
pub use coordinator::{Coordinator, Grant, GrantError, PublishError, Published};
pub use instance::{Instance, Produced, ProducedColumns};
pub use layout::{Layout, Role, TaskSpec};
pub use link::{Forgotten, Packet};
pub use output::OutputBatch;
pub use plant::{Plant, Plants};
pub use recovery::{OpenError, Opening};
pub use reference::References;
pub use setup::Setup;
pub use store::{DiskStore, MemoryStore, Store, StoreError};
pub use task::{Received, Task, TaskOpening};

#[cfg(test)]
mod aggregates_tests;
#[cfg(test)]
mod commit_tests;
#[cfg(test)]
mod join_tests;
#[cfg(test)]
mod looking_tests;
#[cfg(test)]
mod pattern_tests;
#[cfg(all(test, feature = "plant"))]
mod plants_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod windows_tests;
