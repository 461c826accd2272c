// Stands before a student's code if that says `dbg!`, as one line (`generated.rs`). `SECRET` and
// `BUILD` are put in.
#[allow(unused_macros)]
macro_rules! dbg {
    () => {
        $crate::evcxr_dbg::place(::std::line!(), ::std::column!())
    };
    ($value:expr $(,)?) => {
        $crate::evcxr_dbg::value(
            ::std::line!(),
            ::std::column!(),
            ::std::stringify!($value),
            $value,
        )
    };
    ($($value:expr),+ $(,)?) => {
        ($(dbg!($value)),+,)
    };
}
#[allow(warnings)]
mod evcxr_dbg {
    pub fn place(line: u32, column: u32) {
        ::std::eprint!("{}", ::std::format!("[EVCXR_SECRET_PLACE BUILD:{line}:{column};]\n"));
    }

    pub fn value<T: ::std::fmt::Debug>(line: u32, column: u32, text: &str, value: T) -> T {
        show(line, column, text, &value);
        value
    }

    fn show(line: u32, column: u32, text: &str, value: &dyn ::std::fmt::Debug) {
        let place = ::std::format!("EVCXR_SECRET_PLACE BUILD:{line}:{column};");
        ::std::eprint!("{}", ::std::format!("[{place}] {text} = {value:#?}\n"));
    }
}
