//! The physical limit: one hand-written tight loop per workload. Keys are known (dense 0..K), nothing is
//! checked, nothing is checkpointed, and output rows are folded into a checksum as they are made.
//! `limit <workload> <dataset> <dir> [n]`; workloads: sum w1 w1h w1p w2 w3 w3m w3k w3l w3s w4 w4r w5 w6a w6b w7 ck_none ck_delta ck_full ck_rows
use common::*;

mod join;
mod sliding;

use join::{w4, w4_ring};
use sliding::{w3_keyed, w3_log, w3_mono, w3_single, w6b};

/// Sixty seconds.
const W: i64 = 60 * US;

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch<T>(p: *const T) {
    unsafe { core::arch::x86_64::_mm_prefetch(p as *const i8, core::arch::x86_64::_MM_HINT_T0) }
}
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch<T>(_: *const T) {}

const AHEAD: usize = 24;

fn keys(c: &Cols) -> usize {
    c.key.iter().copied().max().map(|k| k as usize + 1).unwrap_or(0)
}

#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Agg {
    cnt: i64,
    sum: i64,
    min: i64,
    max: i64,
}
const ZERO: Agg = Agg { cnt: 0, sum: 0, min: i64::MAX, max: i64::MIN };
impl Agg {
    #[inline(always)]
    fn push(&mut self, v: i64) {
        self.cnt += 1;
        self.sum += v;
        self.min = self.min.min(v);
        self.max = self.max.max(v);
    }
    #[inline(always)]
    fn chk(&self) -> i64 {
        let avg = self.sum as f64 / self.cnt as f64;
        self.cnt + self.sum + self.min + self.max + avg as i64
    }
}
fn flush(st: &mut [Agg], o: &mut Out) {
    for a in st.iter_mut() {
        if a.cnt > 0 {
            o.add(a.chk());
            *a = ZERO;
        }
    }
}

/// Index of the first event at or past `t` from `i` on (in-order data).
fn upto(ts: &[i64], i: usize, t: i64) -> usize {
    i + ts[i..].partition_point(|x| *x < t)
}

fn w1(c: &Cols, k: usize) -> Out {
    let (mut o, mut st) = (Out::default(), vec![ZERO; k]);
    let mut i = 0;
    while i < c.len() {
        let end = (c.ts[i] / (10 * US) + 1) * 10 * US;
        let j = upto(&c.ts, i, end);
        for x in i..j {
            if k > 20_000 {
                let y = (x + AHEAD).min(c.len() - 1);
                prefetch(&st[c.key[y] as usize]);
            }
            unsafe { st.get_unchecked_mut(c.key[x] as usize).push(c.val[x]) };
        }
        flush(&mut st, &mut o);
        i = j;
    }
    o
}

/// As w1, but no batch look-ahead: the watermark is tested on every event and there is no prefetch.
fn w1_plain(c: &Cols, k: usize) -> Out {
    let (mut o, mut st) = (Out::default(), vec![ZERO; k]);
    let mut end = (c.ts[0] / (10 * US) + 1) * 10 * US;
    for x in 0..c.len() {
        if c.ts[x] >= end {
            flush(&mut st, &mut o);
            end = (c.ts[x] / (10 * US) + 1) * 10 * US;
        }
        st[c.key[x] as usize].push(c.val[x]);
    }
    flush(&mut st, &mut o);
    o
}

