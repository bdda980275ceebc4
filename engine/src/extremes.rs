//! Least and greatest values of a first-in-first-out content (choice C-MINMAX).
//!
//! Sums can be taken back, extremes cannot: content that leaves in the order it came is kept on two stacks,
//! so that entering and leaving cost amortised constant time whatever the length of the window. Knows
//! nothing of windows. Invariant: of equal values the older one is kept, except that a bigint is preferred
//! to an equal float.

use std::cmp::Ordering;
use std::collections::VecDeque;

use rewindow_query::Value;
use rewindow_query::value::compare_int_float;

/// Least and greatest of some values; NULL of none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extremes {
    /// Least.
    pub min: Value,
    /// Greatest.
    pub max: Value,
}

/// Something whose parts can be joined, older before newer.
pub trait Extent: Clone {
    /// What nothing has.
    fn none() -> Self;
    /// Both together; `newer` came later.
    fn join(&self, newer: &Self) -> Self;
}

impl Extremes {
    /// Of a single value.
    pub fn of(value: &Value) -> Extremes {
        Extremes { min: value.clone(), max: value.clone() }
    }

    /// Takes a newer value in.
    pub fn add(&mut self, value: &Value) {
        if better(value, &self.min, Ordering::Less) {
            self.min = value.clone();
        }
        if better(value, &self.max, Ordering::Greater) {
            self.max = value.clone();
        }
    }
}

/// Whether a newer value replaces the extreme so far; values are of one kind, or numbers.
fn better(newer: &Value, so_far: &Value, side: Ordering) -> bool {
    match (newer, so_far) {
        (Value::Null, _) => false,
        (_, Value::Null) => true,
        (Value::Int(a), Value::Float(b)) => {
            let order = compare_int_float(*a, *b);
            order == side || order == Ordering::Equal
        }
        (Value::Float(a), Value::Int(b)) => compare_int_float(*b, *a).reverse() == side,
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b) == Some(side),
        (a, b) => a.cmp(b) == side,
    }
}

impl Extent for Extremes {
    fn none() -> Extremes {
        Extremes::default()
    }

    fn join(&self, newer: &Extremes) -> Extremes {
        let pick = |newer: &Value, older: &Value, side| {
            if better(newer, older, side) { newer.clone() } else { older.clone() }
        };
        Extremes {
            min: pick(&newer.min, &self.min, Ordering::Less),
            max: pick(&newer.max, &self.max, Ordering::Greater),
        }
    }
}

/// Least and greatest bigint; `(MAX, MIN)` of none.
impl Extent for (i64, i64) {
    #[inline]
    fn none() -> (i64, i64) {
        (i64::MAX, i64::MIN)
    }

    #[inline]
    fn join(&self, newer: &(i64, i64)) -> (i64, i64) {
        (self.0.min(newer.0), self.1.max(newer.1))
    }
}

/// A queue that knows the extremes of its content: the front holds, for each part, the join of it and all
/// newer parts of the front, last part first.
#[derive(Clone, Debug)]
struct Stacks<T> {
    front: Vec<T>,
    back: Vec<T>,
    back_all: T,
}

impl<T: Extent> Stacks<T> {
    fn new() -> Stacks<T> {
        Stacks { front: Vec::new(), back: Vec::new(), back_all: T::none() }
    }

    #[inline]
    fn push(&mut self, part: T) {
        self.back_all = self.back_all.join(&part);
        self.back.push(part);
    }

    #[inline]
    fn pop(&mut self) {
        if self.front.is_empty() {
            let mut all = T::none();
            self.front.extend(self.back.drain(..).rev().map(|part| {
                all = part.join(&all);
                all.clone()
            }));
            self.back_all = T::none();
        }
        let popped = self.front.pop();
        debug_assert!(popped.is_some(), "what leaves has entered");
    }

    #[inline]
    fn all(&self) -> T {
        self.front.last().map_or_else(|| self.back_all.clone(), |front| front.join(&self.back_all))
    }

    fn is_empty(&self) -> bool {
        self.front.is_empty() && self.back.is_empty()
    }

    fn shrink(&mut self) {
        if self.is_empty() {
            *self = Stacks::new();
        }
    }
}

/// The queues of all slots for one argument.
#[derive(Clone, Debug)]
pub struct Queues {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Bigints and NULLs so far.
    Ints(Vec<Stacks<(i64, i64)>>),
    /// Anything.
    Any(Vec<Stacks<Extremes>>),
}

impl Default for Queues {
    fn default() -> Queues {
        Queues { kind: Kind::Ints(Vec::new()) }
    }
}

impl Queues {
    /// Makes room for so many slots.
    pub fn fit(&mut self, slots: usize) {
        match &mut self.kind {
            Kind::Ints(queues) => queues.resize_with(slots.max(queues.len()), Stacks::new),
            Kind::Any(queues) => queues.resize_with(slots.max(queues.len()), Stacks::new),
        }
    }

    /// A bigint enters.
    #[inline]
    pub fn push_int(&mut self, slot: u32, int: i64) {
        match &mut self.kind {
            Kind::Ints(queues) => queues[slot as usize].push((int, int)),
            Kind::Any(queues) => queues[slot as usize].push(Extremes::of(&Value::Int(int))),
        }
    }

