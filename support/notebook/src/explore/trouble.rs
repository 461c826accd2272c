//! What can go wrong in a run.

use std::cell::{Cell, RefCell};
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use crate::place;
use crate::timeline::name;

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// With this message, at this place.
    Panicked(String, Option<String>),
    /// The program returned this error.
    Returned(String),
    /// Nothing can happen any more, and tasks of these types have not ended.
    Deadlock(Vec<&'static str>),
    /// It had not ended after so many polls.
    Endless(u64),
}

impl Trouble {
    /// What, where and why.
    pub(super) fn sentence(&self) -> String {
        match self {
            Trouble::Panicked(message, place) => {
                let place = place.as_ref().map(|place| format!("（{place}）"));
                format!("panic{}：{message}", place.unwrap_or_default())
            }
            Trouble::Returned(error) => format!("返回了错误：{error}"),
            Trouble::Deadlock(tasks) => {
                let names: Vec<String> = tasks.iter().map(|task| name::of(task, None)).collect();
                format!(
                    "死锁：{}都在等待，没有谁还能唤醒它们，也没有计时器会到时。",
                    names.join("、")
                )
            }
            Trouble::Endless(steps) => {
                format!("poll 了 {steps} 次还没有结束：可能有任务在循环里反复唤醒自己。")
            }
        }
    }
}

thread_local! {
    /// Whether panics of this thread are ours to report.
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Trouble>> = const { RefCell::new(None) };
}

/// The panic that is unwinding this thread.
pub(super) fn last_panic() -> Option<Trouble> {
    LAST.take()
}

/// From now on the panics of this thread are not printed, but kept.
pub(super) fn keep_panics_of_this_thread() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match LISTENS.get() {
            true => keep(panic),
            false => hook(panic),
        }));
    });
    LISTENS.set(true);
}

fn keep(panic: &PanicHookInfo<'_>) {
    let place = panic.location();
    let place = place.and_then(|place| place::at(place.file(), place.line(), place.column()));
    let message = panic.payload_as_str().unwrap_or("（panic 的值不是文字）");
    LAST.set(Some(Trouble::Panicked(message.to_owned(), place)));
}
