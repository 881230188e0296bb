//! The C library's memory, for a process that holds pictures.

/// Gives blocks as large as pictures back to the system once they are free. glibc would stop to do so after the first, and
/// keep those of every encoder and decoder that has ended among the small blocks of its thread.
#[cfg(target_env = "gnu")]
pub(crate) fn give_pictures_back() {
    /// Smaller than a picture of standard definition.
    const PICTURE: libc::c_int = 256 << 10;
    // SAFETY: it takes two numbers by value, and no thread has been started that could allocate at the same time.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, PICTURE) };
}

/// Other C libraries decide by themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn give_pictures_back() {}
