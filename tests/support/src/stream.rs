//! What stands in an elementary stream.

use std::path::Path;
use std::process::Command;

use crate::run::run;

/// How often a run of bytes stands in a file.
#[track_caller]
pub fn occurrences(path: &Path, needle: &[u8]) -> usize {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes.windows(needle.len()).filter(|window| *window == needle).count()
}

/// Every value of a syntax element of the first video stream's headers (`idr_pic_id`), in order of the stream.
#[track_caller]
pub fn header_values(path: &Path, element: &str) -> Vec<i64> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "trace", "-i"]).arg(path);
    let outcome = run(command.args(["-map", "0:v:0", "-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]));
    let outcome = outcome.success();
    let lines = outcome.stderr.lines().filter(|line| line.contains("[trace_headers @"));
    lines.filter_map(|line| value_of(line, element)).collect()
}

/// `[trace_headers @ 0x55] 33          idr_pic_id          010 = 1`
fn value_of(line: &str, element: &str) -> Option<i64> {
    let (declared, value) = line.rsplit_once('=')?;
    let named = declared.split_whitespace().any(|word| word == element);
    named.then(|| value.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clip;

    #[test]
    fn a_header_is_read_in_order() {
        let clip = Clip::elementary(31).path();
        let types = header_values(&clip, "nal_unit_type");
        assert_eq!(types.iter().filter(|kind| **kind == 5).count(), 2, "key-int-max is 30: {types:?}");
        assert_eq!(occurrences(&clip, b"x264 - core"), 1);
    }
}
