//! Standard output on its way to evcxr, where there is no front.
//!
//! evcxr reads the child's output line by line and knows a cell's end by a marker line that the
//! child prints last. Text without a newline before it glues itself to the marker, and the kernel
//! waits for ever; text that is still in std's buffer appears under a later cell. So file
//! descriptor 1 becomes a pipe of ours. A thread passes on whole lines and, when the marker comes
//! by, has the buffer flushed and puts a newline where one is missing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use link::marker;

/// What evcxr's child prints when a cell has ended.
const CELL_ENDED: &[u8] = marker::ENDED.as_bytes();

/// What it prints when the cell failed.
const FAILED: [&str; 2] = [marker::PANICKED, marker::RETURNED];

/// What else evcxr looks for at the beginning of a line.
const OTHER_MARKERS: [&str; 4] = [
    marker::FOR_EVCXR,
    marker::CONTENT,
    marker::ASKS,
    marker::ASKS_SECRETLY,
];

/// Shown after a failed cell. evcxr reports such a cell as a success: with the JSON a program can
/// tell that it is not, with the text so can a student.
fn failure_notice() -> String {
    block(marker::FAILURE, "{}") + &block("text/plain", "[此单元格没有执行完]")
}

/// A value of one MIME type, as evcxr takes it.
pub(crate) fn block(mime: &str, value: &str) -> String {
    let (begin, end) = (marker::CONTENT, marker::CONTENT_END);
    format!("{begin}{mime}\n{value}\n{end}\n")
}

/// Longest wait for the flush at a cell's end: a background task may be holding stdout's lock.
const FLUSH: Duration = Duration::from_secs(1);

/// Where the process's output really goes: the pipe to evcxr.
static ORIGINAL: OnceLock<OwnedFd> = OnceLock::new();
/// Closed by the pump when it has passed on everything.
static DRAINED: OnceLock<std::sync::Mutex<mpsc::Receiver<()>>> = OnceLock::new();

/// Puts the pump between this process and evcxr.
pub(crate) fn start() -> io::Result<()> {
    let original = duplicate(libc::STDOUT_FILENO)?;
    let (reader, writer) = pipe()?;
    let destination = File::from(original.try_clone()?);
    let (drained, wait) = mpsc::channel();
    let (flushed, flush_done) = pipe()?;
    let flush = start_flusher(File::from(flush_done))?;
    thread::Builder::new()
        .name("notebook-output".into())
        .spawn(move || {
            let _drained = drained; // dropped, and so closed, when the pump ends
            let _ = pump(reader, destination, flushed, &flush);
        })?;
    redirect(&writer, libc::STDOUT_FILENO)?;
    let _ = ORIGINAL.set(original);
    let _ = DRAINED.set(std::sync::Mutex::new(wait));
    // SAFETY: `drain` is an `extern "C"` function without arguments.
    unsafe { libc::atexit(drain) };
    Ok(())
}

/// At exit: what has been printed still gets through.
extern "C" fn drain() {
    let (Some(original), Some(drained)) = (ORIGINAL.get(), DRAINED.get()) else {
        return;
    };
    let _ = flush_within(FLUSH);
    // Closes our end of the pipe; the pump comes to its end.
    let _ = redirect(original, libc::STDOUT_FILENO);
    if let Ok(drained) = drained.lock() {
        let _ = drained.recv_timeout(FLUSH);
    }
}

