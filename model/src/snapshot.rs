//! Rule 4.10 (snapshot window): events of equal timestamp, stamped with it.

use std::collections::BTreeMap;

use rewindow_query::plan::Group;

use crate::fact::{Fact, Failures};
use crate::group::{Member, close};

pub(crate) fn snapshot(group: &Group, members: &[Member], failures: &mut Failures) -> Vec<Fact> {
    let mut instants: BTreeMap<_, Vec<&Member>> = BTreeMap::new();
    for member in members {
        instants.entry((member.timestamp, member.key.clone())).or_default().push(member);
    }
    instants
        .into_iter()
        .filter_map(|((instant, key), content)| close(group, instant, key, &content, failures))
        .collect()
}
