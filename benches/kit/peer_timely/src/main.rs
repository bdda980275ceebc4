//! timely 0.31.0: one worker, one operator with hashed per-key state written against the public API.
//! timely ships no windowing, so this is what its user would write; a batch is 8192 events, an epoch 1 s.
use common::*;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;
use timely::dataflow::operators::{Inspect, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};

#[derive(Default, Clone)]
struct Mul(u64);
impl Hasher for Mul {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, b: &[u8]) {
        for x in b {
            self.write_u64(*x as u64)
        }
    }
    fn write_u32(&mut self, x: u32) {
        self.write_u64(x as u64)
    }
    fn write_u64(&mut self, x: u64) {
        self.0 = (self.0.rotate_left(5) ^ x).wrapping_mul(0x517c_c1b7_2722_0a95).rotate_left(26);
    }
}
type Map<V> = HashMap<u32, V, BuildHasherDefault<Mul>>;
type Ev = (i64, u32, i64);
type Row = (i64, u32, i64); // event or window time, key, value to be summed into the checksum

/// What an operator does: `event` on arrival, `close` when event second `s` can get no more events.
trait Op: Send + Sync + 'static {
    fn event(&mut self, e: Ev, out: &mut Vec<Row>);
    fn close(&mut self, _s: i64, _out: &mut Vec<Row>) {}
    fn end(&mut self, _out: &mut Vec<Row>) {}
}

