// Stands in front of a cell's function that has variables, as one line (`generated.rs`): its own name
// becomes `evcxr_cell`. What is dropped at its end is outside of evcxr's `catch_unwind`, and would
// abort the process. NAME is put in.
#[unsafe(no_mangle)]
pub extern "C" fn NAME(
    store: *mut evcxr_internal_runtime::VariableStore,
) -> *mut evcxr_internal_runtime::VariableStore {
    let store = match store.is_null() {
        true => evcxr_internal_runtime::create_variable_store(),
        false => store,
    };
    let run = ::std::panic::AssertUnwindSafe(|| evcxr_cell(store));
    match ::std::panic::catch_unwind(run) {
        Ok(store) => store,
        Err(payload) => {
            evcxr_kernel::panicked(&*payload);
            store
        }
    }
}
