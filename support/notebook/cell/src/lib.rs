//! What evcxr writes around every cell, compiled once.
//!
//! Around the student's code evcxr puts a store of variables and, once there was an `.await`, a
//! runtime: some 400 functions of std's and ours for types that are the same in every cell. Most
//! of a small cell's time went into compiling them again. A compiler that does not optimise takes
//! such functions from a crate that it links anyway, if that was not optimised either: so this
//! crate calls them for the same types, is compiled at `opt-level` 0 (`lab` sees to that), and is
//! part of `libnotebook.so`.
//!
//! Nothing in here is meant to be called. Without it cells mean the same and compile slower.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use nest_tokio::runtime::Runtime;

type Variables = HashMap<String, Box<dyn Any + 'static>>;
type Shared = Mutex<Runtime>;

/// The operations of evcxr's `VariableStore`, and of the code that it writes around an `.await`.
#[doc(hidden)]
pub fn instances(name: &str, value: Box<dyn Any>, create: &dyn Fn() -> Shared) -> Variables {
    let mut variables: Variables = HashMap::new();
    variables.insert(name.to_owned(), value);
    if let Some(found) = variables.get(name) {
        let _ = found.downcast_ref::<Arc<Shared>>().is_none();
    }
    if let Some(taken) = variables.remove(name) {
        drop(taken.downcast::<Arc<Shared>>());
    }
    let entry = variables.entry(name.to_owned());
    let shared = entry.or_insert_with(|| Box::new(Arc::new(create())));
    if let Some(shared) = shared.downcast_mut::<Arc<Shared>>() {
        let shared = Arc::clone(shared);
        drop(shared.lock().unwrap_or_else(PoisonError::into_inner));
    }
    let _ = std::panic::catch_unwind(|| ()).is_err();
    let mut more: Variables = HashMap::new();
    more.extend(variables.drain());
    more
}
