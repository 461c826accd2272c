//! A macro, in a file of its own: evcxr takes what stands in any `lib.rs` for a cell's code, and would
//! not see that a cell waits.

/// [`tokio::select!`], whose first branch [can be chosen](crate::watch::begin_select_with).
#[macro_export]
macro_rules! select {
    (else $($rest:tt)*) => {
        $crate::original::select!(else $($rest)*)
    };
    ($bind:pat = $($rest:tt)*) => {
        $crate::original::select!(@{ start={ $crate::watch::first_branch(BRANCHES) }; () } $bind = $($rest)*)
    };
    ($($rest:tt)*) => {
        $crate::original::select!($($rest)*)
    };
}