/// Passes whole lines from `reader` to `destination` until there is nothing more.
///
/// `flush` has std's buffer emptied into the pipe; a byte comes out of `flushed` when that is done.
fn pump(
    reader: OwnedFd,
    mut destination: impl Write,
    flushed: OwnedFd,
    flush: &mpsc::Sender<Vec<u8>>,
) -> io::Result<()> {
    let mut flushed = File::from(flushed);
    let mut reader = File::from(reader);
    let mut chunk = [0; 1 << 16];
    let mut line = Vec::new();
    // Flushes asked for and not yet answered: more than one after one took too long.
    let mut awaited = 0;
    loop {
        let n = read(&mut reader, &mut chunk)?;
        if n == 0 {
            destination.write_all(&line)?;
            return destination.flush();
        }
        let Some(before_marker) = take_lines(&mut line, &chunk[..n], &mut destination)? else {
            continue;
        };
        // The cell has ended. What its own std still holds comes before the marker.
        line = before_marker;
        awaited += usize::from(flush.send(vec![1]).is_ok());
        let deadline = Instant::now() + FLUSH;
        while awaited > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let (output, answered) = poll(&reader, &flushed, left)?;
            if answered {
                awaited -= read(&mut flushed, &mut [0; 16])?;
            }
            if output {
                let n = read(&mut reader, &mut chunk)?;
                append_lines(&mut line, &chunk[..n], &mut destination)?;
            }
        }
        // What was flushed is in the pipe by now. No more than that: a background task may never
        // stop printing.
        let mut rest = readable(&reader)?;
        while rest > 0 {
            let most = rest.min(chunk.len());
            let n = read(&mut reader, &mut chunk[..most])?;
            append_lines(&mut line, &chunk[..n], &mut destination)?;
            rest -= n;
        }
        if !line.is_empty() {
            line.push(b'\n');
            destination.write_all(&line)?;
            line.clear();
        }
        destination.write_all(CELL_ENDED)?;
        destination.write_all(b"\n")?;
        destination.flush()?;
    }
}

/// Reads what there is, whatever signals a cell sends its process.
fn read(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Adds `chunk` to `line` and passes on the whole lines; at the marker, returns what the cell
/// printed before it without a newline.
///
/// The child prints nothing after the marker before the kernel has read it, but background
/// tasks do: what follows it goes before it.
fn take_lines(
    line: &mut Vec<u8>,
    chunk: &[u8],
    destination: &mut impl Write,
) -> io::Result<Option<Vec<u8>>> {
    let mut ended = None;
    for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
        line.extend_from_slice(piece);
        if !line.ends_with(b"\n") {
            continue;
        }
        let text = &line[..line.len() - 1];
        if let Some(partial) = text.strip_suffix(CELL_ENDED) {
            ended = Some(partial.to_vec());
        } else {
            pass_on(line, destination)?;
        }
        line.clear();
    }
    if let Some(partial) = &mut ended {
        partial.append(line);
    }
    Ok(ended)
}

/// Adds `chunk` to `line` and passes on the whole lines.
fn append_lines(line: &mut Vec<u8>, chunk: &[u8], destination: &mut impl Write) -> io::Result<()> {
    for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
        line.extend_from_slice(piece);
        if line.ends_with(b"\n") {
            pass_on(line, destination)?;
            line.clear();
        }
    }
    Ok(())
}

/// Writes a whole line; a marker in it begins one of its own.
fn pass_on(line: &[u8], destination: &mut impl Write) -> io::Result<()> {
    let at = |marker: &&str| {
        line.windows(marker.len())
            .position(|window| window == marker.as_bytes())
    };
    let failed = FAILED.iter().find_map(at);
    let marker = failed.or_else(|| OTHER_MARKERS.iter().find_map(at));
    let (text, marker) = line.split_at(marker.unwrap_or(0));
    if !text.is_empty() {
        destination.write_all(text)?;
        destination.write_all(b"\n")?;
    }
    destination.write_all(marker)?;
    if failed.is_some() {
        destination.write_all(failure_notice().as_bytes())?;
    }
    Ok(())
}

/// Starts the thread that flushes std's buffer on request and then writes to `done` what the request
/// says.
///
/// One of its own: the buffer may be larger than the pipe, which only the pump empties; and somebody
/// may be holding stdout's lock.
fn start_flusher(mut done: impl Write + Send + 'static) -> io::Result<mpsc::Sender<Vec<u8>>> {
    let (request, requests) = mpsc::channel::<Vec<u8>>();
    thread::Builder::new()
        .name("notebook-flush".into())
        .spawn(move || {
            for answer in requests {
                crate::live::end(); // of the cell
                let _ = io::stdout().flush();
                let _ = done.write_all(&answer);
            }
        })?;
    Ok(request)
}

