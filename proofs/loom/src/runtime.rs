//! The walks of what the threads of a run share, `src/runtime/shared.rs`, and its broken twins.
//!
//! Claims: letters of a sender are taken in their order, each once, all before the end, and never more lie in a tray than
//! it has room for; a reader of the log is never further ahead than the window; whoever fails lets everybody go; nobody
//! waits for ever; and nothing is written at the gate by one who was replaced.

/// The walks over one module, each with the number of its interleavings.
macro_rules! walks {
    ($shared:ident, $preemptions:expr) => {{
        use crate::$shared::{Fence, Gate, Mail, Round, Stopped, Taken};
        use loom::sync::{Arc, Mutex};

        let check = |name: &str, walk: fn()| {
            let count = std::sync::Arc::new(AtomicUsize::new(0));
            let counted = count.clone();
            let mut model = loom::model::Builder::new();
            model.preemption_bound = Some($preemptions);
            model.check(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                walk();
            });
            let count = count.load(Ordering::Relaxed);
            println!("runtime, {name}: {count} interleavings, all with up to {} preemptions", $preemptions);
            assert!(count > 1, "several threads have more than one order");
        };

        /// Senders with so many letters each, a reader, and a tray with room for so many.
        fn letters(senders: usize, letters: u64, room: usize) {
            let mail = Arc::new(Mail::new(&[senders], room, Vec::new(), 0));
            // Letters that were posted, letters that were taken.
            let book = Arc::new(Mutex::new((0, 0)));
            let sender = |sender: usize| {
                let (mail, book) = (mail.clone(), book.clone());
                loom::thread::spawn(move || {
                    let mut next = 0;
                    let came = mail.work(|| {
                        if next == letters {
                            mail.close(0)?;
                            return Ok::<Round, Stopped>(Round::Done);
                        }
                        if mail.post(0, (sender, next))?.is_some() {
                            return Ok(Round::Waits);
                        }
                        next += 1;
                        let mut book = book.lock().unwrap();
                        book.0 += 1;
                        // The reader books what it took after it took it, hence the one more.
                        assert!(book.0 <= book.1 + room + 1, "more letters than there is room for");
                        Ok(Round::Moved)
                    });
                    assert_eq!(came, Ok(()));
                })
            };
            let threads: Vec<_> = (0..senders).map(sender).collect();
            let mut seen: Vec<(usize, u64)> = Vec::new();
            let came = mail.work(|| match mail.take(0)? {
                Taken::Letter(letter) => {
                    seen.push(letter);
                    book.lock().unwrap().1 += 1;
                    Ok::<Round, Stopped>(Round::Moved)
                }
                Taken::Empty => Ok(Round::Waits),
                Taken::Ended => Ok(Round::Done),
            });
            assert_eq!(came, Ok(()));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            for sender in 0..senders {
                let own: Vec<u64> =
                    seen.iter().filter(|(of, _)| *of == sender).map(|&(_, letter)| letter).collect();
                assert_eq!(own, (0..letters).collect::<Vec<_>>(), "order of a sender");
            }
        }

        /// Two readers of the log, in step.
        fn in_step() {
            let mail = Arc::new(Mail::<()>::new(&[0, 0], 1, vec![0, 0], 0));
            let book = Arc::new(Mutex::new([0u64; 2]));
            let reader = |lane: usize, mail: Arc<Mail<()>>, book: Arc<Mutex<[u64; 2]>>| {
                let mut at = 0;
                let came = mail.work(|| {
                    if at == 2 {
                        mail.read(lane, u64::MAX)?;
                        return Ok::<Round, Stopped>(Round::Done);
                    }
                    if !mail.may_read(lane)? {
                        return Ok(Round::Waits);
                    }
                    at += 1;
                    {
                        let mut book = book.lock().unwrap();
                        book[lane] = at;
                        assert!(at <= book[1 - lane] + 1, "further ahead than the window");
                    }
                    mail.read(lane, at)?;
                    Ok(Round::Moved)
                });
                assert_eq!(came, Ok(()));
            };
            let (other, noted) = (mail.clone(), book.clone());
            let thread = loom::thread::spawn(move || reader(1, other, noted));
            reader(0, mail, book);
            thread.join().unwrap();
        }

        /// A sender that fails while the reader waits for it.
        fn failing() {
            let mail = Arc::new(Mail::<u64>::new(&[1], 1, Vec::new(), 0));
            let other = mail.clone();
            let thread = loom::thread::spawn(move || {
                let came = other.work(|| Err::<Round, Stopped>(Stopped));
                assert_eq!(came, Err(Stopped));
            });
            let came = mail.work(|| match mail.take(0)? {
                Taken::Empty => Ok::<Round, Stopped>(Round::Waits),
                other => panic!("nothing was posted or closed: {other:?}"),
            });
            assert_eq!(came, Err(Stopped), "who waits is let go");
            thread.join().unwrap();
        }

        /// What a task's writes are checked against.
        struct Book {
            current: u64,
            written: Vec<u64>,
        }

        impl Fence for Book {
            fn admits(&self, _task: usize, incarnation: u64) -> bool {
                self.current == incarnation
            }
        }

        /// A task is replaced while it writes.
        fn fenced() {
            let gate = Arc::new(Gate::new(Book { current: 1, written: Vec::new() }));
            let old = gate.clone();
            let thread = loom::thread::spawn(move || {
                for _ in 0..2 {
                    let _ = old.write(0, 1, |book| book.written.push(1));
                }
            });
            gate.write(0, 1, |book| book.current = 2).expect("nobody else opens it");
            gate.write(0, 2, |book| book.written.push(2)).expect("the new one may write");
            gate.write(0, 2, |book| book.written.push(2)).expect("the new one may write");
            thread.join().unwrap();
            let book = Arc::try_unwrap(gate).ok().and_then(Gate::into_inner).expect("all are done");
            assert!(book.written.is_sorted(), "one who was replaced has written: {:?}", book.written);
        }

        check("1 sender, 3 letters, room for 1", || letters(1, 3, 1));
        check("1 sender, 3 letters, room for 2", || letters(1, 3, 2));
        check("2 senders, 1 letter each, room for 1", || letters(2, 1, 1));
        check("2 readers of the log in step", in_step);
        check("a sender that fails", failing);
        check("a task that is replaced", fenced);
    }};
}

pub(super) use walks;
