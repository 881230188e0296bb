//! Figures as people read them.

use std::time::Duration;

use super::{Machine, Snapshot, Summary};

/// One line of progress.
pub(super) fn line(now: &Snapshot) -> String {
    let frames = match now.total {
        Some(total) => format!("{}/{} frames", now.frames, total.max(now.frames)),
        None => format!("{} frames", now.frames),
    };
    let left = now.left().map_or_else(String::new, |l| format!(", {} left", clock(l)));
    let pass = now.pass.map_or_else(String::new, |pass| format!("pass {pass}: "));
    format!("{pass}{frames}, {:.1} fps, {:.2}x, {}{left}", now.fps(), now.speed(), size(now.bytes),)
}

/// Behind that line, where machines elsewhere have no rows of their own.
pub(super) fn aside(now: &Snapshot) -> String {
    let gone = now.machines.iter().filter(|machine| is_gone(machine)).count();
    match now.machines.len() {
        0 => String::new(),
        1..=4 => now
            .machines
            .iter()
            .map(|m| if is_gone(m) { format!("; {} gone", m.name) } else { format!("; {} {:.1} fps", m.name, m.fps()) })
            .collect(),
        many => format!("; {many} workers elsewhere, {gone} gone"),
    }
}

/// What machines elsewhere do, a row each, and one for those that have no row.
pub(super) fn machines(all: &[Machine], rows: usize) -> impl Iterator<Item = String> {
    let shown = if all.len() > rows { rows.saturating_sub(1) } else { rows };
    let rest = all.get(shown..).filter(|rest| !rest.is_empty()).map(|rest| {
        let here = rest.iter().filter(|machine| machine.slots > 0).count() as u64;
        let (frames, chunks) = rest.iter().fold((0, 0), |(f, c), machine| (f + machine.frames, c + machine.chunks));
        format!("{} more, {here} there: {}, {}", rest.len(), counted(frames, "frame"), counted(chunks, "chunk"))
    });
    all.iter().take(shown).map(machine).chain(rest)
}

/// One that takes no more may still be at work.
fn is_gone(m: &Machine) -> bool {
    m.slots == 0 && m.at_work == 0
}

fn machine(m: &Machine) -> String {
    let state = match (m.slots, m.times_lost) {
        (0, _) if m.at_work > 0 => format!("{} at work, takes no more", m.at_work),
        (0, 0) if m.chunks > 0 => "has left".to_owned(),
        (0, 0) => "not used".to_owned(),
        (0, 1) => "lost".to_owned(),
        (0, many) => format!("lost {many} times"),
        (slots, 0) => format!("{} of {slots} at work", m.at_work.min(slots)),
        (slots, 1) => format!("{} of {slots} at work, was lost once", m.at_work.min(slots)),
        (slots, many) => format!("{} of {slots} at work, was lost {many} times", m.at_work.min(slots)),
    };
    format!("{}, {state}", done_by(m))
}

/// What a machine elsewhere did, when all is over.
pub(super) fn share(m: &Machine) -> String {
    match m.times_lost {
        0 => done_by(m),
        1 => format!("{}, lost once", done_by(m)),
        many => format!("{}, lost {many} times", done_by(m)),
    }
}

fn done_by(m: &Machine) -> String {
    let (frames, chunks) = (counted(m.frames, "frame"), counted(m.chunks, "chunk"));
    format!("worker {}: {frames}, {:.1} fps, {chunks}", m.name, m.fps())
}

/// What the lanes do, in one row: a bar for each where the width has room, else a figure, else how many are at work.
pub(super) fn lanes(now: &Snapshot, width: usize) -> String {
    let count = now.lanes.len().max(1);
    // Each bar has two brackets, and a space after it.
    let cells = ((width + 1) / count).saturating_sub(3).min(10);
    if cells >= 3 {
        return now.lanes.iter().map(|share| bar(*share, cells)).collect::<Vec<_>>().join(" ");
    }
    let busy = now.lanes.iter().filter(|share| share.is_some()).count();
    let counted = format!("{busy} of {count} workers busy");
    let figure = |share: &Option<f64>| match share {
        None => '-',
        Some(share) => char::from_digit((share.clamp(0.0, 0.99) * 10.0) as u32, 10).unwrap_or('-'),
    };
    let figures: String = now.lanes.iter().map(figure).collect();
    if counted.len() + 2 + count <= width { format!("{counted} [{figures}]") } else { counted }
}

fn bar(share: Option<f64>, cells: usize) -> String {
    let Some(share) = share else {
        return if cells < 4 { format!("[{:^cells$}]", "-") } else { format!("[{:^cells$}]", "idle") };
    };
    let full = ((share.clamp(0.0, 1.0) * cells as f64).round() as usize).min(cells);
    format!("[{}{}]", "=".repeat(full), " ".repeat(cells - full))
}

/// `1 chunk`, `2 chunks`.
pub(crate) fn counted(n: u64, what: &str) -> String {
    if n == 1 { format!("{n} {what}") } else { format!("{n} {what}s") }
}

/// The last word.
pub(super) fn summary(s: &Summary) -> String {
    let seconds = s.elapsed.as_secs_f64().max(1e-9);
    let video = s.duration as f64 / 1e9;
    let length = s.end as f64 / 1e9;
    let rate = if length > 0.0 { s.size as f64 * 8.0 / length / 1000.0 } else { 0.0 };
    let busy = s
        .busy
        .map_or_else(String::new, |(share, n)| format!(", {} busy {:.0}%", counted(n.into(), "worker"), share * 100.0));
    format!(
        "{}: {} in {} ({:.1} fps, {:.2}x), {}, {rate:.0} kbit/s, {}{busy}",
        s.output,
        counted(s.frames, "frame"),
        clock(s.elapsed),
        s.frames as f64 / seconds,
        video / seconds,
        size(s.size),
        counted(s.chunks, "chunk"),
    )
}

