//! Figures as people read them.

use std::time::Duration;

use super::{Snapshot, Summary};

/// One line of progress.
pub(super) fn line(now: &Snapshot) -> String {
    let frames = match now.total {
        Some(total) => format!("{}/{} frames", now.frames, total.max(now.frames)),
        None => format!("{} frames", now.frames),
    };
    let left = now.left().map_or_else(String::new, |l| format!(", {} left", clock(l)));
    format!("{frames}, {:.1} fps, {:.2}x, {}{left}", now.fps(), now.speed(), size(now.bytes),)
}

/// A bar of ten cells for each lane.
pub(super) fn lanes(now: &Snapshot) -> String {
    let bar = |share: &Option<f64>| match share {
        None => "[   idle   ]".to_owned(),
        Some(share) => {
            let full = (share.clamp(0.0, 1.0) * 10.0).round() as usize;
            format!("[{}{}]", "=".repeat(full), " ".repeat(10 - full))
        }
    };
    now.lanes.iter().map(bar).collect::<Vec<_>>().join(" ")
}

/// The last word.
pub(super) fn summary(s: &Summary) -> String {
    let seconds = s.elapsed.as_secs_f64().max(1e-9);
    let video = s.duration as f64 / 1e9;
    let rate = if video > 0.0 { s.size as f64 * 8.0 / video / 1000.0 } else { 0.0 };
    let busy =
        s.busy.map_or_else(String::new, |(share, lanes)| format!(", {lanes} workers busy {:.0}%", share * 100.0));
    format!(
        "{}: {} frames in {} ({:.1} fps, {:.2}x), {}, {rate:.0} kbit/s, {} chunks{busy}",
        s.output,
        s.frames,
        clock(s.elapsed),
        s.frames as f64 / seconds,
        video / seconds,
        size(s.size),
        s.chunks,
    )
}

/// `1:02:03`, `2:03` or `3.4 s`.
pub(super) fn clock(d: Duration) -> String {
    let s = d.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, _) => format!("{:.1} s", d.as_secs_f64()),
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// In kB, MB, GB of a thousand each.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halfway() -> Snapshot {
        Snapshot {
            frames: 500,
            total: Some(1000),
            bytes: 2_500_000,
            time: 20_000_000_000,
            elapsed: Duration::from_secs(10),
            lanes: vec![Some(0.5), None],
            ..Snapshot::default()
        }
    }

    #[test]
    fn progress_tells_pace_size_and_time_left() {
        assert_eq!(line(&halfway()), "500/1000 frames, 50.0 fps, 2.00x, 2.5 MB, 10.0 s left");
        assert_eq!(lanes(&halfway()), "[=====     ] [   idle   ]");
    }

    #[test]
    fn a_guess_that_was_too_low_is_not_shown_as_less_than_done() {
        let now = Snapshot { total: Some(400), ..halfway() };
        assert!(line(&now).starts_with("500/500 frames, 50.0 fps") && now.left().is_none());
    }
}
