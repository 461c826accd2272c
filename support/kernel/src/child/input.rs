//! What cells read from standard input: what the student types into Jupyter's input box.
//!
//! Standard input itself is empty, and that is what programs see that a cell starts. But std, and
//! almost everything else in this process, reads through the C library's function `read`, and the
//! one that the dynamic linker finds first is that of the program: this one. For standard input it
//! asks the front, which asks the student; every other file is read as ever.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, OnceLock, PoisonError};

use link::frame::{self, ANSWER};

/// The front, once it may be asked.
static INPUTS: OnceLock<Mutex<Input>> = OnceLock::new();

struct Input {
    front: UnixStream,
    /// What has been typed and not been read.
    typed: VecDeque<u8>,
}

/// From now on what is read from standard input is asked of the front. The connection stays open
/// for as long as the process lives: that is how the front learns of its end.
pub fn ask(front: UnixStream) {
    let typed = VecDeque::new();
    let _ = INPUTS.set(Mutex::new(Input { front, typed }));
}

/// The C library's function of this name.
///
/// # Safety
/// As there: `buffer` has room for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn read(
    file: libc::c_int,
    buffer: *mut libc::c_void,
    count: libc::size_t,
) -> libc::ssize_t {
    match INPUTS
        .get()
        .filter(|_| file == libc::STDIN_FILENO && count > 0)
    {
        None => {
            // SAFETY: what the caller promises is what the system asks for.
            let read = unsafe { libc::syscall(libc::SYS_read, file, buffer, count) };
            read as libc::ssize_t
        }
        Some(input) => {
            // SAFETY: the caller promises that it is there; it need not be initialised to be
            // written to.
            let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), count) };
            let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
            match input.take(buffer) {
                Ok(taken) => taken as libc::ssize_t,
                Err(error) => {
                    // SAFETY: a thread's own variable.
                    unsafe { *libc::__errno_location() = error };
                    -1
                }
            }
        }
    }
}

impl Input {
    /// Takes what has been typed, or waits for more. The error is a number of the system's.
    fn take(&mut self, buffer: &mut [u8]) -> Result<usize, i32> {
        if self.typed.is_empty() {
            match self.next_line() {
                Ok(line) => self.typed.extend(line?),
                Err(_) => return Ok(0), // the kernel is gone
            }
        }
        self.typed.read(buffer).map_err(|_| libc::EIO)
    }

    /// What the front answers: a line, or why there is none.
    fn next_line(&mut self) -> io::Result<Result<Vec<u8>, i32>> {
        self.front.write_all(&frame::new(frame::INPUT, 0))?;
        let mut head = [0; ANSWER];
        self.front.read_exact(&mut head)?;
        let (error, length) = head.split_at(4);
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        match number(error) {
            0 => {
                let mut line = vec![0; number(length) as usize];
                self.front.read_exact(&mut line)?;
                Ok(Ok(line))
            }
            error => Ok(Err(error as i32)),
        }
    }
}