#[derive(Clone, Copy)]
struct Agg(i64, i64, i64, i64);
#[derive(Default)]
struct W1 {
    w: BTreeMap<i64, Map<Agg>>,
}
impl Op for W1 {
    fn event(&mut self, e: Ev, _: &mut Vec<Row>) {
        let m = self.w.entry(e.0 / (10 * US)).or_default();
        let a = m.entry(e.1).or_insert(Agg(0, 0, i64::MAX, i64::MIN));
        *a = Agg(a.0 + 1, a.1 + e.2, a.2.min(e.2), a.3.max(e.2));
    }
    fn close(&mut self, s: i64, out: &mut Vec<Row>) {
        while let Some(f) = self.w.first_entry().filter(|f| (f.key() + 1) * 10 <= s + 1) {
            let (w, m) = f.remove_entry();
            out.extend(
                m.into_iter().map(|(k, a)| (w, k, a.0 + a.1 + a.2 + a.3 + (a.1 as f64 / a.0 as f64) as i64)),
            );
        }
    }
    fn end(&mut self, out: &mut Vec<Row>) {
        self.close(i64::MAX / 16, out)
    }
}
#[derive(Default)]
struct W2 {
    panes: VecDeque<Map<(i64, i64)>>,
    cur: Map<(i64, i64)>,
    tot: Map<(i64, i64)>,
    s: i64,
}
impl Op for W2 {
    fn event(&mut self, e: Ev, _: &mut Vec<Row>) {
        let a = self.cur.entry(e.1).or_default();
        a.0 += 1;
        a.1 += e.2;
    }
    fn close(&mut self, s: i64, out: &mut Vec<Row>) {
        self.s = s;
        for (k, v) in &self.cur {
            let t = self.tot.entry(*k).or_default();
            t.0 += v.0;
            t.1 += v.1;
        }
        self.panes.push_back(std::mem::take(&mut self.cur));
        if self.panes.len() > 60 {
            for (k, v) in self.panes.pop_front().unwrap() {
                let t = self.tot.get_mut(&k).unwrap();
                t.0 -= v.0;
                t.1 -= v.1;
                if t.0 == 0 {
                    self.tot.remove(&k);
                }
            }
        }
        out.extend(self.tot.iter().map(|(k, v)| (s, *k, v.1)));
    }
    fn end(&mut self, out: &mut Vec<Row>) {
        for i in 1..60 {
            self.close(self.s + i, out);
        }
    }
}
#[derive(Default)]
struct Win {
    q: VecDeque<(i64, i64)>,
    m: VecDeque<(i64, i64)>,
    sum: i64,
}
const W: i64 = 60 * US;
#[derive(Default)]
struct W3 {
    st: Map<Win>,
}
impl Op for W3 {
    fn event(&mut self, (t, k, v): Ev, out: &mut Vec<Row>) {
        let s = self.st.entry(k).or_default();
        while s.q.front().is_some_and(|f| f.0 <= t - W) {
            s.sum -= s.q.pop_front().unwrap().1;
        }
        s.q.push_back((t, v));
        s.sum += v;
        while s.m.back().is_some_and(|b| b.1 <= v) {
            s.m.pop_back();
        }
        s.m.push_back((t, v));
        while s.m[0].0 <= t - W {
            s.m.pop_front();
        }
        out.push((t, k, s.sum + s.m[0].1));
    }
}
#[derive(Default)]
struct W3Late {
    by: BTreeMap<i64, Vec<Ev>>,
    w: W3,
}
impl Op for W3Late {
    fn event(&mut self, e: Ev, _: &mut Vec<Row>) {
        self.by.entry(e.0 / US).or_default().push(e);
    }
    fn close(&mut self, s: i64, out: &mut Vec<Row>) {
        while let Some(f) = self.by.first_entry().filter(|f| *f.key() <= s) {
            let mut v = f.remove();
            v.sort_unstable();
            v.into_iter().for_each(|e| self.w.event(e, out));
        }
    }
    fn end(&mut self, out: &mut Vec<Row>) {
        self.close(i64::MAX, out)
    }
}
#[derive(Clone, Copy)]
struct Lag(i64, i64, i64, i64);
#[derive(Default)]
struct W5 {
    st: Map<Lag>,
}
impl Op for W5 {
    fn event(&mut self, (t, k, v): Ev, out: &mut Vec<Row>) {
        let s = self.st.entry(k).or_insert(Lag(i64::MIN, -1, i64::MIN, -1));
        let lag = if s.0 > t - W { s.1 } else { -1 };
        (s.0, s.1) = (t, v);
        if v >= 90_000 {
            (s.2, s.3) = (t, v);
        }
        out.push((t, k, lag + if s.2 > t - W { s.3 } else { -1 }));
    }
}
#[derive(Clone, Copy)]
struct Sess(i64, i64, i64, i64);
#[derive(Default)]
struct W7 {
    st: Map<Sess>,
}
impl Op for W7 {
    fn event(&mut self, (t, k, v): Ev, out: &mut Vec<Row>) {
        let s = self.st.entry(k).or_insert(Sess(t, t, 0, 0));
        if t - s.1 > 5 * US {
            out.push((s.1, k, s.3 + s.2 + s.1 - s.0));
            *s = Sess(t, t, 0, 0);
        }
        *s = Sess(s.0, t, s.2 + v, s.3 + 1);
    }
    fn end(&mut self, out: &mut Vec<Row>) {
        out.extend(self.st.iter().map(|(k, s)| (s.1, *k, s.3 + s.2 + s.1 - s.0)));
    }
}
/// The join is fed one merged stream of both sides; the side is the top bit of the key.
#[derive(Default)]
struct W4 {
    l: Map<VecDeque<(i64, i64)>>,
}
impl Op for W4 {
    fn event(&mut self, (t, k, v): Ev, out: &mut Vec<Row>) {
        let s = self.l.entry(k & 0x7fff_ffff).or_default();
        while s.front().is_some_and(|f| f.0 < t - 10 * US) {
            s.pop_front();
        }
        if k >> 31 == 0 {
            s.push_back((t, v));
        } else {
            out.extend(s.iter().map(|l| (t, k, l.1 + v)));
        }
    }
}

