//! Loom tries every order in which the threads around a [`Parker`](parker::Parker) can run, with
//! every value that an atomic may have for them. (Nobody joins a thread here: the token of an `unpark`
//! would end loom's `join`, too.)
#![cfg(test)]

/// What the parker is made of here.
mod primitives {
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(crate) use loom::thread::Thread;

    pub(crate) const TICK: std::time::Duration = std::time::Duration::MAX;

    /// Where nobody wakes up by himself.
    pub(crate) mod thread {
        pub(crate) use loom::thread::current;

        pub(crate) fn park_timeout(_: std::time::Duration) {
            loom::thread::park();
        }
    }
}

#[path = "../src/parker.rs"]
mod parker;

use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::sync::{Arc, Mutex};
use loom::thread;
use parker::Parker;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// With as many as three preemptions: more have never found anything, and take minutes.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// What the waker did before is seen by who was woken.
#[test]
fn who_is_woken_sees_why() {
    model(|| {
        let parker = Parker::new(None);
        let value = Arc::new(AtomicUsize::new(0));
        let (waker, set) = (Arc::clone(&parker), Arc::clone(&value));
        thread::spawn(move || {
            set.store(42, Relaxed);
            waker.wake();
        });
        parker.park(|| false);
        assert_eq!(value.load(Relaxed), 42);
    });
}

/// As in `wait_for`: poll, park, poll again. Two wake it, in any order, at any moment.
#[test]
fn no_wake_up_is_lost() {
    model(|| {
        let parker = Parker::new(None);
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..2 {
            let (waker, done) = (Arc::clone(&parker), Arc::clone(&done));
            thread::spawn(move || {
                done.fetch_add(1, Relaxed);
                waker.wake();
            });
        }
        while done.load(Relaxed) < 2 {
            parker.park(|| false); // for ever, were one lost: loom says so
        }
    });
}

/// The code that is polled parks the same thread for itself, and may use up the token.
#[test]
fn no_wake_up_is_lost_when_others_park_the_thread_as_well() {
    model(|| {
        let (outer, inner) = (Parker::new(None), Parker::new(None));
        let (wakes_outer, wakes_inner) = (Arc::clone(&outer), Arc::clone(&inner));
        thread::spawn(move || {
            wakes_outer.wake();
            wakes_inner.wake();
        });
        inner.park(|| false); // a nested wait
        outer.park(|| false);
    });
}

/// An interrupt says so, and unparks: it is found whenever it comes, and leaves what it is.
#[test]
fn an_interrupt_is_found_whenever_it_comes() {
    model(|| {
        let parker = Parker::new(None);
        let over = Arc::new(AtomicBool::new(false));
        let waiting = Arc::new(Mutex::new(vec![thread::current()]));
        let (set, threads) = (Arc::clone(&over), Arc::clone(&waiting));
        thread::spawn(move || {
            let threads = threads.lock().unwrap();
            set.store(true, Release);
            threads.iter().for_each(|thread| thread.unpark());
        });
        let waker = Arc::clone(&parker);
        thread::spawn(move || waker.wake());
        let mut polls = 0;
        while !over.load(Acquire) {
            polls += 1;
            parker.park(|| over.load(Acquire));
        }
        assert!(polls <= 2);
    });
}

/// Only a wait that nobody can end is called one.
#[test]
fn forgotten_is_only_said_if_nobody_will_wake_it() {
    model(|| {
        let parker = Parker::new(None);
        let woken = Arc::new(AtomicBool::new(false));
        let (waker, will_wake) = (Arc::clone(&parker), Arc::clone(&woken));
        thread::spawn(move || {
            waker.wake();
            will_wake.swap(true, AcqRel);
            drop(waker);
        });
        parker.park(|| {
            assert!(
                !Parker::is_forgotten(&parker, 1),
                "it has been or will be woken"
            );
            false
        });
        while !Parker::is_forgotten(&parker, 1) {
            thread::yield_now();
        }
        assert!(woken.load(Acquire));
    });
}
