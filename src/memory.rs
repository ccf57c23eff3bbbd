//! Memory that is free goes back to the machine.

/// Gives back what is free. The allocator of glibc does so by itself only at the end of what it has, and one small thing
/// that lives on there keeps all before it. Takes some milliseconds, in which others may have to wait for memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no other way to call it")]
pub fn give_back() {
    // SAFETY: it may be called at any time, from any thread, and nothing that is in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Others give back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
