//! The C library's memory, for a process with one encoder after the other.

/// Has glibc hand out zeros, and give blocks as large as pictures back to the system once they are free.
///
/// x264 (build 164) decides by memory that it has not written: its macroblock tree, at the end of a stream. A new process
/// gets zeros from the system, so an encoder that is alone in it writes the same bytes every time; one that gets the memory
/// of an encoder before it would not. By itself glibc would also keep the pictures of every encoder and decoder that has
/// ended among the small blocks of its thread.
#[cfg(target_env = "gnu")]
pub(super) fn hand_out_zeros() {
    /// Smaller than a picture of standard definition; larger blocks come from the system, which fills them with zeros.
    const PICTURE: libc::c_int = 256 << 10;
    /// Allocated bytes get the complement of this.
    const FREED: libc::c_int = 0xff;
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: both take two numbers by value. glibc takes its lock to set them, and allocations on other threads see the
        // old number or the new one.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, PICTURE);
            libc::mallopt(libc::M_PERTURB, FREED);
        }
    });
}

/// Other C libraries have no such setting.
#[cfg(not(target_env = "gnu"))]
pub(super) fn hand_out_zeros() {}