fn go<O: Op>(mut op: O, chunks: Vec<(i64, Vec<Ev>)>, late: i64, split: bool) -> Out {
    timely::execute_directly(move |worker| {
        let acc = Rc::new(Cell::new(Out::default()));
        let got = acc.clone();
        let mut input = InputHandle::<i64, timely::container::CapacityContainerBuilder<Vec<Ev>>>::new();
        let probe = ProbeHandle::new();
        let fin = *chunks.last().map(|c| &c.0).unwrap_or(&0) + 1;
        worker.dataflow::<i64, _, _>(|scope| {
            input
                .to_stream(scope)
                .unary_frontier(Exchange::new(|e: &Ev| (e.1 & 0x7fff_ffff) as u64), "op", |cap, _| {
                    let mut cap = Some(cap);
                    let mut rows: Vec<Row> = Vec::new();
                    let mut closed = -1 - late;
                    move |(input, frontier), output| {
                        input.for_each_time(|_t, data| {
                            for c in data {
                                for e in c.drain(..) {
                                    op.event(e, &mut rows);
                                }
                            }
                        });
                        let f = frontier.frontier().first().copied();
                        match f {
                            Some(f) => {
                                while split && closed + late + 1 < f {
                                    closed += 1;
                                    if closed >= 0 {
                                        op.close(closed, &mut rows);
                                    }
                                }
                            }
                            None if cap.is_some() => {
                                while split && closed + 1 < fin {
                                    closed += 1;
                                    op.close(closed, &mut rows);
                                }
                                op.end(&mut rows)
                            }
                            None => {}
                        }
                        if let Some(c) = cap.as_mut() {
                            if !rows.is_empty() {
                                output.session(c).give_iterator(rows.drain(..));
                            }
                            if let Some(f) = f {
                                c.downgrade(&f);
                            }
                        }
                        if f.is_none() {
                            cap = None;
                        }
                    }
                })
                .container::<Vec<Row>>()
                .inspect_batch(move |_t, rows| {
                    let mut o = got.get();
                    rows.iter().for_each(|r| o.add(r.2));
                    got.set(o);
                })
                .probe_with(&probe);
        });
        for (s, mut c) in chunks {
            if s > *input.time() {
                input.advance_to(s);
                while probe.less_than(input.time()) {
                    worker.step(); // closes the seconds before s, before any event of s is seen
                }
            }
            input.send_batch(&mut c);
            worker.step();
            while probe.less_than(input.time()) {
                worker.step();
            }
        }
        input.close();
        while worker.step() {}
        acc.get()
    })
}

/// Rows as the user's source would hand them over: vectors of at most 8192 events, of one second if `split`.
fn chunks(ev: impl Iterator<Item = Ev>, split: bool) -> Vec<(i64, Vec<Ev>)> {
    let (mut out, mut cur, mut top) = (Vec::new(), Vec::with_capacity(8192), 0i64);
    for e in ev {
        let s = e.0 / US;
        if (split && s > top) || cur.len() == 8192 {
            if !cur.is_empty() {
                out.push((top, std::mem::replace(&mut cur, Vec::with_capacity(8192))));
            }
            top = top.max(s);
        }
        cur.push(e);
    }
    out.push((top, cur));
    out
}

fn main() {
    let a = args();
    let split = matches!(a.wl.as_str(), "w1" | "w2" | "w6a" | "w6b"); // the others emit as events come
    let (n, ch) = if a.wl == "w4" {
        let l = Cols::load(&a.dir, &format!("{}_l", a.ds), a.n);
        let r = Cols::load(&a.dir, &format!("{}_r", a.ds), a.n);
        let mut ev: Vec<Ev> = (0..l.len()).map(|i| (l.ts[i], l.key[i], l.val[i])).collect();
        ev.extend((0..r.len()).map(|i| (r.ts[i], r.key[i] | 1 << 31, r.val[i])));
        ev.sort_unstable();
        (ev.len(), chunks(ev.into_iter(), false))
    } else {
        let c = Cols::load(&a.dir, &a.ds, a.n);
        (c.len(), chunks((0..c.len()).map(|i| (c.ts[i], c.key[i], c.val[i])), split))
    };
    let late = if a.ds.ends_with("_ooo") { 5 } else { 0 };
    report("timely", &a, n, || match a.wl.as_str() {
        "w1" | "w6a" => go(W1::default(), ch, late, split),
        "w2" => go(W2::default(), ch, late, split),
        "w3" => go(W3::default(), ch, late, split),
        "w4" => go(W4::default(), ch, late, split),
        "w5" => go(W5::default(), ch, late, split),
        "w6b" => go(W3Late::default(), ch, late, split),
        "w7" => go(W7::default(), ch, late, split),
        x => panic!("workload {x}"),
    });
}
