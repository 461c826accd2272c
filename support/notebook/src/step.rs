//! A future, poll by poll.

use std::fmt::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use nest_tokio::runtime::Handle;

use crate::escape::escape;
use crate::timeline::name;
use crate::{Bundle, Show};

/// Takes `future` apart: it is polled once whenever [`poll`](Stepper::poll) is called, and never
/// otherwise.
///
/// ```
/// use nest_tokio as tokio; // in a notebook, `tokio` is nest-tokio already
/// use tokio::sync::oneshot;
///
/// let (tx, rx) = oneshot::channel();
/// let mut step = notebook::step(async { rx.await.unwrap() + 1 });
/// assert_eq!(step.poll(), None); // pending: nobody has sent anything
/// assert_eq!(step.wakers(), 1); // the channel will wake it
///
/// tx.send(41).unwrap();
/// assert_eq!(step.wakes(), 1); // the channel has woken it…
/// assert_eq!(step.poll(), Some(42)); // … so that polling again is worth it
/// ```
///
/// As the last expression of a cell, `step` shows the polls so far: what each gave, how many
/// hold the waker that it was given, and whether they have used it since. The future stays where it is
/// from cell to cell. Timers and sockets work: it is polled within the notebook's runtime.
pub fn step<F>(future: F) -> Stepper<F::Output>
where
    F: IntoFuture<IntoFuture: 'static>,
{
    let future = future.into_future();
    Stepper {
        size: size_of_val(&future),
        name: name::of(std::any::type_name::<F::IntoFuture>(), None),
        future: Some(Box::pin(future)),
        bell: Arc::default(),
        polls: Vec::new(),
    }
}

/// A future that is polled by hand: see [`step`].
#[must_use = "只有调用 .poll()，这个 future 才会前进一步"]
pub struct Stepper<T> {
    size: usize,
    name: String,
    /// Until it has given its output. A cell's variable must have a type that can be written down.
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
    bell: Arc<Bell>,
    polls: Vec<Polled>,
}

/// What a poll gave.
struct Polled {
    is_ready: bool,
    /// How many held the waker when it returned.
    wakers: usize,
    /// How often it had been woken when it began.
    wakes: u64,
}

