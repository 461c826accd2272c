#![doc = include_str!("../README.md")]
//!
//! # Map of this crate
//! | file | idea |
//! |---|---|
//! | `bundle.rs` | [`Bundle`], [`Show`]: what a value looks like, as several MIME types |
//! | `display.rs` | [`display()`], [`Handle`], [`clear`]: putting it into the notebook |
//! | `table.rs`, `images.rs` | [`table()`] and [`images()`] |
//! | `progress.rs` | [`progress()`], [`progress_bar`], [`spinner`]: indicatif in a notebook |
//! | `timeline.rs`, `timeline/` | [`Timeline`]: when which task ran. `record.rs` writes it down, `figures.rs` draws the conclusions, `svg.rs` and `text.rs` the picture |
//! | `watch.rs`, `tasks.rs` | [`watch()`], [`tasks()`]: everything that is started, without a word in the code |
//! | `live.rs` | a picture that grows while its cell runs |
//! | `explore.rs`, `explore/` | [`explore()`]: the order of tasks in which a program fails |
//! | `step.rs` | [`step()`]: a future, poll by poll |
//! | `observer.rs`, `polled.rs` | what is started, and which task a thread is at |
//! | `descriptors.rs` | room for open files |
//! | `place.rs` | places in code, as cell and line |
//! | `screen.rs`, `ansi.rs` | the terminal in memory that indicatif draws on, and its colours |
//! | `escape.rs`, `columns.rs` | text in HTML, and its width |
//! | `outlet.rs` | where displays go: the front, a stock evcxr, a terminal |
//! | `connection.rs` | the connection to the kernel's front: output as it is written, displays, panics, interrupts |
//! | `pump.rs` | without a front: what cells print, on its way to evcxr: whole lines, and the end-of-cell marker on a line of its own |
//! | `parent.rs` | a child whose kernel is gone ends itself |

use std::fmt;
use std::io::{self, Write};

mod ansi;
mod bundle;
mod columns;
mod connection;
mod descriptors;
mod display;
mod escape;
mod explore;
mod images;
mod live;
mod observer;
mod outlet;
mod parent;
#[cfg(test)]
mod pictures;
mod place;
mod polled;
mod progress;
mod pump;
mod screen;
mod step;
mod table;
mod tasks;
mod timeline;
mod watch;

pub use bundle::{Bundle, Show, html, image, json, latex, markdown, png, svg, text};
pub use display::{Handle, clear, clear_before_next, display};
pub use explore::{Exploration, Outcome, explore};
pub use images::{Images, images};
/// The version of indicatif with which the bars here are made.
pub use indicatif;
pub use progress::{
    Progress, draw_target, multi_progress, progress, progress_bar, progress_stream, spinner,
};
pub use step::{Stepper, step};
pub use table::{Table, table};
pub use tasks::{Tasks, tasks};
pub use timeline::{LongestPoll, Summary, Timeline, Tracked};
pub use watch::watch;

// Makes rustc link against the dylib of `nest-tokio` instead of a second copy of its contents.
use nest_tokio as _;
// In every cell's sight, so that its functions are not compiled again.
use notebook_cell as _;

/// [`std::print!`] that does not wait for the end of the line, and a reference to this crate.
///
/// Where a kernel's front reads it, text appears as it is printed; everywhere else this is std's
/// macro.
///
/// A library that no symbol of a cell refers to is not loaded. With `use notebook::{eprintln,
/// print, println};` in a notebook's first cell every later cell refers to this one, also the
/// cells that print nothing, since evcxr's own code around a cell says `println!`.
///
/// ```
/// use notebook::{eprintln, print, println};
///
/// print!("{} ", 40 + 2);
/// println!("is the answer");
/// eprintln!("but what was the question?");
/// ```
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => {{ ::std::print!($($arg)*); $crate::flush_for_the_front() }};
}

/// [`std::println!`], with a reference to this crate: see [`print!`].
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {{ $crate::linked(); ::std::println!($($arg)*) }};
}

/// [`std::eprintln!`] in one piece, and a reference to this crate: see [`print!`].
#[macro_export]
macro_rules! eprintln {
    () => { $crate::error_line(::std::format_args!("")) };
    ($($arg:tt)*) => { $crate::error_line(::std::format_args!($($arg)*)) };
}

/// Does nothing; who calls it has this library loaded.
#[doc(hidden)]
#[inline(never)]
pub fn linked() {}

#[doc(hidden)]
pub fn flush_for_the_front() {
    if connection::is_connected() {
        let _ = io::stdout().flush();
    }
}

#[doc(hidden)]
pub fn error_line(text: fmt::Arguments<'_>) {
    // In one piece: nothing that others print gets into it.
    let line = format!("{text}\n");
    std::eprint!("{line}");
}

/// Runs when the library is loaded.
#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: extern "C" fn() = on_load;

extern "C" fn on_load() {
    if !outlet::in_kernel() {
        return;
    }
    observer::install(); // a cell that is running already can be watched from then on
    match connection::connect(tasks::of_a_stuck_cell) {
        Ok(true) => {
            // It says what has been interrupted, and where things are.
            nest_tokio::has_front(place::of);
            return;
        }
        Ok(false) => {}
        Err(error) => say(format_args!(
            "连不上内核的前端（{error}）：输出要等到单元格结束才出现。"
        )),
    }
    // A front sees to that itself.
    if let Err(error) = parent::end_with_the_kernel() {
        say(format_args!(
            "没有线程可用（{error}）：内核被强行终止时，单元格的进程要到空闲时才结束。"
        ));
    }
    if let Err(error) = pump::start() {
        say(format_args!(
            "无法接管标准输出（{error}）：没有换行的输出可能会晚一些出现。"
        ));
    }
}

/// Prints a line on stderr. Nothing may panic while the library is loaded, or the process aborts:
/// not even if nobody reads it.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "[notebook] {line}");
}
