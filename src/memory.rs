//! Memory that is free goes back to the machine.
//!
//! The allocator of glibc keeps what was freed: large pieces once larger ones were freed before, and small ones unless
//! they are at the end of what it has. Others give back by themselves.

/// Has large pieces, and long free ends, given back when they are freed. For the start of the program.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no other way to call it")]
pub fn keep_little() {
    const LARGE: libc::c_int = 1024 * 1024;
    const END: libc::c_int = 4 * 1024 * 1024;
    // SAFETY: these are settings, which may be set at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, END);
    }
}

/// Gives back what is free between what is in use. Takes some milliseconds, in which others may have to wait for memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no other way to call it")]
pub fn give_back() {
    // SAFETY: it may be called at any time, from any thread, and nothing that is in use is touched.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_little() {}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
