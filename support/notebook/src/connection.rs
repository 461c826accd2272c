//! The connection to the kernel's front, if there is one.
//!
//! The front reads what this process writes to standard output and error, and lets through to evcxr
//! what that must know: the process has seen to that when it started, and flushes what lies in
//! buffers when a cell ends. Displays and panics travel within standard output, as records, so that
//! they keep their place among the text; the socket carries interrupts.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use link::record::{self, MESSAGE, told};
use link::{frame, stack, variable};
use serde_json::{Value, json};

use crate::pump::duplicate;

/// The front, once it reads what we write.
static FRONT: OnceLock<Front> = OnceLock::new();

struct Front {
    /// What tells records from text.
    secret: String,
    /// Standard output, whatever a cell puts in its place.
    stdout: File,
}

/// Whether there is a front.
pub(crate) fn is_connected() -> bool {
    FRONT.get().is_some()
}

/// What there is to say, if there is, when a cell is interrupted.
type LastWords = fn() -> Option<String>;

/// Connects to the front. False if there is none.
pub(crate) fn connect(last_words: LastWords) -> io::Result<bool> {
    let Some(path) = std::env::var_os(variable::FRONT) else {
        return Ok(false);
    };
    let secret = record::secret(Path::new(&path)).ok_or(io::ErrorKind::InvalidInput)?;
    let stdout = File::from(duplicate(io::stdout().as_raw_fd())?);
    let mut socket = UnixStream::connect(&path)?;
    socket.write_all(&[frame::HELLO])?;
    socket.set_read_timeout(Some(frame::WELCOME_WITHIN))?;
    let mut first = [0; frame::LENGTH];
    socket.read_exact(&mut first)?;
    if frame::parts(&first).0 != frame::WELCOME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    socket.set_read_timeout(None)?;
    listen(socket, last_words)?;
    let _ = FRONT.set(Front {
        secret: secret.to_owned(),
        stdout,
    });
    report_panics();
    Ok(true)
}

/// Does what the front asks for, on a thread of its own.
fn listen(socket: UnixStream, last_words: LastWords) -> io::Result<()> {
    let mut reader = socket.try_clone()?;
    let mut writer = socket;
    let mut listen = move || -> io::Result<()> {
        let mut request = [0; frame::LENGTH];
        let mut interruptions = nest_tokio::interruptions();
        loop {
            reader.read_exact(&mut request)?;
            match frame::parts(&request).0 {
                frame::FLUSH => {
                    // A cell may also interrupt itself.
                    let known = std::mem::replace(&mut interruptions, nest_tokio::interruptions());
                    if interruptions != known {
                        writer.write_all(&frame::new(frame::INTERRUPTED, 0))?;
                    }
                    crate::live::end();
                    let _ = io::stdout().flush();
                    LOADED.store(libraries_loaded(), Ordering::Release);
                    writer.write_all(&request)?;
                }
                frame::INTERRUPT => {
                    writer.write_all(&frame::new(frame::INTERRUPT, interrupt(last_words)))?;
                }
                _ => {}
            }
        }
    };
    thread::Builder::new()
        .name("notebook-front".into())
        .spawn(move || {
            // It ends when the front does; we then end with the kernel.
            let _ = listen();
        })?;
    Ok(())
}

/// How many libraries had been loaded when the last cell ended.
static LOADED: AtomicU64 = AtomicU64::new(0);

/// Cancels what the cell waits for. Returns what has been found.
fn interrupt(last_words: LastWords) -> u64 {
    if let Some(words) = last_words() {
        let _ = io::stderr().write_all(words.as_bytes());
    }
    if nest_tokio::interrupt() {
        return frame::FOUND_WAIT;
    }
    // evcxr gives no sign when a cell begins, but each is a library of its own.
    match libraries_loaded() > LOADED.load(Ordering::Acquire) {
        true => frame::FOUND_BUSY,
        false => frame::FOUND_NOTHING,
    }
}

/// How many libraries this process has ever loaded.
fn libraries_loaded() -> u64 {
    extern "C" fn read(info: *mut libc::dl_phdr_info, _: usize, count: *mut libc::c_void) -> i32 {
        // SAFETY: glibc passes a valid record, and what was given to `dl_iterate_phdr` below.
        unsafe { *count.cast::<u64>() = (*info).dlpi_adds };
        1 // one record is enough
    }
    let mut count: u64 = 0;
    let pointer: *mut u64 = &mut count;
    // SAFETY: `read` writes a `u64`, which lives until the call returns.
    unsafe { libc::dl_iterate_phdr(Some(read), pointer.cast()) };
    count
}

/// Publishes a message of the Jupyter protocol from the running cell: `display_data`,
/// `update_display_data`, `clear_output`. False when there is no front.
pub(crate) fn publish(message_type: &str, content: &Value) -> bool {
    // Through std's buffer: what was printed before stands before it.
    FRONT.get().is_some_and(|front| {
        let message = front.message(message_type, content);
        io::stdout().write_all(&message).is_ok()
    })
}

impl Front {
    fn message(&self, message_type: &str, content: &Value) -> Vec<u8> {
        let message = json!({ "msg_type": message_type, "content": content });
        record::new(&self.secret, MESSAGE, message.to_string().as_bytes())
    }
}

/// How a place begins that the front replaces by the cell and line that it is in, if there is a front.
pub(crate) fn place_mark() -> Option<String> {
    let front = FRONT.get()?;
    Some(record::prefix(&front.secret) + record::PLACE)
}

/// Such a place. The file's name, where it lies in memory, tells whose it is.
pub(crate) fn mark_place(file: &str, line: u32, column: u32) -> Option<String> {
    let library = library_of(file)?;
    Some(format!("{}{library}:{line}:{column};", place_mark()?))
}

/// A panic of a cell is the cell's error: its message goes to the front instead of to stderr. So
/// do those of other threads, which it reports as std would; only it knows from which cell they came.
fn report_panics() {
    let cells = thread::current().id(); // evcxr loads us on the thread that runs the cells
    std::panic::set_hook(Box::new(move |panic| {
        let kind = match thread::current().id() == cells {
            true => told::PANIC,
            false => told::PANIC_ELSEWHERE,
        };
        if let Some(front) = FRONT.get() {
            // Not through std's buffer: it may be what panics.
            let _ = (&front.stdout).write_all(&front.message(kind, &describe(panic)));
        }
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> Value {
    let place = panic.location();
    json!({
        "thread": thread::current().name().unwrap_or("<unnamed>"),
        "message": panic.payload_as_str().unwrap_or("（panic 的值不是文字）"),
        "file": place.map(|place| place.file()),
        "line": place.map(|place| place.line()),
        "column": place.map(|place| place.column()),
        "library": place.and_then(|place| library_of(place.file())),
        "stack": stack::calls(),
    })
}

/// The library that holds this text: of a panic's place, the one with the code that panicked. Each
/// cell is a library of its own, and the names and numbers of the place are the same in all.
fn library_of(text: &str) -> Option<String> {
    let (library, _) = stack::library(text.as_ptr() as usize)?;
    Some(library.to_owned())
}