/// Open addressing, multiply-shift, linear probing: key -> dense slot, keys unknown beforehand.
struct Dict {
    tab: Vec<(u32, u32)>, // key, slot+1
    shift: u32,
    len: u32,
}
impl Dict {
    fn new() -> Dict {
        Dict { tab: vec![(0, 0); 1 << 10], shift: 54, len: 0 }
    }
    #[inline(always)]
    fn pos(&self, k: u32) -> usize {
        ((k as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
    #[inline(always)]
    fn slot(&mut self, k: u32) -> usize {
        let m = self.tab.len() - 1;
        let mut p = self.pos(k);
        loop {
            let (kk, s) = unsafe { *self.tab.get_unchecked(p) };
            if s == 0 {
                return self.insert(k);
            }
            if kk == k {
                return s as usize - 1;
            }
            p = (p + 1) & m;
        }
    }
    #[cold]
    fn insert(&mut self, k: u32) -> usize {
        if (self.len as usize + 1) * 2 > self.tab.len() {
            let old = std::mem::take(&mut self.tab);
            self.tab = vec![(0, 0); old.len() * 2];
            self.shift -= 1;
            for e in old {
                if e.1 != 0 {
                    self.put(e);
                }
            }
        }
        self.len += 1;
        self.put((k, self.len));
        self.len as usize - 1
    }
    fn put(&mut self, e: (u32, u32)) {
        let m = self.tab.len() - 1;
        let mut p = self.pos(e.0);
        while self.tab[p].1 != 0 {
            p = (p + 1) & m;
        }
        self.tab[p] = e;
    }
}

fn w1_hash(c: &Cols) -> Out {
    let (mut o, mut st, mut d) = (Out::default(), Vec::<Agg>::new(), Dict::new());
    let mut slots = [0u32; 1024];
    let mut i = 0;
    while i < c.len() {
        let end = (c.ts[i] / (10 * US) + 1) * 10 * US;
        let j = upto(&c.ts, i, end);
        while i < j {
            let m = (j - i).min(1024);
            for x in 0..m {
                let y = (i + x + AHEAD).min(c.len() - 1);
                prefetch(&d.tab[d.pos(c.key[y])]);
                let s = d.slot(c.key[i + x]);
                slots[x] = s as u32;
                if s == st.len() {
                    st.push(ZERO);
                }
                prefetch(&st[s]);
            }
            for x in 0..m {
                unsafe { st.get_unchecked_mut(slots[x] as usize).push(c.val[i + x]) };
            }
            i += m;
        }
        flush(&mut st, &mut o);
    }
    o
}

fn w2(c: &Cols, k: usize) -> Out {
    const P: usize = 60;
    let mut o = Out::default();
    let (mut ring_s, mut ring_c) = (vec![0i64; P * k], vec![0i32; P * k]);
    let (mut tot_s, mut tot_c) = (vec![0i64; k], vec![0i32; k]);
    let mut i = 0;
    let last = c.ts[c.len() - 1] / US;
    for pane in 0..=(last + P as i64 - 1) {
        let b = (pane as usize % P) * k;
        let (rs, rc) = (&mut ring_s[b..b + k], &mut ring_c[b..b + k]);
        for x in 0..k {
            tot_s[x] -= rs[x];
            tot_c[x] -= rc[x];
            rs[x] = 0;
            rc[x] = 0;
        }
        let j = if pane > last { c.len() } else { upto(&c.ts, i, (pane + 1) * US) };
        for x in i..j {
            let kk = c.key[x] as usize;
            if k > 20_000 {
                let y = c.key[(x + AHEAD).min(c.len() - 1)] as usize;
                prefetch(&rs[y]);
                prefetch(&rc[y]);
            }
            unsafe {
                *rs.get_unchecked_mut(kk) += c.val[x];
                *rc.get_unchecked_mut(kk) += 1;
            }
        }
        i = j;
        let (mut rows, mut chk) = (0u64, 0i64);
        for x in 0..k {
            tot_s[x] += rs[x];
            tot_c[x] += rc[x];
            rows += (tot_c[x] > 0) as u64;
            chk += tot_s[x];
        }
        o.rows += rows;
        o.chk += chk;
    }
    o
}

#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Lag {
    lt: i64,
    lv: i64,
    wt: i64,
    wv: i64,
}
fn w5(c: &Cols, k: usize) -> Out {
    let mut o = Out::default();
    let mut st = vec![Lag { lt: i64::MIN, lv: -1, wt: i64::MIN, wv: -1 }; k];
    for x in 0..c.len() {
        let (t, v) = (c.ts[x], c.val[x]);
        if k > 20_000 {
            prefetch(&st[c.key[(x + AHEAD).min(c.len() - 1)] as usize]);
        }
        let s = unsafe { st.get_unchecked_mut(c.key[x] as usize) };
        let lag = if s.lt > t - W { s.lv } else { -1 };
        (s.lt, s.lv) = (t, v);
        if v >= 90_000 {
            (s.wt, s.wv) = (t, v);
        }
        let last = if s.wt > t - W { s.wv } else { -1 };
        o.add(lag + last);
    }
    o
}

/// Tumbling over late data: at most two windows are open (lateness 5 s < 10 s).
fn w6a(c: &Cols, k: usize) -> Out {
    let mut o = Out::default();
    let mut st = [vec![ZERO; k], vec![ZERO; k]];
    let (mut base, mut wm) = (0i64, i64::MIN);
    for x in 0..c.len() {
        let t = c.ts[x];
        if k > 20_000 {
            let y = (x + AHEAD).min(c.len() - 1);
            prefetch(
                &st[((c.ts[y] >= base + 10 * US) as i64 ^ (base / (10 * US) & 1)) as usize]
                    [c.key[y] as usize],
            );
        }
        wm = wm.max(t);
        if wm - 5 * US >= base + 10 * US {
            flush(&mut st[(base / (10 * US) & 1) as usize], &mut o);
            base += 10 * US;
        }
        let w = ((t >= base + 10 * US) as i64 ^ (base / (10 * US) & 1)) as usize;
        st[w][c.key[x] as usize].push(c.val[x]);
    }
    flush(&mut st[0], &mut o);
    flush(&mut st[1], &mut o);
    o
}

#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Sess {
    start: i64,
    last: i64,
    sum: i64,
    cnt: i64,
}
fn w7(c: &Cols, k: usize) -> Out {
    let mut o = Out::default();
    let mut st = vec![Sess { start: 0, last: i64::MIN / 2, sum: 0, cnt: 0 }; k];
    for x in 0..c.len() {
        let (t, v) = (c.ts[x], c.val[x]);
        if k > 20_000 {
            prefetch(&st[c.key[(x + AHEAD).min(c.len() - 1)] as usize]);
        }
        let s = unsafe { st.get_unchecked_mut(c.key[x] as usize) };
        if t - s.last > 5 * US {
            if s.cnt > 0 {
                o.add(s.cnt + s.sum + s.last - s.start);
            }
            *s = Sess { start: t, last: t, sum: v, cnt: 1 };
        } else {
            s.last = t;
            s.sum += v;
            s.cnt += 1;
        }
    }
    for s in st.iter().filter(|s| s.cnt > 0) {
        o.add(s.cnt + s.sum + s.last - s.start);
    }
    o
}

/// w1 with a checkpoint each second of event time. mode 0: none; 1: copy dirty 4 KiB blocks;
/// 2: copy everything; 3: copy dirty rows (an epoch byte per row, and a list of the rows first dirtied in this epoch).
fn ck(c: &Cols, k: usize, mode: u8) -> Out {
    const B: usize = 128; // entries of 32 bytes per block
    let (mut o, mut st) = (Out::default(), vec![ZERO; k]);
    let mut dirty = vec![0u8; k / B + 1];
    let mut log: Vec<Agg> = Vec::new();
    let (mut tag, mut rows, mut ep) = (vec![0u8; k], Vec::<u32>::new(), 1u8);
    let mut copied = 0usize;
    let mut i = 0;
    while i < c.len() {
        let end = (c.ts[i] / US + 1) * US;
        let j = upto(&c.ts, i, end);
        for x in i..j {
            let kk = c.key[x] as usize;
            if k > 20_000 {
                prefetch(&st[c.key[(x + AHEAD).min(c.len() - 1)] as usize]);
            }
            if mode == 1 {
                unsafe { *dirty.get_unchecked_mut(kk / B) = 1 };
            }
            if mode == 3 && tag[kk] != ep {
                tag[kk] = ep;
                rows.push(kk as u32);
            }
            unsafe { st.get_unchecked_mut(kk).push(c.val[x]) };
        }
        if end % (10 * US) == 0 {
            flush(&mut st, &mut o);
        }
        log.clear();
        if mode == 1 {
            for (b, d) in dirty.iter_mut().enumerate().filter(|(_, d)| **d == 1) {
                *d = 0;
                log.extend_from_slice(&st[b * B..((b + 1) * B).min(k)]);
            }
        } else if mode == 2 {
            log.extend_from_slice(&st);
        } else if mode == 3 {
            log.extend(rows.iter().map(|r| st[*r as usize]));
            rows.clear();
            ep = ep.wrapping_add(1);
        }
        copied += log.len() * 32;
        std::hint::black_box(&log);
        i = j;
    }
    flush(&mut st, &mut o);
    eprintln!("checkpoint bytes copied: {copied}");
    o
}

fn main() {
    let a = args();
    if a.wl == "w4" || a.wl == "w4r" {
        let l = Cols::load(&a.dir, &format!("{}_l", a.ds), a.n);
        let r = Cols::load(&a.dir, &format!("{}_r", a.ds), a.n);
        let k = keys(&l).max(keys(&r));
        return report("limit", &a, l.len() + r.len(), || {
            // about one match per event: the chain wins; ten: the ring
            if a.wl == "w4" && k > 200_000 { w4(&l, &r, k) } else { w4_ring(&l, &r, k) }
        });
    }
    let c = Cols::load(&a.dir, &a.ds, a.n);
    let k = keys(&c);
    report("limit", &a, c.len(), || match a.wl.as_str() {
        "sum" => Out { rows: 1, chk: c.val.iter().sum() },
        "w1" => w1(&c, k),
        "w1p" => w1_plain(&c, k),
        "w1h" => w1_hash(&c),
        "w2" => w2(&c, k),
        "w3" if k == 1 => w3_single::<false>(&c),
        "w3s" if k == 1 => w3_single::<true>(&c),
        "w3m" => w3_mono(&c),
        "w3" if k > 50_000 => w3_log::<false>(&c, k), // few events per key: the log wins; many: the ring
        "w3l" => w3_log::<false>(&c, k),
        "w3s" => w3_log::<true>(&c, k),
        "w3" | "w3k" => w3_keyed(&c, k),
        "w5" => w5(&c, k),
        "w6a" => w6a(&c, k),
        "w6b" => w6b(&c, k),
        "w7" => w7(&c, k),
        "ck_none" => ck(&c, k, 0),
        "ck_delta" => ck(&c, k, 1),
        "ck_full" => ck(&c, k, 2),
        "ck_rows" => ck(&c, k, 3),
        x => panic!("workload {x}"),
    });
}
