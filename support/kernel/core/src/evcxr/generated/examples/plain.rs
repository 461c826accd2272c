#![allow(unused_imports, unused_mut, dead_code)]
fn marked() -> i32 { 1 }
#[unsafe(no_mangle)]
pub extern "C" fn run_user_code_2(
evcxr_variable_store: *mut u8) -> *mut u8 {
if std::panic::catch_unwind(||{
println!("hello");
}).is_err() {
    println!("EVCXR_PANIC_NOTIFICATION");
}
evcxr_variable_store
}
