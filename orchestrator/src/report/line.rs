//! The line on a terminal that changes while a run goes on.

use indicatif::{ProgressBar, ProgressStyle};

use super::{Snapshot, text};

/// The line, and under it a bar for each lane.
pub(super) struct Line(ProgressBar);

impl Line {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn show(&self, now: &Snapshot) {
        let lanes = if now.lanes.is_empty() { String::new() } else { format!("\n{}", text::lanes(now)) };
        self.0.set_message(format!("{}{lanes}", text::line(now)));
        self.0.tick();
    }

    pub(super) fn above(&self, text: &str) {
        self.0.println(text);
    }

    pub(super) fn clear(self) {
        self.0.finish_and_clear();
    }
}
