//! The one generator. `gen <dir> [seed]` writes every data set as raw little-endian columns.
//!   ts  i64 microseconds of event time, unique;  key u32 in 0..K;  val i64 in 0..100000
use common::US;
use std::io::Write;

struct Rng(u64);
impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E3779B97F4A7C15); // splitmix64
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D049BB133111EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        ((self.next() as u128 * n as u128) >> 64) as u64
    }
}

type Ev = (i64, u32, i64);

fn write(dir: &str, name: &str, ev: &[Ev]) {
    let f = |e: &str| {
        std::io::BufWriter::with_capacity(
            1 << 20,
            std::fs::File::create(format!("{dir}/{name}.{e}")).unwrap(),
        )
    };
    let (mut t, mut k, mut v) = (f("ts"), f("key"), f("val"));
    for e in ev {
        t.write_all(&e.0.to_le_bytes()).unwrap();
        k.write_all(&e.1.to_le_bytes()).unwrap();
        v.write_all(&e.2.to_le_bytes()).unwrap();
    }
    println!("{name}: {} events, {:.1} s of event time", ev.len(), ev.last().unwrap().0 as f64 / US as f64);
}

/// n events, `step` microseconds apart on average (slot i plus a jitter), K keys.
fn events(r: &mut Rng, n: usize, step: i64, keys: u64) -> Vec<Ev> {
    (0..n as i64)
        .map(|i| (i * step + r.below(step as u64) as i64, r.below(keys) as u32, r.below(100_000) as i64))
        .collect()
}

fn main() {
    let dir = std::env::args().nth(1).expect("gen <dir> [seed]");
    let seed: u64 = std::env::args().nth(2).map(|s| s.parse().unwrap()).unwrap_or(20240601);
    std::fs::create_dir_all(&dir).unwrap();
    let mut r = Rng(seed);
    // 10 M events at 100 000 events per second of event time (100 s)
    for (name, k) in [("k1k", 1_000u64), ("k100k", 100_000), ("k1m", 1_000_000)] {
        let ev = events(&mut r, 10_000_000, 10, k);
        write(&dir, name, &ev);
        if name != "k100k" {
            // arrival order with 5 % of the events late by up to 5 s
            let mut a: Vec<(i64, Ev)> = ev
                .iter()
                .map(|e| (e.0 + if r.below(100) < 5 { 1 + r.below(5 * US as u64 - 1) as i64 } else { 0 }, *e))
                .collect();
            a.sort_by_key(|x| (x.0, x.1.0));
            let late: Vec<Ev> = a.into_iter().map(|x| x.1).collect();
            write(&dir, &format!("{name}_ooo"), &late);
        }
    }
    // single key, 4 M events, so that a 60 s window holds N events
    for (name, n) in
        [("w1e2", 100i64), ("w1e3", 1_000), ("w1e4", 10_000), ("w1e5", 100_000), ("w1e6", 1_000_000)]
    {
        write(&dir, name, &events(&mut r, 4_000_000, 60 * US / n, 1));
    }
    // join: two streams of 5 M, 50 000 events per second each. Slots of L are even, of R odd, so all ts differ.
    for (name, k) in [("j500k", 500_000u64), ("j50k", 50_000)] {
        for side in 0..2i64 {
            let mut ev = events(&mut r, 5_000_000, 10, k);
            for e in ev.iter_mut() {
                e.0 = e.0 * 2 + side;
            }
            write(&dir, &format!("{name}_{}", ["l", "r"][side as usize]), &ev);
        }
    }
}
