//! How many files the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Error;

/// So many let some encoders run; with fewer, GStreamer's own pipes and sockets cannot be had.
const FEWEST: u64 = 128;
/// Nobody needs more, and some programs look at each that might be open.
const MOST: u64 = 1 << 16;

/// Takes what the system allows: each encoder has a process, a pipeline, and files for what waits.
///
/// # Errors
/// It is too little.
pub(crate) fn allow() -> Result<(), Error> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.map_or(MOST, |most| most.min(MOST));
    if current.is_some_and(|current| current < most) {
        // Without it there are as many as before.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    }
    match getrlimit(Resource::Nofile).current {
        Some(few) if few < FEWEST => Err(Error::Fault {
            what: format!(
                "only {few} files may be open at once, and {FEWEST} is the least that will do: whoever set the limit (ulimit -Hn, \
                 LimitNOFILE= of a service) has to raise it"
            ),
        }),
        _ => Ok(()),
    }
}
