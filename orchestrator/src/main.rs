//! `divien`: encode a video with many encoders at once.
fn main() {}
