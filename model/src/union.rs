//! Rule 5.6 (UNION): all rows of all branches, duplicates kept, timestamps unchanged.
//!
//! Columns go by position. Rows of equal timestamp stand in the order of (branch, place in the branch)
//! (choice C-ORDER).

use std::sync::Arc;

use crate::fact::Fact;

pub(crate) fn union<'a>(branches: impl Iterator<Item = &'a [Fact]>) -> Vec<Fact> {
    let mut rows: Vec<Fact> = branches.flatten().cloned().collect();
    rows.iter_mut().for_each(|row| row.key = Arc::from([])); // a union is no group
    rows.sort_by_key(|row| row.timestamp); // stable: branch and place stay in order
    rows
}
