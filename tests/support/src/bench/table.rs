//! The report as Markdown: all figures for `docs/`, and the main ones for the README.

use std::collections::BTreeSet;

use super::figures::{Figures, Spread};
use super::record::Measured;
use super::way::{DIVIEN, FFMPEG};

/// Between these lines of the README its part of the report stands.
const BEGIN: &str = "<!-- bench: written by make bench RECORD=1 -->";
const END: &str = "<!-- end of bench -->";

const HEAD: &str = "\
# Against the others

Written by `make bench RECORD=1`; every single run is in [bench.tsv](bench.tsv).

![Wall time against ffmpeg's, by contest](bench.svg)

- Every way ran once a round, in an order that changes from round to round. Everyone read the same file, without sound,
  and every output was first compared with it: frames, times, pictures.
- *Of ffmpeg's* is the wall time against that of ffmpeg in the same round: the median of the rounds, the least and the
  greatest. Wall time, CPU time, size and PSNR are medians, memory is the most that any round took.
- *Efficiency* is the share of the cores' time that the work itself takes: the CPU time of one process that decodes and
  encodes the same frames with one thread each and writes nothing, in the same round, over wall time × cores. *Idle* is
  the share in which the cores did nothing for the way; the rest went into more than the work, or into the same work
  done slower because the cores share memory and caches.
- CPU time is that of all processes of a way, memory that of the largest of them: av1an starts several.
- av1an cut chunks of the same length as divien, with equal settings of the encoder, and with those of its own for
  chunk method (lsmash, ffms2, bestsource, hybrid), workers and threads that were fastest beforehand; it makes its index of
  the file in each run.
";

/// The page with all figures.
pub(super) fn page(all: &[Measured]) -> String {
    let mut text = HEAD.to_owned();
    for measured in all {
        text += &format!("\n## {}\n\n{}", measured.title, section(measured));
    }
    text
}

/// One contest's figures.
pub(super) fn section(measured: &Measured) -> String {
    let figures = measured.figures();
    let bare = measured.baseline().map_or_else(String::new, |s| format!("; the work itself: {s:.1} s of CPU time"));
    let mut text = format!("{}, {}{bare}.\n\n", measured.machine, rounds(measured));
    text += "| | wall time, s | of ffmpeg's | efficiency | idle | CPU time, s | memory, MB | size, MB | PSNR, dB |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    text.extend(figures.iter().map(row));
    let others: Vec<_> = against_others(measured, &figures);
    if !others.is_empty() {
        text += &format!("\nWall time of divien's against {}.\n", others.join("; "));
    }
    let busy: Vec<_> = figures.iter().filter_map(busy).collect();
    if !busy.is_empty() {
        text += &format!("\nSeconds that each encoder had a chunk, in the round of the median: {}.\n", busy.join("; "));
    }
    text
}

fn row(figures: &Figures) -> String {
    let Figures { way, seconds, ratio, efficiency, idle, cpu, peak, size, psnr, .. } = figures;
    let (ratio, efficiency) = (spread(way, *ratio), efficiency.median);
    let (peak, size) = (*peak as f64 / 1e6, size / 1e6);
    format!(
        "| {way} | {seconds:.1} | {ratio} | {efficiency:.2} | {idle:.2} | {cpu:.1} | {peak:.0} | {size:.2} | {psnr:.2} |\n"
    )
}

fn spread(way: &str, Spread { least, median, greatest }: Spread) -> String {
    if way == FFMPEG { "1".into() } else { format!("{median:.2} ({least:.2} to {greatest:.2})") }
}

/// divien against those that are neither divien nor ffmpeg.
fn against_others(measured: &Measured, figures: &[Figures]) -> Vec<String> {
    let (ours, others): (Vec<_>, Vec<_>) = figures.iter().partition(|figures| figures.way.starts_with(DIVIEN));
    let others = others.into_iter().filter(|figures| figures.way != FFMPEG);
    let compared = |other: &Figures| {
        let ratio =
            |own: &&Figures| Some(format!("{} {}", own.way, spread(&own.way, measured.ratio(&own.way, &other.way)?)));
        format!("{}'s: {}", other.way, ours.iter().filter_map(ratio).collect::<Vec<_>>().join(", "))
    };
    others.map(compared).collect()
}

fn busy(figures: &Figures) -> Option<String> {
    let (wall, busy) = figures.busy.as_ref()?;
    let busy: Vec<_> = busy.iter().map(|seconds| format!("{seconds:.1}")).collect();
    Some(format!("{} {} of {wall:.1}", figures.way, busy.join(", ")))
}

fn rounds(measured: &Measured) -> String {
    match measured.rounds() {
        1 => "1 round".into(),
        rounds => format!("{rounds} rounds"),
    }
}

/// The README with its part of the report brought up to date.
pub(super) fn shown(readme: &str, all: &[Measured]) -> Result<String, String> {
    let missing = || format!("the lines '{BEGIN}' and '{END}' are not there");
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n\n{}\n{END}{after}", main_rows(all)))
}

/// A row a contest, a column a way.
fn main_rows(all: &[Measured]) -> String {
    let figures: Vec<_> = all.iter().map(|measured| (measured, measured.figures())).collect();
    let mut ways: Vec<&str> = Vec::new();
    for way in figures.iter().flat_map(|(_, figures)| figures).map(|figures| figures.way.as_str()) {
        if way != FFMPEG && !ways.contains(&way) {
            ways.push(way);
        }
    }
    // divien is what they are all compared with, so it stands last.
    ways.sort_by_key(|way| way.starts_with(DIVIEN));
    let mut text = "![Wall time against ffmpeg's, by contest](docs/bench.svg)\n\n".to_owned();
    let mut machines: Vec<_> = all.iter().map(|m| format!("{}, {}", m.machine, rounds(m))).collect();
    let mut seen = BTreeSet::new();
    machines.retain(|machine| seen.insert(machine.clone()));
    text += &format!(
        "Wall time against ffmpeg's in the same round, the median with the least and the greatest; efficiency is the \
         share of\nthe cores' time that the work itself takes. Measured on {}.\nAll figures, and how they were come by: \
         [docs/bench.md](docs/bench.md).\n\n",
        machines.join("; "),
    );
    text += &format!("| | ffmpeg, s | {} | efficiency |\n", ways.join(" | "));
    text += &format!("| --- | --- | {}--- |\n", "--- | ".repeat(ways.len()));
    for (measured, figures) in &figures {
        let of = |way: &str| figures.iter().find(|figures| figures.way == way);
        let cell = |way: &&str| of(way).map_or_else(String::new, |figures| spread(way, figures.ratio));
        let cells: Vec<_> = ways.iter().map(cell).collect();
        let number = |value: Option<f64>, digits| value.map_or_else(String::new, |value| format!("{value:.digits$}"));
        let seconds = number(of(FFMPEG).map(|figures| figures.seconds), 1);
        let efficiency = number(of(DIVIEN).map(|figures| figures.efficiency.median), 2);
        text += &format!("| {} | {seconds} | {} | {efficiency} |\n", measured.title, cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::measured;
    use super::*;

    fn contests() -> [Measured; 2] {
        let launch: (&str, &[f64]) = ("x264enc in gst-launch-1.0", &[10.0, 20.0]);
        [
            measured(
                "one",
                &[("ffmpeg", &[10.0, 20.0]), launch, ("divien", &[9.0, 17.0]), ("divien -w 2", &[9.4, 20.0])],
            ),
            measured("two", &[("ffmpeg", &[10.0]), ("divien", &[8.0]), ("divien -w 2", &[8.5]), ("av1an", &[10.0])]),
        ]
    }

    #[test]
    fn a_section_has_all_figures_of_all_ways() {
        let [one, _] = contests();
        let section = section(&one);
        assert!(section.starts_with("a CPU, 2 cores, 2 rounds; the work itself: 20.0 s of CPU time.\n"), "{section}");
        for line in [
            "| ffmpeg | 15.0 | 1 | 0.75 | 0.21 | 21.0 | 123 | 2.50 | 41.25 |",
            "| divien | 13.0 | 0.88 (0.85 to 0.90) | 0.85 | 0.11 | 21.0 | 123 | 2.50 | 41.25 |",
            "Wall time of divien's against x264enc in gst-launch-1.0's: divien 0.88 (0.85 to 0.90), \
             divien -w 2 0.97 (0.94 to 1.00).",
            "Seconds that each encoder had a chunk, in the round of the median: divien 9.5, 8.2 of 9.0; \
             divien -w 2 9.5, 8.2 of 9.4.",
        ] {
            assert!(section.lines().any(|other| other == line), "{line}\n{section}");
        }
    }

    #[test]
    fn the_readme_keeps_what_stands_around_its_part_of_the_report() {
        let readme = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let shown = shown(&readme, &contests()).unwrap();
        assert!(
            shown.starts_with(&format!("before\n{BEGIN}\n\n![")) && shown.ends_with(&format!("|\n\n{END}\nafter\n"))
        );
        assert!(!shown.contains("old"), "{shown}");
        for line in [
            "| | ffmpeg, s | x264enc in gst-launch-1.0 | av1an | divien | divien -w 2 | efficiency |",
            "| one.mp4, x264 | 15.0 | 1.00 (1.00 to 1.00) |  | 0.88 (0.85 to 0.90) | 0.97 (0.94 to 1.00) | 0.85 |",
            "| two.mp4, x264 | 10.0 |  | 1.00 (1.00 to 1.00) | 0.80 (0.80 to 0.80) | 0.85 (0.85 to 0.85) | 1.25 |",
        ] {
            assert!(shown.lines().any(|other| other == line), "{line}\n{shown}");
        }
        assert_eq!(super::shown(&shown, &contests()).unwrap(), shown);
        assert!(super::shown("before\nafter\n", &contests()).is_err());
    }
}
