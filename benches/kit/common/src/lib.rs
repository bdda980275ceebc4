//! Shared by the generator, the limit loops and every Rust peer: column files in, one JSON line out.
use std::time::Instant;

pub const US: i64 = 1_000_000; // one second of event time, in microseconds

/// One data set: parallel columns, read from `<dir>/<name>.{ts,key,val}` (little endian).
pub struct Cols {
    pub ts: Vec<i64>,
    pub key: Vec<u32>,
    pub val: Vec<i64>,
}

fn read_col<T: Copy + Default>(path: &str, n: usize) -> Vec<T> {
    use std::io::Read;
    let mut f = std::fs::File::open(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let len = (f.metadata().unwrap().len() as usize / size_of::<T>()).min(n);
    let mut v: Vec<T> = vec![T::default(); len];
    // SAFETY: T is a plain integer type; every bit pattern is valid.
    let b = unsafe { std::slice::from_raw_parts_mut(v.as_mut_ptr() as *mut u8, len * size_of::<T>()) };
    f.read_exact(b).unwrap();
    v
}

impl Cols {
    pub fn load(dir: &str, name: &str, n: usize) -> Cols {
        Cols {
            ts: read_col(&format!("{dir}/{name}.ts"), n),
            key: read_col(&format!("{dir}/{name}.key"), n),
            val: read_col(&format!("{dir}/{name}.val"), n),
        }
    }
    pub fn len(&self) -> usize {
        self.ts.len()
    }
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }
}

/// What a workload produced: row count and a wrapping sum of every output field.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Out {
    pub rows: u64,
    pub chk: i64,
}
impl Out {
    #[inline(always)]
    pub fn add(&mut self, x: i64) {
        self.rows += 1;
        self.chk = self.chk.wrapping_add(x);
    }
}

fn vm(field: &str) -> f64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    s.lines()
        .find(|l| l.starts_with(field))
        .and_then(|l| l.split_whitespace().nth(1))
        .and_then(|x| x.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

pub struct Args {
    pub wl: String,
    pub ds: String,
    pub dir: String,
    pub n: usize,
}
/// `<program> <workload> <dataset> <dir> [n]`
pub fn args() -> Args {
    let a: Vec<String> = std::env::args().collect();
    Args {
        wl: a[1].clone(),
        ds: a[2].clone(),
        dir: a[3].clone(),
        n: a.get(4).map(|x| x.parse().unwrap()).unwrap_or(usize::MAX),
    }
}

/// CPU nanoseconds of this process, all threads. The machine is shared: this, not the wall clock, is the measure.
pub fn cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// Time `f` over data that is already in memory, and print the result line.
pub fn report(peer: &str, a: &Args, n: usize, f: impl FnOnce() -> Out) {
    let base = vm("VmHWM");
    let c0 = cpu();
    let t = Instant::now();
    let o = f();
    let s = t.elapsed().as_secs_f64();
    let c = cpu() - c0;
    println!(
        "{{\"peer\":\"{peer}\",\"wl\":\"{}\",\"ds\":\"{}\",\"n\":{n},\"secs\":{s:.6},\"cpu\":{c:.6},\"eps\":{:.0},\"rows\":{},\"chk\":{},\"rss_mb\":{:.1},\"rss_in_mb\":{:.1}}}",
        a.wl,
        a.ds,
        n as f64 / c,
        o.rows,
        o.chk,
        vm("VmHWM"),
        base
    );
}