/// What each encoder that had a chunk did, one a line.
pub(super) fn encoders(s: &Summary) -> impl Iterator<Item = String> {
    let elapsed = s.elapsed.as_secs_f64();
    (1..).zip(&s.lanes).filter(|(_, lane)| lane.chunks > 0).map(move |(number, lane)| {
        let chunks = counted(lane.chunks, "chunk");
        format!("encoder {number}: {chunks}, busy {:.2} s of {elapsed:.2} s", lane.busy.as_secs_f64())
    })
}

/// `1:02:03`, `2:03` or `3.4 s`.
pub(crate) fn clock(d: Duration) -> String {
    let s = d.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, _) => format!("{:.1} s", d.as_secs_f64()),
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// In kB, MB, GB of a thousand each.
pub(crate) fn size(bytes: u64) -> String {
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
        assert_eq!(lanes(&halfway(), 79), "[=====     ] [   idle   ]");
    }

    #[test]
    fn the_lanes_keep_to_one_row_however_many_there_are() {
        let now = |count: usize| Snapshot { lanes: [Some(0.5), None].repeat(count / 2), ..halfway() };
        for count in [2, 4, 8, 16, 64, 256, 1024] {
            for width in [20, 39, 79, 119] {
                let row = lanes(&now(count), width);
                assert!(row.chars().count() <= width.max(26) && !row.contains('\n'), "{count} in {width}: {row}");
            }
        }
        assert_eq!(lanes(&now(8), 79), "[====   ] [ idle  ] ".repeat(4).trim_end());
        assert_eq!(lanes(&now(64), 119), format!("32 of 64 workers busy [{}]", "5-".repeat(32)));
        assert_eq!(lanes(&now(64), 79), "32 of 64 workers busy");
    }

    #[test]
    fn machines_elsewhere_are_told_by_name() {
        let machine = |name: &str, slots, times_lost| Machine {
            name: name.into(),
            slots,
            at_work: if slots > 0 { 2 } else { 0 },
            frames: 50,
            chunks: 1,
            time: Duration::from_secs(2),
            times_lost,
        };
        let all = [machine("ant", 4, 0), machine("bee", 0, 1), machine("cow", 1, 2)];
        let rows: Vec<_> = machines(&all, 3).collect();
        let told = [
            "worker ant: 50 frames, 25.0 fps, 1 chunk, 2 of 4 at work",
            "worker bee: 50 frames, 25.0 fps, 1 chunk, lost",
            "worker cow: 50 frames, 25.0 fps, 1 chunk, 1 of 1 at work, was lost 2 times",
        ];
        assert_eq!(rows, told);
        let leaving = Machine { at_work: 1, ..machine("dog", 0, 0) };
        let left = [leaving, machine("dog", 0, 0)];
        assert!(
            machines(&left, 2)
                .map(|row| row.rsplit_once(", ").map(|(_, state)| state.to_owned()))
                .eq([Some("takes no more".to_owned()), Some("has left".to_owned()),])
        );
        assert_eq!(left.map(|machine| is_gone(&machine)), [false, true]);
        let rows: Vec<_> = machines(&all, 2).collect();
        assert_eq!(rows[1..], ["2 more, 1 there: 100 frames, 2 chunks"]);
        assert_eq!(share(&all[2]), "worker cow: 50 frames, 25.0 fps, 1 chunk, lost 2 times");
        let now = Snapshot { machines: all.into(), ..halfway() };
        assert_eq!(aside(&now), "; ant 25.0 fps; bee gone; cow 25.0 fps");
        let now = Snapshot { machines: [now.machines.clone(), now.machines].concat(), ..halfway() };
        assert_eq!((aside(&now).as_str(), aside(&halfway()).as_str()), ("; 6 workers elsewhere, 2 gone", ""));
    }

    #[test]
    fn one_is_told_as_one() {
        let one = Summary { frames: 1, chunks: 1, busy: Some((0.9, 1)), output: "o.mp4".into(), ..Summary::default() };
        let told = summary(&one);
        assert!(told.contains("1 frame in") && told.ends_with("1 chunk, 1 worker busy 90%"), "{told}");
    }

    #[test]
    fn each_encoder_is_told_with_the_time_it_had_chunks() {
        let lane = |chunks, ms| super::super::Lane { chunks, busy: Duration::from_millis(ms) };
        let lanes = vec![lane(3, 950), lane(0, 0), lane(1, 450)];
        let done = Summary { elapsed: Duration::from_secs(1), lanes, ..Summary::default() };
        let lines: Vec<_> = encoders(&done).collect();
        let told = ["encoder 1: 3 chunks, busy 0.95 s of 1.00 s", "encoder 3: 1 chunk, busy 0.45 s of 1.00 s"];
        assert_eq!(lines, told);
    }

    #[test]
    fn a_guess_that_was_too_low_is_not_shown_as_less_than_done() {
        let now = Snapshot { total: Some(400), ..halfway() };
        assert!(line(&now).starts_with("500/500 frames, 50.0 fps") && now.left().is_none());
    }
}