/// Counts instead of waking anybody.
#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl<T> Stepper<T> {
    /// Polls the future once. Gives its output if it is ready, and `None` if it is pending.
    ///
    /// # Panics
    /// When it was ready before: a future must not be polled again then. And when it panics itself.
    pub fn poll(&mut self) -> Option<T> {
        let wakes = self.wakes();
        let future = self.future.as_mut();
        let future = future.expect("这个 future 已经就绪过了：就绪之后不能再 poll");
        let runtime = Handle::current();
        let _context = runtime.enter();
        let waker = Waker::from(self.bell.clone());
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        drop(waker);
        if polled.is_ready() {
            self.future = None; // what it held is dropped now, as by `.await`
        }
        self.polls.push(Polled {
            is_ready: polled.is_ready(),
            wakers: self.wakers(),
            wakes,
        });
        match polled {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// How many hold its waker now, and so can wake it. Zero while it is pending: nobody ever will.
    pub fn wakers(&self) -> usize {
        Arc::strong_count(&self.bell) - 1
    }

    /// How often it has been woken.
    pub fn wakes(&self) -> u64 {
        self.bell.0.load(Ordering::Acquire)
    }

    /// How often it has been polled.
    pub fn polls(&self) -> usize {
        self.polls.len()
    }

    /// How many bytes the future takes: what it keeps from one poll to the next, at its largest.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What evcxr calls for the last expression of a cell: the cell's result.
    pub fn evcxr_display(&self) {
        self.bundle().evcxr_display();
    }

    /// Of each poll: what it gave, who held the waker then, and whether it has been woken since it began.
    fn rows(&self) -> Vec<[String; 3]> {
        let next = self.polls.iter().skip(1).map(|poll| poll.wakes);
        let ends = next.chain([self.wakes()]);
        let row = |(poll, end): (&Polled, u64)| match (poll.is_ready, end - poll.wakes) {
            (true, _) => ["Ready（就绪）".into(), "—".into(), "—".into()],
            (false, woken) => [
                "Pending（等待）".into(),
                poll.wakers.to_string(),
                match woken {
                    0 if poll.wakers == 0 => "没有，也没有谁能唤醒它".into(),
                    0 => "没有".into(),
                    count => format!("{count} 次"),
                },
            ],
        };
        self.polls.iter().zip(ends).map(row).collect()
    }

    fn summary(&self) -> String {
        let state = match (&self.future, self.polls.len()) {
            (None, _) => "已经就绪",
            (Some(_), 0) => "还没有 poll 过，里面的代码一行也没有执行",
            (Some(_), _) => "还在等待",
        };
        format!(
            "{}：{state}；这个 future 占 {} 字节。",
            self.name, self.size
        )
    }
}

impl<T> Show for Stepper<T> {
    fn bundle(&self) -> Bundle {
        const HEADS: [&str; 4] = ["poll", "结果", "返回时有几处拿着它的 waker", "此后被唤醒"];
        let summary = self.summary();
        let (mut text, mut html) = (summary.clone(), format!("<div>{}</div>", escape(&summary)));
        let rows = self.rows();
        if !rows.is_empty() {
            let heads = HEADS.map(|head| format!("<th>{head}</th>")).concat();
            let _ = write!(html, "<table><thead><tr>{heads}</tr></thead><tbody>");
        }
        for (number, [state, wakers, woken]) in (1..).zip(&rows) {
            let _ = write!(text, "\n第 {number} 次 poll：{state}");
            if *wakers != "—" {
                let _ = write!(text, "，{wakers} 处拿着它的 waker；此后被唤醒：{woken}");
            }
            let _ = write!(
                html,
                "<tr><td>{number}</td><td>{state}</td><td>{wakers}</td><td>{woken}</td></tr>"
            );
        }
        if !rows.is_empty() {
            html += "</tbody></table>";
        }
        Bundle::new(text).with("text/html", html)
    }
}

impl<T> fmt::Debug for Stepper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.bundle().text())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use nest_tokio::sync::mpsc;
    use nest_tokio::time::sleep;

    use super::*;

    async fn sum_of_two(mut numbers: mpsc::Receiver<u32>) -> u32 {
        numbers.recv().await.unwrap() + numbers.recv().await.unwrap()
    }

    #[test]
    fn each_call_polls_once_and_the_state_is_kept_between_calls() {
        let (tx, rx) = mpsc::channel(2);
        let mut step = step(sum_of_two(rx));
        assert_eq!((step.polls(), step.wakers(), step.wakes()), (0, 0, 0));
        assert_eq!((step.poll(), step.wakers()), (None, 1));
        tx.try_send(40).unwrap();
        assert_eq!((step.poll(), step.wakes()), (None, 1));
        tx.try_send(2).unwrap();
        assert_eq!((step.poll(), step.polls()), (Some(42), 3));
        assert_eq!(
            format!("{step:?}"),
            format!(
                "sum_of_two：已经就绪；这个 future 占 {} 字节。\n\
                 第 1 次 poll：Pending（等待），1 处拿着它的 waker；此后被唤醒：1 次\n\
                 第 2 次 poll：Pending（等待），1 处拿着它的 waker；此后被唤醒：1 次\n\
                 第 3 次 poll：Ready（就绪）",
                step.size()
            )
        );
    }

    #[test]
    fn who_has_no_waker_is_said_to_be_stuck() {
        let mut stuck = step(pending::<()>());
        assert_eq!((stuck.poll(), stuck.wakers()), (None, 0));
        assert!(format!("{stuck:?}").contains("没有谁能唤醒它"));
        let mut busy = step(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        busy.poll();
        assert_eq!((busy.wakers(), busy.wakes()), (0, 1));
        assert!(!format!("{busy:?}").contains("没有谁能唤醒它"));
    }

    #[test]
    fn timers_work_and_a_ready_future_is_not_polled_again() {
        let mut step = step(async {
            sleep(Duration::from_millis(5)).await;
            7
        });
        assert_eq!(step.poll(), None);
        let start = std::time::Instant::now();
        while step.wakes() == 0 {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
        assert_eq!(step.poll(), Some(7));
        let again = catch_unwind(AssertUnwindSafe(|| step.poll()));
        assert!(
            again
                .unwrap_err()
                .downcast_ref::<String>()
                .unwrap()
                .contains("已经就绪过")
        );
    }
}
