//! What this program prints. Nobody may be reading it any more: behind `| head`, or when Jupyter,
//! which keeps a kernel's log, has been killed. std's macros panic then.
//!
//! These have the names of std's, and a crate that says `#[macro_use] extern crate base;` gets these instead: what commands print to standard
//! output ends the program quietly then; what anything says on standard error is lost.

use std::fmt;
use std::io::{self, Write};
use std::process::exit;

/// The exit status that shells show for a program which SIGPIPE has ended.
const NOBODY_READS: i32 = 128 + rustix::process::Signal::PIPE.as_raw();

#[doc(hidden)]
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::print::output(format_args!($($text)*)) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! println {
    () => { $crate::print::output(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::output(format_args!("{}\n", format_args!($($text)*))) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::error(format_args!($($text)*)) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::print::error(format_args!("{}\n", format_args!($($text)*))) };
}

#[doc(hidden)]
pub fn output(text: fmt::Arguments<'_>) {
    if cfg!(test) {
        return std::print!("{text}"); // which goes where the tests' output goes
    }
    if let Err(error) = io::stdout().write_fmt(text) {
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("错误：写不了标准输出：{error}");
        }
        exit(NOBODY_READS);
    }
}

#[doc(hidden)]
pub fn error(text: fmt::Arguments<'_>) {
    if cfg!(test) {
        return std::eprint!("{text}");
    }
    // In one piece, as std's does.
    let _ = io::stderr().lock().write_fmt(text);
}