    /// A part enters: one value, or the extremes of several.
    pub fn push(&mut self, slot: u32, part: Extremes) {
        if let Kind::Ints(queues) = &mut self.kind {
            match (&part.min, &part.max) {
                (Value::Int(min), Value::Int(max)) => return queues[slot as usize].push((*min, *max)),
                (Value::Null, Value::Null) => return queues[slot as usize].push(Extent::none()),
                _ => self.generalise(),
            }
        }
        if let Kind::Any(queues) = &mut self.kind {
            queues[slot as usize].push(part);
        }
    }

    /// The oldest part leaves.
    #[inline]
    pub fn pop(&mut self, slot: u32) {
        match &mut self.kind {
            Kind::Ints(queues) => queues[slot as usize].pop(),
            Kind::Any(queues) => queues[slot as usize].pop(),
        }
    }

    /// The extremes of all that is inside.
    pub fn all(&self, slot: u32) -> Extremes {
        match &self.kind {
            Kind::Ints(queues) => from_ints(queues[slot as usize].all()),
            Kind::Any(queues) => queues[slot as usize].all(),
        }
    }

    /// Gives memory of an empty queue back.
    pub fn shrink(&mut self, slot: u32) {
        match &mut self.kind {
            Kind::Ints(queues) => queues[slot as usize].shrink(),
            Kind::Any(queues) => queues[slot as usize].shrink(),
        }
    }

    fn generalise(&mut self) {
        if let Kind::Ints(queues) = &self.kind {
            let part = |ints: &(i64, i64)| from_ints(*ints);
            let queue = |stacks: &Stacks<(i64, i64)>| Stacks {
                front: stacks.front.iter().map(part).collect(),
                back: stacks.back.iter().map(part).collect(),
                back_all: part(&stacks.back_all),
            };
            self.kind = Kind::Any(queues.iter().map(queue).collect());
        }
    }
}

fn from_ints((min, max): (i64, i64)) -> Extremes {
    if min > max { Extremes::none() } else { Extremes { min: Value::Int(min), max: Value::Int(max) } }
}

/// A queue of values that is a plain queue of bigints as long as it can be.
#[derive(Clone, Debug)]
pub enum Values {
    /// Bigints so far, no NULL.
    Ints(VecDeque<i64>),
    /// Anything.
    Any(VecDeque<Value>),
}

impl Default for Values {
    fn default() -> Values {
        Values::Ints(VecDeque::new())
    }
}

impl Values {
    /// Appends a value.
    #[inline]
    pub fn push(&mut self, value: Value) {
        match (&mut *self, value) {
            (Values::Ints(ints), Value::Int(int)) => ints.push_back(int),
            (Values::Ints(ints), value) => {
                let mut any: VecDeque<Value> = ints.iter().map(|&int| Value::Int(int)).collect();
                any.push_back(value);
                *self = Values::Any(any);
            }
            (Values::Any(any), value) => any.push_back(value),
        }
    }

    /// Takes the oldest value out; NULL if there is none.
    #[inline]
    pub fn pop(&mut self) -> Value {
        match self {
            Values::Ints(ints) => ints.pop_front().map_or(Value::Null, Value::Int),
            Values::Any(any) => any.pop_front().unwrap_or_default(),
        }
    }

    /// The value at a place, the oldest at 0.
    pub fn get(&self, at: usize) -> Value {
        match self {
            Values::Ints(ints) => ints.get(at).map_or(Value::Null, |&int| Value::Int(int)),
            Values::Any(any) => any.get(at).cloned().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn c_minmax_two_stacks_agree_with_a_fold(
            steps in prop::collection::vec(
                prop_oneof![
                    3 => prop_oneof![
                        (-3_i64..4).prop_map(Value::Int),
                        (-6_i64..7).prop_map(|v| Value::Float(v as f64 / 2.0)),
                        Just(Value::Null)
                    ].prop_map(Some),
                    2 => Just(None)
                ], 0..40),
        ) {
            let mut queues = Queues::default();
            queues.fit(1);
            let mut content: Vec<Value> = Vec::new();
            for step in steps {
                match step {
                    Some(Value::Int(int)) => { queues.push_int(0, int); content.push(Value::Int(int)); }
                    Some(value) => { queues.push(0, Extremes::of(&value)); content.push(value); }
                    None if content.is_empty() => {}
                    None => { queues.pop(0); content.remove(0); }
                }
                let mut folded = Extremes::default();
                content.iter().for_each(|value| folded.add(value));
                prop_assert_eq!(queues.all(0), folded);
            }
        }
    }

    #[test]
    fn c_minmax_a_bigint_is_preferred_to_an_equal_float_by_both() {
        let mut extremes = Extremes::of(&Value::Float(2.0));
        extremes.add(&Value::Int(2));
        assert_eq!(extremes, Extremes::of(&Value::Int(2)));
        extremes.add(&Value::Float(2.0));
        assert_eq!(extremes, Extremes::of(&Value::Int(2)));
    }
}