/// Flushes std's buffer unless something holds its lock for longer than `limit`.
fn flush_within(limit: Duration) -> Result<(), RecvTimeoutError> {
    let (done, wait) = mpsc::channel();
    let flush = move || {
        let _ = io::stdout().flush();
        let _ = done.send(());
    };
    match thread::Builder::new().spawn(flush) {
        Ok(_) => wait.recv_timeout(limit),
        Err(_) => Err(RecvTimeoutError::Disconnected),
    }
}

/// Whether `reader` and `flushed` have something to read, after waiting at most `limit`.
fn poll(reader: &File, flushed: &File, limit: Duration) -> io::Result<(bool, bool)> {
    let wanted = |file: &File| libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut files = [wanted(reader), wanted(flushed)];
    // SAFETY: two valid pollfds.
    let n = unsafe { libc::poll(files.as_mut_ptr(), 2, limit.as_millis() as i32) };
    match n {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok((false, false)),
            error => Err(error),
        },
        _ => Ok((
            files[0].revents & libc::POLLIN != 0,
            files[1].revents & libc::POLLIN != 0,
        )),
    }
}

/// How many bytes can be read without waiting.
fn readable(file: &File) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: `FIONREAD` writes one `c_int`.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::FIONREAD, &mut bytes) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(bytes as usize),
    }
}

