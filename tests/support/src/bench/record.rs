//! What was measured, and the file it is kept in: one line a run, so that a contest can be measured again by itself and
//! the report made of all.

use std::path::Path;

use super::check::Quality;
use super::contest;
use super::measure::Usage;

/// A run of one way in one round.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) round: usize,
    pub(super) way: String,
    pub(super) usage: Usage,
    /// Of an output, where there is one.
    pub(super) quality: Option<Quality>,
    /// The seconds that each of divien's encoders had a chunk.
    pub(super) busy: Vec<f64>,
}

/// A contest's runs, way by way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) machine: String,
    pub(super) cores: usize,
    pub(super) runs: Vec<Run>,
}

/// All contests measured so far; none where there is no file yet.
pub(super) fn read(path: &Path) -> Result<Vec<Measured>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => parsed(&text).map_err(|line| format!("{}: this cannot be read: {line}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The contest in place of what was measured of it before.
pub(super) fn replace(all: &mut Vec<Measured>, measured: Measured) {
    all.retain(|other| other.id != measured.id);
    all.push(measured);
    all.sort_by_key(|measured| contest::place(&measured.id));
}

pub(super) fn text(all: &[Measured]) -> String {
    let mut lines = vec![
        "# contest, id, title, machine, cores".to_owned(),
        "# run, round, way, wall s, CPU s, peak bytes, bytes, PSNR dB, busy s of each worker".to_owned(),
    ];
    for measured in all {
        let Measured { id, title, machine, cores, runs } = measured;
        lines.push(format!("contest\t{id}\t{title}\t{machine}\t{cores}"));
        lines.extend(runs.iter().map(line));
    }
    lines.join("\n") + "\n"
}

fn line(run: &Run) -> String {
    let Run { round, way, usage, quality, busy } = run;
    let Usage { seconds, cpu, peak } = usage;
    let quality = quality.map_or("\t".into(), |quality| format!("{}\t{:.3}", quality.size, quality.psnr));
    let busy: Vec<_> = busy.iter().map(|seconds| format!("{seconds:.2}")).collect();
    format!("run\t{round}\t{way}\t{seconds:.3}\t{cpu:.3}\t{peak}\t{quality}\t{}", busy.join(" "))
}

/// Of what cannot be read, the line.
fn parsed(text: &str) -> Result<Vec<Measured>, String> {
    let mut all: Vec<Measured> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let taken = match *line.split('\t').collect::<Vec<_>>() {
            ["contest", id, title, machine, cores] => cores.parse().ok().map(|cores| {
                let (id, title, machine) = (id.to_owned(), title.to_owned(), machine.to_owned());
                all.push(Measured { id, title, machine, cores, runs: Vec::new() });
            }),
            ["run", ref fields @ ..] => {
                all.last_mut().zip(parsed_run(fields)).map(|(measured, run)| measured.runs.push(run))
            }
            _ => None,
        };
        taken.ok_or(line)?;
    }
    Ok(all)
}

fn parsed_run(fields: &[&str]) -> Option<Run> {
    let [round, way, seconds, cpu, peak, size, psnr, busy] = *fields else { return None };
    let usage = Usage { seconds: seconds.parse().ok()?, cpu: cpu.parse().ok()?, peak: peak.parse().ok()? };
    let quality = match size {
        "" => None,
        size => Some(Quality { size: size.parse().ok()?, psnr: psnr.parse().ok()? }),
    };
    let busy = busy.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Run { round: round.parse().ok()?, way: way.to_owned(), usage, quality, busy })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three ways in rounds of these wall times, on two cores, and a thread that takes 20 s.
    pub(in crate::bench) fn measured(id: &str, times: &[(&str, &[f64])]) -> Measured {
        let quality = Some(Quality { size: 2_500_000, psnr: 41.25 });
        let run = |round, way: &str, seconds, cpu, quality, busy| Run {
            round,
            way: way.into(),
            usage: Usage { seconds, cpu, peak: 123_000_000 },
            quality,
            busy,
        };
        let rounds = times[0].1.len();
        let mut runs: Vec<_> = (0..rounds).map(|round| run(round, "one thread", 20.5, 20.0, None, vec![])).collect();
        for (way, seconds) in times {
            let busy = if way.starts_with("divien") { vec![9.5, 8.25] } else { vec![] };
            runs.extend((0..).zip(*seconds).map(|(round, s)| run(round, way, *s, 21.0, quality, busy.clone())));
        }
        let (title, machine) = (format!("{id}.mp4, x264"), "a CPU, 2 cores".into());
        Measured { id: id.into(), title, machine, cores: 2, runs }
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        let times: &[(&str, &[f64])] = &[("ffmpeg", &[13.0, 12.5]), ("divien", &[11.0, 11.25])];
        let mut infinite = measured("sintel-vp9", times);
        infinite.runs[2].quality = Some(Quality { size: 1, psnr: f64::INFINITY });
        let all = vec![measured("traffic-x264", times), infinite];
        assert_eq!(parsed(&text(&all)).unwrap(), all);
        assert_eq!(parsed("contest\tx").unwrap_err(), "contest\tx");
        assert_eq!(parsed("run\t0\tffmpeg\t1\t1\t1\t\t\t").unwrap_err(), "run\t0\tffmpeg\t1\t1\t1\t\t\t");
    }

    #[test]
    fn a_contest_measured_again_takes_its_old_place() {
        let times: &[(&str, &[f64])] = &[("ffmpeg", &[1.0])];
        let mut all = Vec::new();
        for id in ["x264", "sintel-vp9", "traffic-x264", "sintel-vp9"] {
            replace(&mut all, measured(id, times));
        }
        let ids: Vec<_> = all.iter().map(|measured| measured.id.as_str()).collect();
        assert_eq!(ids, ["traffic-x264", "sintel-vp9", "x264"]);
    }
}
