//! The C library's memory, for a process with one encoder after the other, several at once.

/// Has glibc hand out zeros.
///
/// x264 (build 164) decides by memory that it has not written: its macroblock tree, at the end of a stream. A new process
/// gets zeros from the system, so an encoder that is alone in it writes the same bytes every time; one that gets the memory
/// of an encoder before it would not. Blocks as large as pictures stay with glibc when they are free: where each encoder
/// gets them anew from the system, that costs one part in twenty of all time.
#[cfg(target_env = "gnu")]
pub(super) fn hand_out_zeros() {
    /// Allocated bytes get the complement of this.
    const FREED: libc::c_int = 0xff;
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: takes two numbers by value. glibc takes its lock to set it, and allocations on other threads see the old number
    // or the new one.
    ONCE.call_once(|| unsafe {
        libc::mallopt(libc::M_PERTURB, FREED);
    });
}

/// Gives the system what is free, once for each hundred frames of all lanes, when one has ended.
///
/// glibc keeps for each thread what its threads let go of: with many lanes and short chunks that adds up to one encoder
/// for every three. To ask for it anew takes time, so this is not done for every chunk.
#[cfg(target_env = "gnu")]
pub(super) fn give_back(frames: u64) {
    use std::sync::atomic::{AtomicU64, Ordering};
    const BETWEEN: u64 = 100;
    static SINCE: AtomicU64 = AtomicU64::new(0);
    let before = SINCE.fetch_add(frames, Ordering::Relaxed);
    if before.saturating_add(frames) < BETWEEN {
        return;
    }
    SINCE.store(0, Ordering::Relaxed);
    // SAFETY: takes a number by value, and locks one arena after the other.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries have no such setting.
#[cfg(not(target_env = "gnu"))]
pub(super) fn hand_out_zeros() {}

/// Other C libraries give back what they have by themselves, or never.
#[cfg(not(target_env = "gnu"))]
pub(super) fn give_back(_frames: u64) {}
