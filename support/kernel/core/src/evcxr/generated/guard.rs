// Stands in the module of `cell.rs` where there are variables. What is dropped at the end of a cell's
// function is outside of evcxr's `catch_unwind`, and would abort the process.
pub use super::evcxr_internal_runtime::{VariableStore, create_variable_store};

pub fn guarded(
    store: *mut VariableStore,
    cell: fn(*mut VariableStore) -> *mut VariableStore,
) -> *mut VariableStore {
    let store = match store.is_null() {
        true => create_variable_store(),
        false => store,
    };
    let run = ::std::panic::AssertUnwindSafe(|| cell(store));
    match ::std::panic::catch_unwind(run) {
        Ok(store) => store,
        Err(payload) => {
            panicked(&*payload);
            store
        }
    }
}
