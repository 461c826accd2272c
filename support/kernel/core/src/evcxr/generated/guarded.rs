// Stands in front of a cell's function that has variables, as one line (`generated.rs`): its own name
// becomes `evcxr_cell`. NAME is put in.
#[unsafe(no_mangle)]
pub extern "C" fn NAME(
    store: *mut evcxr_internal_runtime::VariableStore,
) -> *mut evcxr_internal_runtime::VariableStore {
    evcxr_kernel::guarded(store, evcxr_cell)
}
