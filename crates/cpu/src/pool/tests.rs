use super::*;
use std::sync::atomic::AtomicU64;

const THREADS: [usize; 6] = [1, 2, 3, 4, 7, 8];

#[test]
fn every_worker_runs_the_job_once() {
    for threads in THREADS {
        let pool = ThreadPool::new(threads).unwrap();
        let runs: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
        for _ in 0..500 {
            pool.run(&|worker| {
                assert_eq!(worker.threads, threads);
                runs[worker.index].fetch_add(1, Ordering::Relaxed);
            });
        }
        assert!(runs.iter().all(|count| count.load(Ordering::Relaxed) == 500), "{threads} threads: {runs:?}");
    }
}

/// Only the first workers take part, and meet each other, whatever the job before asked for.
#[test]
fn a_job_may_leave_workers_out() {
    for threads in THREADS {
        let pool = ThreadPool::new(threads).unwrap();
        let runs: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
        for round in 0..600 {
            let active = [threads, 1, threads.div_ceil(2)][round % 3];
            pool.run_on(active, &|worker| {
                assert_eq!(worker.threads, active);
                worker.barrier();
                runs[worker.index].fetch_add(1, Ordering::Relaxed);
                worker.barrier();
            });
        }
        for (index, runs) in runs.iter().enumerate() {
            let expected = 200 + if index < threads.div_ceil(2) { 200 } else { 0 } + if index == 0 { 200 } else { 0 };
            assert_eq!(runs.load(Ordering::Relaxed), expected, "worker {index} of {threads}");
        }
    }
}

#[test]
fn zero_threads_mean_the_caller_alone() {
    let pool = ThreadPool::new(0).unwrap();
    assert_eq!(pool.threads(), 1);
    let caller = std::thread::current().id();
    pool.run(&|worker| {
        worker.barrier();
        assert_eq!(std::thread::current().id(), caller);
    });
}

/// Each worker writes its own cell in every phase and then reads all cells: one missed meeting shows as an old value.
#[test]
fn nobody_passes_a_barrier_early() {
    for threads in THREADS {
        let pool = ThreadPool::new(threads).unwrap();
        let cells: Vec<Line<AtomicU64>> = (0..threads).map(|_| Line::default()).collect();
        let phases = if threads <= 2 { 20_000 } else { 1_000 };
        for round in 0..3u64 {
            pool.run(&|worker| {
                for phase in 0..phases {
                    let value = round * phases + phase + 1;
                    cells[worker.index].0.store(value, Ordering::Relaxed);
                    worker.barrier();
                    for (index, cell) in cells.iter().enumerate() {
                        assert_eq!(cell.0.load(Ordering::Relaxed), value, "worker {index} of {threads}");
                    }
                    worker.barrier();
                }
            });
        }
    }
}

#[test]
fn chunks_cover_everything_once() {
    let sharings = [Sharing::Chunks, Sharing::Free, Sharing::Runs];
    for (threads, sharing) in THREADS.into_iter().flat_map(|threads| sharings.map(|sharing| (threads, sharing))) {
        let pool = ThreadPool::new(threads).unwrap();
        for (total, chunk) in [(0, 1), (1, 1), (1, 8), (7, 3), (64, 16), (1000, 1), (1000, 7), (4096, 64), (5, 0)] {
            let counters = WorkCounters::new(3);
            for _ in 0..3 {
                let done: Vec<AtomicUsize> = (0..total).map(|_| AtomicUsize::new(0)).collect();
                counters.reset();
                pool.run(&|worker| {
                    for counter in counters.iter() {
                        for range in worker.chunks(counter, total, chunk, sharing) {
                            assert!(!range.is_empty() && range.start.is_multiple_of(chunk.max(1)));
                            assert!(sharing == Sharing::Runs || range.len() <= chunk.max(1));
                            range.for_each(|item| _ = done[item].fetch_add(1, Ordering::Relaxed));
                        }
                        worker.barrier();
                    }
                });
                let wrong = done.iter().position(|count| count.load(Ordering::Relaxed) != 3);
                assert_eq!(wrong, None, "{threads} threads, {total} items by {chunk}, {sharing:?}");
            }
        }
    }
}

#[test]
fn runs_are_long_first_and_short_at_the_end() {
    let counter = WorkCounter::default();
    let lengths =
        |index| Chunks::new(&counter, [index, 2], 1000, 10, Sharing::Runs).map(|r| r.len()).collect::<Vec<_>>();
    // Three eighths, then a quarter of what nobody has taken, down to a chunk; the second worker comes too late for those.
    assert_eq!(lengths(0), [370, 60, 50, 30, 30, 20, 10, 10, 10, 10, 10, 10, 10]);
    assert_eq!(lengths(1), [370]);
}

#[test]
fn a_panic_frees_the_others_and_reaches_the_caller() {
    for threads in THREADS {
        let pool = ThreadPool::new(threads).unwrap();
        for guilty in 0..threads {
            for phases_before in [0, 1, 5] {
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    pool.run(&|worker| {
                        for phase in 0..10 {
                            if worker.index == guilty && phase == phases_before {
                                // Unwinds like a panic, without the message on the test's output.
                                resume_unwind(Box::new("kernel failed"));
                            }
                            worker.barrier();
                        }
                    });
                }));
                let payload = outcome.expect_err("the panic must reach the caller");
                assert_eq!(payload.downcast_ref::<&str>(), Some(&"kernel failed"), "worker {guilty} of {threads}");
                // The pool works as before.
                let runs = AtomicUsize::new(0);
                pool.run(&|worker| {
                    worker.barrier();
                    runs.fetch_add(1, Ordering::Relaxed);
                    worker.barrier();
                    assert_eq!(runs.load(Ordering::Relaxed), threads);
                });
            }
        }
    }
}

#[test]
fn a_job_inside_a_job_is_refused() {
    let pool = ThreadPool::new(2).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        pool.run(&|worker| {
            if worker.index == 0 {
                pool.run(&|_| ());
            }
        });
    }));
    assert!(outcome.is_err());
    // Another pool is fine.
    let inner = Mutex::new(ThreadPool::new(2).unwrap());
    let count = AtomicUsize::new(0);
    pool.run(&|_| {
        inner.lock().unwrap().run(&|_| _ = count.fetch_add(1, Ordering::Relaxed));
    });
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

#[test]
fn several_callers_take_turns() {
    let pool = ThreadPool::new(2).unwrap();
    let inside = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.run(&|worker| {
                        inside.fetch_add(1, Ordering::SeqCst);
                        worker.barrier();
                        assert_eq!(inside.load(Ordering::SeqCst), 2);
                        worker.barrier();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        }
    });
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn subnormals_are_zero_in_a_job_only() {
    let halved = || std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5);
    let pool = ThreadPool::new(3).unwrap();
    pool.run(&|worker| assert_eq!(halved(), 0.0, "worker {}", worker.index));
    assert!(halved() > 0.0);
    let outcome = catch_unwind(AssertUnwindSafe(|| pool.run(&|_| resume_unwind(Box::new(())))));
    assert!(outcome.is_err());
    assert!(halved() > 0.0, "restored after a panic too");
}
