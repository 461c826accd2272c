//! What is being called when something panics: where the code lies, nothing more. The kernel's front
//! knows its names, and whose it is.

use std::ffi::{CStr, c_void};

/// Of a deeper stack only what is nearest to the panic is of interest.
const DEEPEST: usize = 256;

/// Where the code lies that is being called, the innermost first: for each stretch in one library its
/// file, and the addresses in that.
pub fn calls() -> Vec<(&'static str, Vec<usize>)> {
    let mut addresses: [*mut c_void; DEEPEST] = [std::ptr::null_mut(); DEEPEST];
    // SAFETY: there is room for as many addresses as are asked for.
    let count = unsafe { libc::backtrace(addresses.as_mut_ptr(), DEEPEST as i32) };
    let mut stretches: Vec<(&'static str, Vec<usize>)> = Vec::new();
    for address in &addresses[..count.max(0) as usize] {
        // A call returns to what stands behind it, which may be another function.
        let address = (*address as usize).wrapping_sub(1);
        let Some((library, base)) = library(address) else {
            continue;
        };
        let within = address.wrapping_sub(base);
        match stretches.last_mut() {
            Some((last, addresses)) if *last == library => addresses.push(within),
            _ => stretches.push((library, vec![within])),
        }
    }
    stretches
}

/// The file of the library at an address, and where it has been loaded.
pub fn library(address: usize) -> Option<(&'static str, usize)> {
    // SAFETY: all zeros is a valid value of this record of pointers.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is only looked up.
    let known = unsafe { libc::dladdr(address as *const c_void, &mut found) } != 0;
    if !known || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a name that the dynamic linker keeps as long as the library is loaded: for ever.
    let name: &'static CStr = unsafe { CStr::from_ptr(found.dli_fname) };
    Some((name.to_str().ok()?, found.dli_fbase as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_called_is_known_by_library_and_address() {
        #[inline(never)]
        fn calls_here() -> Vec<(&'static str, Vec<usize>)> {
            std::hint::black_box(calls())
        }
        let calls = calls_here();
        let (own, base) = library(calls_here as *const () as usize).unwrap();
        let within = calls_here as *const () as usize - base;
        let mut own = calls.iter().filter(|(library, _)| *library == own);
        let near = |address: &usize| (within..within + 400).contains(address);
        let found = own.any(|(_, addresses)| addresses.iter().any(near));
        assert!(found, "{calls:?}");
    }
}
