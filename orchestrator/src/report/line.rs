//! The line on a terminal that changes while a run goes on.

use console::{Term, truncate_str};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Snapshot, text};

/// So many machines elsewhere have a row each.
const MOST_ROWS: usize = 8;

/// The line, under it a bar for each lane, and a row for each machine elsewhere.
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
        // The last column stays free: some terminals wrap when it is written to.
        let width = usize::from(Term::stderr().size().1).saturating_sub(1);
        let line = text::line(now);
        let mut lines = truncate_str(&line, width, "").into_owned();
        if !now.lanes.is_empty() {
            lines.push('\n');
            lines.push_str(&truncate_str(&text::lanes(now, width), width, ""));
        }
        for row in text::machines(&now.machines, MOST_ROWS) {
            lines.push('\n');
            lines.push_str(&truncate_str(&row, width, ""));
        }
        self.0.set_message(lines);
        self.0.tick();
    }

    pub(super) fn above(&self, text: &str) {
        self.0.println(text);
    }

    pub(super) fn clear(self) {
        self.0.finish_and_clear();
    }
}
