// Stands in each generated file, as one line (`generated.rs`). It is the same in all and has a module
// of its own, so that rustc, which keeps what modules were compiled to, takes it from the cell before.
#[allow(warnings)]
mod evcxr_kernel {
    pub type Tell = extern "C" fn(u8, *const u8, usize);

    pub static mut TELL: Option<Tell> = None;

    pub fn tell(kind: u8, text: &str) {
        if let Some(tell) = unsafe { TELL } {
            tell(kind, text.as_ptr(), text.len());
        }
    }

    pub fn returned(error: ::std::fmt::Arguments) {
        tell(b'R', &::std::fmt::format(error));
    }

    pub fn panicked(payload: &(dyn ::std::any::Any + Send)) {
        let text = match payload.downcast_ref::<&'static str>() {
            Some(text) => text,
            None => match payload.downcast_ref::<String>() {
                Some(text) => text.as_str(),
                None => "",
            },
        };
        tell(b'P', text);
    }

    #[unsafe(no_mangle)]
    pub extern "C" fn evcxr_kernel_begin(tell: Tell) -> extern "C" fn(bool) {
        unsafe { TELL = Some(tell) }
        flush
    }

    extern "C" fn flush(says_something: bool) {
        if says_something {
            println!("");
        }
        ::std::mem::forget(::std::io::Write::flush(&mut ::std::io::stdout()));
    }

    /* GUARD */
}