/// A pipe, reader first, closed in programs that cells start (or they would keep it open).
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `pipe2` succeeded, so both are open and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// A duplicate of `fd`, closed in programs that cells start.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks for a new descriptor; no memory is involved.
    let fd = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fcntl` succeeded, so it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes `fd`, standard output or error, go where `target` goes.
fn redirect(target: &OwnedFd, fd: RawFd) -> io::Result<()> {
    // SAFETY: both descriptors are open; no memory is involved.
    match unsafe { libc::dup2(target.as_raw_fd(), fd) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What evcxr reads when the child's output is `chunks`, one `read` each, and std's buffer
    /// holds `buffered` at the end of the cell.
    fn pumped(chunks: &[&str], buffered: &'static str) -> String {
        let (reader, writer) = pipe().unwrap();
        let mut std_buffer = File::from(writer.try_clone().unwrap());
        let (flushed, done) = pipe().unwrap();
        let (flush, requests) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || {
            let mut done = File::from(done);
            if requests.recv().is_ok() {
                std_buffer.write_all(buffered.as_bytes()).unwrap();
                done.write_all(&[1]).unwrap();
            }
        });
        let (sender, received) = mpsc::channel();
        let destination = Channel(sender);
        let thread = thread::spawn(move || pump(reader, destination, flushed, &flush));
        let mut writer = File::from(writer);
        for chunk in chunks {
            writer.write_all(chunk.as_bytes()).unwrap();
        }
        drop(writer);
        let mut output = Vec::new();
        while !output.ends_with(b"EVCXR_EXECUTION_COMPLETE\n") {
            let bytes: Vec<u8> = received.recv_timeout(Duration::from_secs(30)).unwrap();
            output.extend(bytes);
        }
        drop(thread);
        String::from_utf8(output).unwrap()
    }

    struct Channel(mpsc::Sender<Vec<u8>>);

    impl Write for Channel {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whole_lines_pass_as_they_are() {
        assert_eq!(
            pumped(&["one\ntwo\n", "EVCXR_EXECUTION_COMPLETE\n"], ""),
            "one\ntwo\nEVCXR_EXECUTION_COMPLETE\n"
        );
    }

    #[test]
    fn a_partial_line_does_not_glue_itself_to_the_marker() {
        assert_eq!(
            pumped(&["partial", "EVCXR_EXECUTION_COMPLETE\n"], ""),
            "partial\nEVCXR_EXECUTION_COMPLETE\n"
        );
    }

    #[test]
    fn a_partial_line_does_not_hide_a_panic_and_a_notice_follows_it() {
        let chunk = "partialEVCXR_PANIC_NOTIFICATION\nEVCXR_EXECUTION_COMPLETE\n";
        let expected = [
            "partial\nEVCXR_PANIC_NOTIFICATION\n",
            &failure_notice(),
            "EVCXR_EXECUTION_COMPLETE\n",
        ];
        assert_eq!(pumped(&[chunk], ""), expected.concat());
    }

    #[test]
    fn the_marker_may_arrive_in_pieces() {
        assert_eq!(
            pumped(&["partialEVCXR_EXEC", "UTION_COMPLETE", "\n"], ""),
            "partial\nEVCXR_EXECUTION_COMPLETE\n"
        );
    }

    #[test]
    fn buffered_text_comes_before_the_marker() {
        assert_eq!(
            pumped(&["a", "EVCXR_EXECUTION_COMPLETE\n"], "b\nc"),
            "ab\nc\nEVCXR_EXECUTION_COMPLETE\n"
        );
    }

    #[test]
    fn a_background_task_that_never_stops_printing_does_not_hold_the_marker_up() {
        let (reader, writer) = pipe().unwrap();
        let mut background = File::from(writer.try_clone().unwrap());
        let mut cell = File::from(writer);
        let (sender, received) = mpsc::channel();
        let (flushed, done) = pipe().unwrap();
        let flush = start_flusher(File::from(done)).unwrap();
        thread::spawn(move || pump(reader, Channel(sender), flushed, &flush));
        cell.write_all(b"EVCXR_EXECUTION_COMPLETE\n").unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        thread::spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                let _ = background.write_all(b"on and on\n");
            }
        });
        let mut output = Vec::new();
        while !output.ends_with(b"EVCXR_EXECUTION_COMPLETE\n") {
            output.extend::<Vec<u8>>(received.recv_timeout(Duration::from_secs(30)).unwrap());
            assert!(output.len() < 1 << 26, "no end of it");
        }
        drop(stop);
    }

    #[test]
    fn a_flush_that_took_too_long_is_not_taken_for_the_next_one() {
        let (reader, writer) = pipe().unwrap();
        let mut std_buffer = File::from(writer.try_clone().unwrap());
        let mut cell = File::from(writer);
        let (flushed, done) = pipe().unwrap();
        let (flush, requests) = mpsc::channel::<Vec<u8>>();
        thread::spawn(move || {
            let mut done = File::from(done);
            for (number, _) in requests.into_iter().enumerate() {
                if number == 0 {
                    thread::sleep(FLUSH + FLUSH / 2); // something holds the lock
                } else {
                    std_buffer.write_all(b"second\n").unwrap();
                }
                done.write_all(&[1]).unwrap();
            }
        });
        let (sender, received) = mpsc::channel();
        thread::spawn(move || pump(reader, Channel(sender), flushed, &flush));
        let until_marker = |cell: &mut File| {
            cell.write_all(b"EVCXR_EXECUTION_COMPLETE\n").unwrap();
            let mut output = Vec::new();
            while !output.ends_with(b"EVCXR_EXECUTION_COMPLETE\n") {
                output.extend::<Vec<u8>>(received.recv_timeout(Duration::from_secs(30)).unwrap());
            }
            output
        };
        assert_eq!(until_marker(&mut cell), b"EVCXR_EXECUTION_COMPLETE\n");
        assert_eq!(
            until_marker(&mut cell),
            b"second\nEVCXR_EXECUTION_COMPLETE\n"
        );
    }

    #[test]
    fn a_signal_ends_no_reading() {
        struct Interrupted(u32);
        impl Read for Interrupted {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                match self.0 {
                    0 => b"text".as_slice().read(bytes),
                    _ => {
                        self.0 -= 1;
                        Err(io::ErrorKind::Interrupted.into())
                    }
                }
            }
        }
        assert_eq!(read(&mut Interrupted(3), &mut [0; 16]).unwrap(), 4);
    }

    #[test]
    fn a_buffer_larger_than_the_pipe_does_not_block() {
        let big: &'static str = "x".repeat(1 << 20).leak();
        assert_eq!(
            pumped(&["EVCXR_EXECUTION_COMPLETE\n"], big).len(),
            big.len() + "\nEVCXR_EXECUTION_COMPLETE\n".len()
        );
    }
}
