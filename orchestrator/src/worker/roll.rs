//! `divien workers`: what workers are, and whether they encode as this machine does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use gstdivien::net::addresses;
use gstdivien::remote::roll::{Absent, Present, Roll};
use tokio::task::JoinSet;

use super::{processes, token};
use crate::cli::{LogLevel, RollArgs};
use crate::error::Error;
use crate::open_files;
use crate::report::{self, counted, size};
use crate::signals::stand_full_files;

/// Asks all of them at once, and tells what each says, in the order they were named.
///
/// # Errors
/// One of them cannot be reached, turns this machine away, or would not encode as it does. What the others say is told
/// all the same.
pub fn roll(args: &RollArgs) -> Result<(), Error> {
    open_files::allow()?;
    let token = token(args.token_file.as_deref())?;
    let fault = |what: String| Error::Fault { what };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| fault(format!("no runtime: {e}")))?;
    {
        let _inside = runtime.enter();
        stand_full_files().map_err(|e| fault(format!("cannot listen for signals: {e}")))?;
    }
    gst::init().map_err(|e| fault(format!("GStreamer does not start: {e}")))?;
    let answers = runtime.block_on(async {
        let roll = Arc::new(Roll::tried_in(Some(processes(None))));
        let (mut calls, mut answers) = (JoinSet::new(), BTreeMap::new());
        for (at, host) in args.workers.0.iter().enumerate() {
            match addresses(host).await {
                Ok(found) => {
                    for (nth, address) in found.into_iter().enumerate() {
                        let (roll, token) = (roll.clone(), token.clone());
                        calls.spawn(async move { ((at, nth), (address, roll.call(address, &token).await)) });
                    }
                }
                Err(error) => drop(answers.insert((at, 0), Err(Error::from(error)))),
            }
        }
        while let Some(answer) = calls.join_next().await {
            let (place, (address, answer)) = answer.map_err(|e| fault(e.to_string()))?;
            answers.insert(place, answer.map(|present| (address, present)).map_err(Error::from));
        }
        Ok::<_, Error>(answers)
    })?;
    let (mut failed, mut others, mut told_of) = (None, 0, BTreeMap::new());
    // A name is as good as the best of its addresses.
    let met: BTreeSet<usize> = answers.iter().filter(|(_, answer)| answer.is_ok()).map(|((at, _), _)| *at).collect();
    for ((at, _), answer) in answers {
        match answer {
            Err(_) if met.contains(&at) => {}
            Ok((address, present)) => {
                match told_of.insert(present.instance, at) {
                    None => {}
                    // Another address of the same name.
                    Some(before) if before == at => continue,
                    Some(_) => {
                        let host = &args.workers.0[at];
                        let _ = writeln!(std::io::stdout(), "{host} is {} once more", present.name);
                        continue;
                    }
                }
                others += u64::from(present.encoders.iter().any(|(_, refusal)| refusal.is_some()));
                // A reader that has seen enough (`| head`) is no failure.
                let _ = std::io::stdout().write_all(told(address, &present).as_bytes());
            }
            Err(error) => {
                if let Some(before) = failed.replace(error) {
                    report::failure(LogLevel::Info, &before);
                }
            }
        }
    }
    match (failed, others) {
        (Some(error), _) => Err(error),
        (None, 0) => Ok(()),
        (None, others) => Err(Error::Differ { workers: counted(others, "worker") }),
    }
}

impl From<Absent> for Error {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Net(error) => Self::Net(error),
            other => Self::Fault { what: other.to_string() },
        }
    }
}

fn told(address: SocketAddr, present: &Present) -> String {
    let Present { name, slots, cores, memory, version, round_trip, encoders, .. } = present;
    let away = round_trip.as_secs_f64() * 1000.0;
    let mut text = format!(
        "{name} ({address}): {} at once on {}, {} for what waits, {away:.1} ms away, divien {version}\n",
        counted((*slots).into(), "chunk"),
        counted((*cores).into(), "core"),
        size(*memory),
    );
    let alike: Vec<&str> =
        encoders.iter().filter(|(_, refusal)| refusal.is_none()).map(|(name, _)| name.as_str()).collect();
    if !alike.is_empty() {
        text += &format!("    encodes as this machine does: {}\n", alike.join(", "));
    }
    for (name, refusal) in encoders {
        if let Some(refusal) = refusal {
            text += &format!("    {name}: {refusal}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gstdivien::remote::site::Refusal;

    use super::*;

    #[test]
    fn a_worker_is_told_in_a_line_and_its_encoders_below() {
        let other = Refusal::Versions { theirs: "x265 of 3.4".into(), own: "x265 of 3.5".into() };
        let present = Present {
            instance: [0; 16],
            name: "attic".into(),
            slots: 8,
            cores: 1,
            memory: 2_000_000_000,
            version: "0.1.0".into(),
            round_trip: Duration::from_micros(420),
            encoders: vec![("x264enc".into(), None), ("x265enc".into(), Some(other)), ("vp8enc".into(), None)],
        };
        assert_eq!(
            told("10.0.0.5:7171".parse().unwrap(), &present),
            "attic (10.0.0.5:7171): 8 chunks at once on 1 core, 2.00 GB for what waits, 0.4 ms away, divien 0.1.0\n    \
             encodes as this machine does: x264enc, vp8enc\n    \
             x265enc: it would write other bytes: it has x265 of 3.4, and this machine x265 of 3.5\n"
        );
    }
}
