//! SUM and MAX over the last 60 s of a key, per event (w3, w6b) or per change of the window (w3s).
use crate::{AHEAD, W, prefetch};
use common::*;
use std::collections::{BinaryHeap, VecDeque};

/// One key: the input columns are the window (two pointers); SUM by subtraction, MAX by two stacks: a running
/// maximum of the back, and for the front a column of suffix maxima made when the front runs empty (no
/// unpredictable branch). With `EXITS` a row also where an event leaves and others stay (w3s).
struct Single<'a> {
    c: &'a Cols,
    o: Out,
    sum: i64,
    lo: usize,
    mid: usize,
    back: i64,
    front: Vec<i64>, // suffix maxima of lo..mid, then a sentinel; front[f0] belongs to lo
    f0: usize,
}
impl Single<'_> {
    #[inline(always)]
    fn row(&mut self) {
        self.o.add(self.sum + self.back.max(unsafe { *self.front.get_unchecked(self.f0) }));
    }
    /// Takes out what has left by `t`, of the events before `x`.
    #[inline(always)]
    fn evict<const EXITS: bool>(&mut self, x: usize, t: i64) {
        while self.lo < x && self.c.ts[self.lo] <= t - W {
            if self.lo == self.mid {
                self.flip(x);
            }
            let left = self.c.ts[self.lo] + W;
            self.sum -= self.c.val[self.lo];
            self.lo += 1;
            self.f0 += 1;
            if EXITS && left < t && self.lo < x {
                self.row();
            }
        }
    }
    fn flip(&mut self, x: usize) {
        self.mid = x;
        self.f0 = 0;
        let n = self.mid - self.lo;
        self.front.resize(n + 1, 0);
        let mut m = i64::MIN;
        self.front[n] = m;
        for y in (0..n).rev() {
            m = m.max(self.c.val[self.lo + y]);
            self.front[y] = m;
        }
        self.back = i64::MIN;
    }
}
pub fn w3_single<const EXITS: bool>(c: &Cols) -> Out {
    let mut w =
        Single { c, o: Out::default(), sum: 0, lo: 0, mid: 0, back: i64::MIN, front: vec![i64::MIN], f0: 0 };
    for x in 0..c.len() {
        w.evict::<EXITS>(x, c.ts[x]);
        w.sum += c.val[x];
        w.back = w.back.max(c.val[x]);
        w.row();
    }
    if EXITS {
        w.evict::<EXITS>(c.len(), i64::MAX);
    }
    w.o
}

/// The same with a monotonic ring for MAX (branches mispredict on random values; less work on sorted ones).
pub fn w3_mono(c: &Cols) -> Out {
    let (mut o, mut sum, mut lo) = (Out::default(), 0i64, 0usize);
    let mut mono: VecDeque<(i64, i64)> = VecDeque::new();
    for x in 0..c.len() {
        let (t, v) = (c.ts[x], c.val[x]);
        while c.ts[lo] <= t - W {
            sum -= c.val[lo];
            lo += 1;
        }
        sum += v;
        while mono.back().is_some_and(|b| b.1 <= v) {
            mono.pop_back();
        }
        mono.push_back((t, v));
        while mono[0].0 <= t - W {
            mono.pop_front();
        }
        o.add(sum + mono[0].1);
    }
    o
}

/// Per key: a power-of-two ring of (ts, val), and two stacks for MAX over it (suffix maxima of the front part).
struct KeyWin {
    b: Vec<(i64, i64)>,
    sm: Vec<i64>, // suffix maxima of the front, by ring position
    h: u32,
    n: u32,
    front: u32, // entries of the front part
    back: i64,
    sum: i64,
}
impl KeyWin {
    #[cold]
    fn grow(&mut self) {
        let n = self.n as usize;
        let cap = (n * 2).max(4);
        let at = |i: usize| (self.h as usize + i) & (n.max(1) - 1);
        let b = (0..n).map(|i| self.b[at(i)]).collect::<Vec<_>>();
        let m = (0..n).map(|i| self.sm[at(i)]).collect::<Vec<_>>();
        (self.b, self.sm, self.h) = (b, m, 0);
        self.b.resize(cap, (0, 0));
        self.sm.resize(cap, 0);
    }
    fn flip(&mut self) {
        let m = self.b.len() - 1;
        let mut x = i64::MIN;
        for i in (0..self.n as usize).rev() {
            let p = (self.h as usize + i) & m;
            x = x.max(self.b[p].1);
            self.sm[p] = x;
        }
        self.front = self.n;
        self.back = i64::MIN;
    }
}
struct W3 {
    st: Vec<KeyWin>,
    o: Out,
}
impl W3 {
    fn new(k: usize) -> W3 {
        let w = || KeyWin { b: Vec::new(), sm: Vec::new(), h: 0, n: 0, front: 0, back: i64::MIN, sum: 0 };
        W3 { st: (0..k).map(|_| w()).collect(), o: Out::default() }
    }
    #[inline(always)]
    fn event(&mut self, t: i64, k: u32, v: i64) {
        let s = unsafe { self.st.get_unchecked_mut(k as usize) };
        while s.n > 0 {
            let f = unsafe { *s.b.get_unchecked(s.h as usize) };
            if f.0 > t - W {
                break;
            }
            if s.front == 0 {
                s.flip();
            }
            s.sum -= f.1;
            s.h = (s.h + 1) & (s.b.len() - 1) as u32;
            s.n -= 1;
            s.front -= 1;
        }
        if s.n as usize == s.b.len() {
            s.grow();
        }
        let p = (s.h + s.n) as usize & (s.b.len() - 1);
        unsafe { *s.b.get_unchecked_mut(p) = (t, v) };
        s.n += 1;
        s.sum += v;
        s.back = s.back.max(v);
        let m = if s.front > 0 { s.back.max(unsafe { *s.sm.get_unchecked(s.h as usize) }) } else { s.back };
        self.o.add(s.sum + m);
    }
}
pub fn w3_keyed(c: &Cols, k: usize) -> Out {
    let mut w = W3::new(k);
    for x in 0..c.len() {
        if k > 5_000 {
            let y = (x + 16).min(c.len() - 1);
            prefetch(&w.st[c.key[y] as usize]);
            let y = (x + 8).min(c.len() - 1);
            let q = &w.st[c.key[y] as usize];
            if !q.b.is_empty() {
                prefetch(&q.b[q.h as usize]);
                prefetch(&q.sm[q.h as usize]);
                prefetch(&q.b[(q.h + q.n) as usize & (q.b.len() - 1)]);
            }
        }
        w.event(c.ts[x], c.key[x], c.val[x]);
    }
    w.o
}

