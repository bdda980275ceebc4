//! Pairs of equal key with R in [L, L + 10 s] (w4).
use crate::{AHEAD, prefetch};
use common::*;
use std::collections::VecDeque;

/// As w4, but each key's recent L events lie together in a ring.
pub fn w4_ring(l: &Cols, r: &Cols, k: usize) -> Out {
    let mut o = Out::default();
    let mut st: Vec<VecDeque<(i64, i64)>> = vec![VecDeque::new(); k];
    let mut i = 0;
    for x in 0..r.len() {
        let t = r.ts[x];
        while i < l.len() && l.ts[i] <= t {
            prefetch(&st[l.key[(i + AHEAD).min(l.len() - 1)] as usize]);
            let s = &mut st[l.key[i] as usize];
            while s.front().is_some_and(|f| f.0 < t - 10 * US) {
                s.pop_front();
            }
            s.push_back((l.ts[i], l.val[i]));
            i += 1;
        }
        prefetch(&st[r.key[(x + AHEAD).min(r.len() - 1)] as usize]);
        if let Some(f) = st[r.key[(x + AHEAD / 2).min(r.len() - 1)] as usize].front() {
            prefetch(f);
        }
        let s = &mut st[r.key[x] as usize];
        while s.front().is_some_and(|f| f.0 < t - 10 * US) {
            s.pop_front();
        }
        let (a, b) = s.as_slices();
        for p in [a, b] {
            o.rows += p.len() as u64;
            o.chk += p.iter().map(|e| e.1).sum::<i64>() + r.val[x] * p.len() as i64;
        }
    }
    o
}

/// R within 0..=10 s after L, same key. L events are chained per key through their own index.
pub fn w4(l: &Cols, r: &Cols, k: usize) -> Out {
    let mut o = Out::default();
    let mut head = vec![u32::MAX; k];
    let mut prev = vec![u32::MAX; l.len()];
    let mut i = 0;
    for x in 0..r.len() {
        let t = r.ts[x];
        while i < l.len() && l.ts[i] <= t {
            let h = &mut head[l.key[i] as usize];
            prev[i] = *h;
            *h = i as u32;
            i += 1;
            prefetch(&head[l.key[(i + AHEAD).min(l.len() - 1)] as usize]);
        }
        let y = (x + AHEAD).min(r.len() - 1);
        prefetch(&head[r.key[y] as usize]);
        let y = (x + AHEAD / 2).min(r.len() - 1);
        let h = head[r.key[y] as usize] as usize;
        if h < l.len() {
            prefetch(&l.ts[h]);
            prefetch(&l.val[h]);
            prefetch(&prev[h]);
        }
        let mut p = head[r.key[x] as usize];
        while p != u32::MAX && l.ts[p as usize] >= t - 10 * US {
            o.add(l.val[p as usize] + r.val[x]);
            p = prev[p as usize];
        }
    }
    o
}