/// Keyed, all keys share the 60 s bound: the input columns are one FIFO log, evicted in global order (so the state of the
/// key to be evicted can be prefetched); per key only sum, max and the chain of its events through the log.
/// MAX is recomputed along the chain when the maximum leaves: O(1) expected on random values, not in the worst case.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Acc {
    sum: i64,
    max: i64,
    head: u32,
}
struct Log {
    st: Vec<Acc>,
    ev: Vec<(i64, i64, u32, u32)>, // ts, val, key, previous event of the key
    lo: usize,
    o: Out,
}
impl Log {
    fn new(k: usize) -> Log {
        Log {
            st: vec![Acc { sum: 0, max: i64::MIN, head: u32::MAX }; k],
            ev: Vec::new(),
            lo: 0,
            o: Out::default(),
        }
    }
    /// Takes out what has left by `t`; `entering` is the key of the event that comes in at `t`.
    #[inline(always)]
    fn evict<const EXITS: bool>(&mut self, t: i64, entering: u32) {
        while self.lo < self.ev.len() && self.ev[self.lo].0 <= t - W {
            let (ts, v, k, _) = self.ev[self.lo];
            if let Some(e) = self.ev.get(self.lo + AHEAD) {
                prefetch(&self.st[e.2 as usize]);
            }
            let s = unsafe { self.st.get_unchecked_mut(k as usize) };
            s.sum -= v;
            if v == s.max {
                let (mut p, mut m) = (s.head, i64::MIN);
                while p != u32::MAX && p as usize > self.lo {
                    let e = unsafe { self.ev.get_unchecked(p as usize) };
                    m = m.max(e.1);
                    p = e.3;
                }
                s.max = m;
            }
            if EXITS && s.head as usize > self.lo && (ts + W < t || k != entering) {
                self.o.add(s.sum + s.max);
            }
            self.lo += 1;
        }
    }
    #[inline(always)]
    fn event<const EXITS: bool>(&mut self, t: i64, k: u32, v: i64) {
        self.evict::<EXITS>(t, k);
        let i = self.ev.len() as u32;
        let s = unsafe { self.st.get_unchecked_mut(k as usize) };
        self.ev.push((t, v, k, s.head));
        s.head = i;
        s.sum += v;
        s.max = s.max.max(v);
        self.o.add(s.sum + s.max);
    }
}
pub fn w3_log<const EXITS: bool>(c: &Cols, k: usize) -> Out {
    let mut w = Log::new(k);
    for x in 0..c.len() {
        prefetch(&w.st[c.key[(x + AHEAD).min(c.len() - 1)] as usize]);
        w.event::<EXITS>(c.ts[x], c.key[x], c.val[x]);
    }
    if EXITS {
        w.evict::<EXITS>(i64::MAX, 0);
    }
    w.o
}

/// Sliding over late data: a FIFO of the in-order run and a heap of the late ones, merged at the watermark.
pub fn w6b(c: &Cols, k: usize) -> Out {
    use std::cmp::Reverse;
    let mut w = W3::new(k);
    let mut run: VecDeque<(i64, u32, i64)> = VecDeque::new();
    let mut late: BinaryHeap<Reverse<(i64, u32, i64)>> = BinaryHeap::new();
    let mut top = i64::MIN;
    for x in 0..c.len() {
        let e = (c.ts[x], c.key[x], c.val[x]);
        if e.0 > top {
            top = e.0;
            run.push_back(e);
        } else {
            late.push(Reverse(e));
        }
        let wm = top - 5 * US;
        while run.front().is_some_and(|f| f.0 <= wm) {
            let f = run[0];
            while late.peek().is_some_and(|l| l.0.0 < f.0) {
                let Reverse(l) = late.pop().unwrap();
                w.event(l.0, l.1, l.2);
            }
            run.pop_front();
            if let Some(n) = run.get(AHEAD) {
                prefetch(&w.st[n.1 as usize]);
            }
            w.event(f.0, f.1, f.2);
        }
    }
    let mut rest: Vec<_> = run.into_iter().chain(late.into_iter().map(|r| r.0)).collect();
    rest.sort_unstable();
    for e in rest {
        w.event(e.0, e.1, e.2);
    }
    w.o
}
