use std::ffi::OsString;
use std::time::Duration;

use proptest::prelude::*;

use super::table::{Kind, OPTIONS};
use super::*;
use crate::filter::Filter;

fn parse_line(line: &str) -> Result<Command, UsageError> {
    parse(line.split(' ').filter(|a| !a.is_empty()).map(OsString::from))
}

fn job(line: &str) -> Job {
    match parse_line(line) {
        Ok(Command::Encode(job)) => *job,
        other => panic!("{line}: {other:?}"),
    }
}

fn error(line: &str) -> String {
    match parse_line(line) {
        Err(error) => error.to_string(),
        Ok(command) => panic!("{line}: {command:?}"),
    }
}

#[test]
fn a_bare_line_is_x264_with_everything_kept() {
    let job = job("-i in.mkv out.mp4");
    assert_eq!(job.input, Input::File("in.mkv".into()));
    assert_eq!(job.output, Output::File("out.mp4".into()));
    assert_eq!(job.video, VideoArgs { encoder: "libx264".into(), options: vec![], pix_fmt: None });
    assert_eq!(job.audio, AudioArgs::default());
    assert_eq!((job.chunk_frames, job.workers, job.threads, job.subtitles), (None, None, None, true));
    assert_eq!(job.cut, Cut::Keyframe);
    assert_eq!(job.overwrite, Overwrite::Ask);
}

#[test]
fn no_sound_is_no_sound_whatever_else_is_said_of_it() {
    for line in ["-i a -an -c:a aac b.mp4", "-i a -c:a aac -an b.mp4"] {
        assert_eq!(job(line).audio.codec, AudioCodec::None, "{line}");
    }
}

#[test]
fn every_option_reaches_the_job() {
    let job = job(
        "-y -w 3 -hide_banner -loglevel repeat+level+error -nostats -progress pipe:2 -ss 1:02 -i - -threads 2 -bsize 100 -cut fixed -c:v libx265 -crf 22.5 \
         -preset slow -pix_fmt yuv420p10le -x265-params rd=4 -c:a aac -b:a 128k -ac 2 -ar 44100 -sn -t 90s -frames:v 10 -movflags +faststart \
         -metadata title=a -metadata artist=b=c -f mp4 -",
    );
    assert_eq!((job.input, job.output), (Input::Stdin, Output::Stdout));
    assert_eq!(job.overwrite, Overwrite::Always);
    assert_eq!((job.workers, job.threads, job.chunk_frames), (Some(3), Some(2), Some(100)));
    assert_eq!(job.cut, Cut::Fixed);
    assert_eq!(job.video.encoder, "libx265");
    let options: Vec<(&str, &str)> = job.video.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(options, [("crf", "22.5"), ("preset", "slow"), ("x265-params", "rd=4")]);
    assert_eq!(job.video.pix_fmt.as_deref(), Some("yuv420p10le"));
    assert_eq!(
        job.audio,
        AudioArgs {
            codec: AudioCodec::Encoder("aac".into()),
            bit_rate: Some(128_000),
            channels: Some(2),
            rate: Some(44_100)
        }
    );
    assert!(!job.subtitles && job.faststart);
    assert_eq!(job.range.start, Some(Duration::from_secs(62)));
    assert_eq!(job.range.end, Some(Duration::from_secs(62 + 90)));
    assert_eq!(job.range.frames, Some(10));
    assert_eq!(job.metadata, [("title".into(), "a".into()), ("artist".into(), "b=c".into())]);
    assert_eq!(job.format.as_deref(), Some("mp4"));
    assert_eq!(job.report.progress.as_deref(), Some("pipe:2"));
    assert_eq!((job.report.stats, job.report.level, job.report.hide_banner), (Some(false), LogLevel::Error, true));
}

#[test]
fn options_stand_in_any_order_and_the_last_of_a_name_counts() {
    let first = job("-i a -crf 20 -c:v libx264 -an out.mp4 -y");
    assert_eq!(first, job("-y -i a out.mp4 -an -vcodec libx264 -crf 30 -crf 20"));
    assert_eq!(job("-n -i a o.mp4").overwrite, Overwrite::Never);
}

#[test]
fn a_value_may_begin_with_a_dash() {
    assert_eq!(
        job("-i a -deblock -1:-1 -b-bias -10 o.mp4").video.options,
        [("deblock".into(), "-1:-1".into()), ("b-bias".into(), "-10".into())]
    );
    assert_eq!(job("-i a -metadata -c:v=-an o.mp4").metadata, [("-c:v".into(), "-an".into())]);
    assert_eq!(job("-i -odd.mkv o.mp4").input, Input::File("-odd.mkv".into()));
    assert_eq!(job("-i a -- -odd.mp4").output, Output::File("-odd.mp4".into()));
}

#[test]
fn stream_specifiers_of_the_one_video_stream_are_taken() {
    assert_eq!(job("-i a -b:v:0 2M -c:v:0 libx264 o.mp4").video.options, [("b".into(), "2M".into())]);
    assert_eq!(job("-i a -refs:v 4 o.mp4").video.options, [("refs".into(), "4".into())]);
    assert_eq!(job("-i a -crf:v 20 -c:V libx264 o.mp4").video.options, [("crf".into(), "20".into())]);
    assert_eq!(job("-i a -frames:v:0 4 o.mp4").range.frames, Some(4));
    assert!(error("-i a -refs:1 4 o.mp4").contains("unknown option '-refs:1'"));
}

#[test]
fn times_on_each_side_of_the_input_mean_what_they_mean_to_ffmpeg() {
    let seconds = Duration::from_secs;
    let cases = [
        ("-ss 5 -i a -t 10 o", Some(5), Some(15)),
        ("-i a -ss 5 -to 10 o", Some(5), Some(10)),
        ("-ss 5 -i a -to 10 o", Some(5), Some(15)),
        ("-ss 5 -to 10 -i a o", Some(5), Some(10)),
        ("-i a -to 10 o", None, Some(10)),
        ("-i a -t 3 -to 10 o", None, Some(3)),
        ("-t 7 -i a -ss 5 o", Some(5), Some(7)),
        ("-to 7 -i a -ss 5 -t 1 o", Some(5), Some(6)),
        ("-ss 5 -t 3 -i a -ss 2 o", Some(7), Some(8)),
        ("-ss 5 -i a -ss 2 -to 3 o", Some(7), Some(8)),
        ("-ss 5 -t 2 -i a -t 3 o", Some(5), Some(7)),
        ("-ss 5 -i a -ss 2 o", Some(7), None),
    ];
    for (line, start, end) in cases {
        let range = job(line).range;
        assert_eq!((range.start, range.end), (start.map(seconds), end.map(seconds)), "{line}");
    }
    assert!(error("-i a -ss 10 -to 5 o").contains("after -ss 10"));
    assert!(error("-ss 10 -to 5 -i a o").contains("after -ss 10"));
}

#[test]
fn elements_take_their_own_properties_as_options() {
    let job = job("-i a -c:v x264enc -speed-preset slow -pass qual -quantizer 20 o.mp4");
    assert_eq!(job.video.options[0], ("speed-preset".into(), "slow".into()));
    assert!(error("-i a -c:v x264enc -quantiser 20 o.mp4").contains("did you mean -quantizer?"));
}

#[test]
fn errors_say_what_is_wrong_and_what_there_is() {
    let cases = [
        ("", "no input"),
        ("-crf 20 out.mp4", "no input"),
        ("-i a -nosuch o p", "unknown option '-nosuch'"),
        ("-nosuch -i a o", "unknown option '-nosuch'"),
        ("-i a -nosuch 1 2 3", "unknown option '-nosuch'"),
        ("-i a", "no output"),
        ("-i a -crff 3 o", "unknown option '-crff': did you mean -crf?"),
        ("-i a -presets fast o", "did you mean -preset?"),
        ("-i a -cfr 3 o", "did you mean -crf?"),
        ("-i a -rcf 3 o", "did you mean -crf?"),
        ("-i a -rpeset fast o", "did you mean -preset?"),
        ("-i a -row-mt 1 o", "libx264 has no option '-row-mt'"),
        ("-i a o -crf", "'-crf' wants a value (QUALITY)"),
        ("-i", "'-i' wants a value (INPUT)"),
        ("-i a -w 0 o", "-w 0 is out of range: 1 to 1024; 0, none here, wants -workers"),
        ("-i a -w -3 o", "-w -3 is out of range: 0 to 1024"),
        ("-i a -w many o", "a whole number is wanted"),
        ("-i a -bsize 1.5 o", "a whole number is wanted"),
        ("-i a -b:a fast o", "a bit rate is wanted"),
        ("-i a -b:a 3 o", "-b:a 3 is out of range: 500 to 10000000"),
        ("-i a -t soon o", "a time is wanted"),
        ("-i a -t -5 o", "a time is wanted"),
        ("-i a -loglevel loud o", "quiet, panic"),
        ("-i a -metadata title o", "KEY=VALUE is wanted"),
        ("-i a -i b o", "'b' is a second input"),
        ("-i a o p", "'p' is a second output"),
        ("a o", "-i INPUT is missing"),
        ("-crf 20 -i a o", "'-crf' stands before -i"),
        ("-c:v libx264 -i a o", "'-c:v' stands before -i"),
        ("-h filters", "no help about 'filters'"),
    ];
    for (line, wanted) in cases {
        let told = error(line);
        assert!(told.contains(wanted), "{line}: {told}");
    }
}

#[test]
fn what_ffmpeg_has_and_divien_not_yet_is_named_so() {
    let options = [
        "-af volume=2",
        "-filter_complex x",
        "-filter:a x",
        "-map 0:v",
        "-maxrate 2M",
        "-bufsize 4M",
        "-r:a 25",
        "-aspect 4:3",
        "-itsoffset 1",
        "-stream_loop 1",
        "-shortest",
        "-vsync cfr",
        "-q:a 2",
        "-c:a:0 aac",
        "-b:a:1 64k",
        "-metadata:s:v:0 a=b",
        "-disposition:v:0 default",
        "-bsf:v x",
        "-tag:a mp4a",
        "-force_key_frames 1",
        "-movflags frag_keyframe",
        "-movflags -write_colr",
        "-fps_mode cfr",
        "-x264-stats a",
    ];
    for option in options {
        let told = error(&format!("-i a {option} o"));
        assert!(told.contains("not supported yet"), "{option}: {told}");
    }
    assert!(error("-r 25 -i a o").contains("before -i"));
    assert!(error("-i a -b:v 1M -pass 1 o").contains("one run looks at the whole file"));
}

#[test]
fn pass_2_is_an_exact_rate_and_an_elements_pass_is_its_own() {
    assert!(job("-i a -b:v 1M -pass 2 o").exact_rate && job("-i a -c:v libx265 -b:v 1M -pass:v 3 o").exact_rate);
    let own = job("-i a -c:v x264enc -pass qual o");
    assert_eq!((own.exact_rate, own.video.options), (false, vec![("pass".into(), "qual".into())]));
}

#[test]
fn filters_are_read_and_a_chain_that_cannot_be_is_refused_with_the_reason() {
    let filters = |line: &str| job(line).filters;
    let chain = filters("-i a -r 25 -vf scale=2:2,hflip -s 4x4 o");
    assert_eq!(chain.len(), 4, "{chain:?}");
    assert_eq!(chain[1], Filter::Flip("horiz"));
    assert!(matches!((&chain[2], &chain[3]), (Filter::Scale(_), Filter::Fps(_))), "-s and -r stand last: {chain:?}");
    assert_eq!(filters("-i a -filter:v null o"), []);
    for (line, says) in [
        ("-i a -vf bwdif o", "-vf: there is no filter 'bwdif' here (yadif is there)"),
        ("-i a -filter:v tblend o", "-filter:v: there is no filter 'tblend' here (its pictures depend on many"),
        ("-i a -vf yadif=1 o", "one picture of each frame"),
        ("-i a -vf fps=5 -r 10 o", "once"),
        ("-i a -vf hflip,yadif o", "yadif stands first"),
        ("-i a -s large o", "WxH is wanted"),
        ("-i a -r fast o", "frames a second are wanted"),
    ] {
        let told = error(line);
        assert!(told.contains(says), "{line}: {told}");
    }
}

#[test]
fn what_divien_is_not_for_is_refused_with_what_there_is() {
    let cases = [
        ("-i a -vn o", "to take the sound alone use ffmpeg"),
        ("-i a -c copy o", "divien encodes the video"),
        ("-i a -c:v copy o", "divien encodes the video"),
        ("-i a -c libx265 o", "-c:v libx265 is for the video"),
        ("-i a -copyts o", "keeps its own time"),
        ("-re -i a o", "as fast as it is encoded"),
        ("-hwaccel cuda -i a o", "divien's choice"),
        ("-i a -color_range pc o", "taken from the input"),
        ("-i a -flags +ilme+ildct o", "interlacing is taken from the input"),
        ("-i a -flags -loop o", "'-flags -loop' is not taken"),
        ("-fflags +discardcorrupt -i a o", "keeps its own time"),
        ("-i a -report o", "-loglevel"),
        ("-f rawvideo -i a o", "pipe them as yuv4mpegpipe"),
        ("-f v4l2 -i a o", "recognised by its content"),
    ];
    for (line, wanted) in cases {
        let told = error(line);
        assert!(told.contains(wanted) && !told.contains("yet"), "{line}: {told}");
    }
}

#[test]
fn what_asks_for_no_more_than_divien_does_is_taken_and_changes_nothing() {
    let plain = job("-i a o.mp4");
    for options in [
        "-dn",
        "-bitexact",
        "-ignore_unknown",
        "-strict experimental",
        "-strict -2",
        "-fflags +bitexact",
        "-flags +bitexact+cgop",
        "-flags:v +global_header",
        "-vsync passthrough",
        "-vsync 0",
        "-vsync vfr",
        "-fps_mode vfr",
        "-max_muxing_queue_size 1024",
        "-probesize 50M",
        "-avoid_negative_ts auto",
        "-threads auto",
        "-threads 0",
        "-c:v libx264",
        "-map_metadata 0",
        "-map_chapters 0",
        "-stdin",
        "-movflags +write_colr",
        "-loglevel level",
    ] {
        assert_eq!(job(&format!("-i a {options} o.mp4")), plain, "{options}");
    }
    for options in
        ["-accurate_seek", "-hwaccel auto", "-threads 4", "-thread_queue_size 512", "-f yuv4mpegpipe", "-f mov,mp4,m4a"]
    {
        assert_eq!(job(&format!("{options} -i a o.mp4")), plain, "{options}");
    }
    assert!(error("-i a -probesize soon o").contains("a number is wanted"));
    assert!(error("-i a o -strict").contains("wants a value"));
}

#[test]
fn an_encoders_own_option_comes_before_ffmpegs_of_the_name() {
    // avenc_ffv1's properties are libavcodec's options.
    let line = "-i a -c:v avenc_ffv1 -strict experimental o.mkv";
    let own = crate::codec::accepts("avenc_ffv1", "strict");
    assert_eq!(job(line).video.options.is_empty(), !own);
}

#[test]
fn yes_and_no_together_are_refused_as_ffmpeg_does() {
    assert_eq!(parse_line("-y -n -i a o.mp4"), Err(UsageError::YesAndNo));
    assert_eq!(job("-nostdin -i a o.mp4").overwrite, Overwrite::Unasked);
    assert_eq!(job("-nostdin -y -i a o.mp4").overwrite, Overwrite::Always);
    assert_eq!(job("-nostdin -stdin -i a o.mp4").overwrite, Overwrite::Ask);
}

#[test]
fn a_log_level_is_read_as_ffmpeg_reads_it() {
    for (text, level) in [
        ("error", LogLevel::Error),
        ("24", LogLevel::Warning),
        ("30", LogLevel::Warning),
        ("-8", LogLevel::Quiet),
        ("level+verbose", LogLevel::Verbose),
        ("+level", LogLevel::Info),
        ("repeat+level+quiet", LogLevel::Quiet),
        ("+repeat+16", LogLevel::Error),
        ("99", LogLevel::Trace),
    ] {
        assert_eq!(job(&format!("-v {text} -i a o")).report.level, level, "{text}");
    }
    assert_eq!(job("-v error -v +level -i a o").report.level, LogLevel::Error);
    for text in ["loud", "level+", "error+level", "+"] {
        assert!(matches!(parse_line(&format!("-v {text} -i a o")), Err(UsageError::BadValue { .. })), "{text}");
    }
}

#[test]
fn what_is_carried_along_can_be_chosen() {
    let carry = job("-i a -c:s copy -tag:v hvc1 -map_metadata -1 -map_chapters -1 o.mp4").carry;
    let wanted =
        Carry { subtitles: SubtitleCodec::Copy, video_tag: Some("hvc1".into()), metadata: false, chapters: false };
    assert_eq!(carry, wanted);
    assert_eq!(job("-i a -scodec mov_text -vtag avc1 o.mp4").carry.subtitles, SubtitleCodec::MovText);
    assert!(error("-i a -map_metadata 1 o").contains("there is one input"));
    assert!(!job("-an -sn -i a o").subtitles);
}

#[test]
fn the_words_of_later_versions_are_no_outputs() {
    for line in ["standalone", "standalone -i a o"] {
        assert!(matches!(parse_line(line), Err(UsageError::NotBuilt { .. })), "{line}");
    }
    assert_eq!(job("-i worker token").output, Output::File("token".into()));
}

#[test]
fn workers_elsewhere_are_named_or_waited_for() {
    let remote = |line: &str| job(line).remote;
    assert_eq!(remote("-i a o"), None);
    let named = remote("-workers n1,[fd00::5]:80 -i a -token-file t -worker-timeout 5 -lane-timeout 0 -w 0 o").unwrap();
    assert_eq!(named.workers, ["n1:7171", "[fd00::5]:80"]);
    assert_eq!((named.listen, named.token_file, named.timeout), (None, Some("t".into()), Duration::from_secs(5)));
    let bare = Remote {
        workers: Vec::new(),
        listen: "[::]:7171".parse().ok(),
        token_file: None,
        timeout: Duration::from_secs(30),
    };
    assert_eq!(remote("server -i a o"), Some(bare.clone()));
    let both = Remote { listen: "127.0.0.1:5".parse().ok(), workers: vec!["b:1".into()], ..bare };
    assert_eq!(remote("server -listen 127.0.0.1:5 -i a -workers b:1 o"), Some(both));
    assert_eq!(job("server -w 0 -i a o").workers, Some(0));
    assert_eq!(parse_line("server -h"), Ok(Command::Help(Topic::Basic)));
}

#[test]
fn what_workers_elsewhere_cannot_be_told_is_refused() {
    for (line, says) in [
        ("-i a -workers :1 o", "HOST:PORT is wanted"),
        ("-i a -workers a,,b o", "commas between"),
        ("-i a -workers a,a:7171 o", "a:7171 is named twice"),
        ("-i a -worker-timeout 0 o", "1 to 86400"),
        ("-i a -listen :1 o", "divien server -listen ADDR"),
        ("server -i a -listen x:y o", "an address of this machine is wanted"),
        ("server -i - -token-file - o", "into DIVIEN_TOKEN"),
        ("-i a -token-file t o", "of which -workers HOST:PORT"),
        ("-i a -worker-timeout 9 o", "of which -workers HOST:PORT"),
        ("server", "-i INPUT is missing"),
    ] {
        let told = error(line);
        assert!(told.contains(says), "{line}: {told}");
    }
    for line in
        ["-workers a -token x1y2 -i a o", "-i a o -token x1y2", "server -i a --token x1y2 o", "-i a -token=x1y2 o"]
    {
        let told = error(line);
        assert!(told.contains("`ps`") && !told.contains("x1y2"), "{line}: {told}");
    }
}

#[test]
fn help_is_found_by_every_name() {
    for line in ["-h", "-help", "--help", "-?", "-i a -h"] {
        assert_eq!(parse_line(line), Ok(Command::Help(Topic::Basic)), "{line}");
    }
    assert_eq!(parse_line("-h full"), Ok(Command::Help(Topic::Full)));
    assert_eq!(parse_line("-h encoder=vp9enc"), Ok(Command::Help(Topic::Encoder("vp9enc".into()))));
    assert_eq!(parse_line("-encoders"), Ok(Command::Encoders));
    assert_eq!(parse_line("--version"), Ok(Command::Version));
}

#[test]
fn the_help_and_the_docs_know_every_option() {
    let full = help(&Topic::Full).expect("there is help");
    let page = docs();
    for name in OPTIONS.iter().flat_map(|o| o.names()) {
        assert!(full.contains(&format!("-{name}")), "-{name} is not in -h full");
        assert!(page.contains(&format!("-{name}")), "-{name} is not in the docs");
    }
    let x264 = help(&Topic::Encoder("libx264".into())).expect("there is help");
    assert!(x264.contains("-crf") && x264.contains("0 to 51") && x264.contains("[ref]"), "{x264}");
    assert!(help(&Topic::Encoder("x264enc".into())).expect("there is help").contains("-speed-preset"));
    let near = help(&Topic::Encoder("libx246".into())).expect_err("there is none");
    assert!(near.to_string().contains("did you mean libx264"), "{near}");
    for name in same::SAME.iter().flat_map(|same| same.names) {
        assert!(full.contains(&format!("-{name}")) && page.contains(&format!("-{name}")), "-{name}");
    }
}

#[test]
fn an_encoder_that_is_not_there_is_told_from_one_that_nobody_has() {
    let refusal = |encoder: &str| {
        let video = VideoArgs { encoder: encoder.into(), options: vec![], pix_fmt: None };
        match crate::codec::resolve(&video, None) {
            Err(error) => error.to_string(),
            Ok(choice) => panic!("{encoder}: {choice:?}"),
        }
    };
    let cases = [
        ("libx246", "did you mean libx264"),
        ("h264_nvenc", "nvh264enc"),
        ("libxvid", "use mpeg4"),
        ("identity", "no video encoder"),
        ("avenc_nosuch", "apt install gstreamer1.0-libav"),
        ("libvpx-vp9", "-b:v 2M"),
    ];
    for (encoder, wanted) in cases {
        let told = refusal(encoder);
        assert!(told.contains(wanted), "{encoder}: {told}");
    }
}

#[test]
fn the_page_of_the_docs_is_what_the_tables_say() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/options.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(written == docs(), "make it again: divien -h docs > docs/options.md");
}

#[test]
fn no_two_options_share_a_name() {
    let mut names: Vec<&str> = OPTIONS.iter().flat_map(|o| o.names()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn names_of_files_need_not_be_unicode() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"caf\xe9.mkv".to_vec());
    let args = ["-i".into(), odd.clone(), "out.mp4".into()];
    match parse(args) {
        Ok(Command::Encode(job)) => assert_eq!(job.input, Input::File(odd.clone().into())),
        other => panic!("{other:?}"),
    }
    let args = ["-i".into(), "a".into(), "-crf".into(), odd, "o".into()];
    assert!(matches!(parse(args), Err(UsageError::NotUnicode { .. })));
}

/// Words that lines are made of: every option, values good and bad, and noise, text or not.
fn word() -> impl Strategy<Value = OsString> {
    use std::os::unix::ffi::OsStringExt;
    prop_oneof![
        15 => text().prop_map(OsString::from),
        1 => proptest::collection::vec(any::<u8>(), 0..8).prop_map(OsString::from_vec),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let same = same::SAME.iter().flat_map(|same| same.names.iter().copied());
    let names: Vec<String> = OPTIONS.iter().flat_map(|o| o.names()).chain(same).map(|n| format!("-{n}")).collect();
    prop_oneof![
        4 => proptest::sample::select(names),
        2 => proptest::sample::select(vec!["23", "-1", "2M", "1:02:03", "a=b", "libx265", "libvpx-vp9", "x264enc", "nosuchenc", "out.mp4", "-", "--", "+faststart", "-vf", "-refs", "9e99", "18446744073709551616"])
            .prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => "-[a-z:_0-9-]{0,10}",
    ]
}

/// Some options of the output, each once.
fn any_options() -> impl Strategy<Value = Vec<&'static str>> {
    let all = vec![
        "-c:v libx264",
        "-crf 20",
        "-preset slow",
        "-bf 2",
        "-refs 4",
        "-deblock -1:-1",
        "-an",
        "-sn",
        "-t 5",
        "-ss 2",
        "-frames:v 9",
        "-threads 2",
        "-bsize 60",
        "-w 3",
        "-y",
        "-nostdin",
        "-strict -2",
        "-vsync 0",
        "-bitexact",
        "-movflags +faststart",
        "-v level+error",
        "-map_metadata -1",
        "-metadata a=-an",
    ];
    let count = all.len();
    proptest::sample::subsequence(all, 0..=count)
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic_and_each_error_says_what_to_do(words in proptest::collection::vec(word(), 0..14)) {
        if let Err(error) = parse(words) {
            let told = error.to_string();
            prop_assert!(error.hint().is_some() || told.contains(": "), "{told}");
        }
    }

    #[test]
    fn the_order_of_the_options_of_the_output_changes_nothing(
        (options, at) in any_options().prop_flat_map(|options| {
            let count = options.len();
            (Just(options).prop_shuffle(), 0..=count)
        }),
    ) {
        let line = |options: &[&'static str], at: usize| {
            let (before, after) = options.split_at(at);
            job(&format!("-i a {} o.mp4 {}", before.join(" "), after.join(" ")))
        };
        let mut sorted = options.clone();
        sorted.sort_unstable();
        let (mut one, mut other) = (line(&options, at), line(&sorted, 0));
        one.video.options.sort();
        other.video.options.sort();
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_line_cut_short_is_an_error_or_a_shorter_line(options in any_options(), keep in 0_usize..20) {
        let line = format!("-i a o.mp4 {}", options.join(" "));
        let words: Vec<&str> = line.split(' ').take(3 + keep).collect();
        if let Err(error) = parse_line(&words.join(" ")) {
            prop_assert!(matches!(error, UsageError::NoValue { .. }), "{words:?}: {error}");
        }
    }

    #[test]
    fn no_text_makes_a_value_panic(text in "\\PC{0,20}|[-+0-9.:eEkMGiBsmu]{0,20}") {
        let _ = (number(&text), rate(&text), value::time(&text));
    }

    #[test]
    fn no_settings_make_the_mapping_panic(
        encoder in proptest::sample::select(crate::codec::ENCODERS.iter().map(|def| def.name).collect::<Vec<_>>()),
        pick in proptest::collection::vec((any::<prop::sample::Index>(), "\\PC{0,8}|[-0-9.:=,]{0,10}|[a-z]{1,4}=[0-9.]{1,3}"), 0..5),
        pix_fmt in proptest::option::of("[a-z0-9]{0,12}"),
        size in any::<(u32, u32)>(),
    ) {
        let names = crate::codec::option_names(encoder);
        let options = pick.into_iter().map(|(index, value)| (index.get(&names).clone(), value)).collect();
        let video = VideoArgs { encoder: encoder.into(), options, pix_fmt };
        match crate::codec::resolve(&video, None) {
            Ok(choice) => prop_assert!(choice.spec_for(size.0, size.1).starts_with(&choice.factory)),
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                let code = crate::error::Error::from(error).code();
                prop_assert!(matches!(code, crate::error::EXIT_USAGE | crate::error::EXIT_NOT_INSTALLED), "{code}");
            }
        }
    }
}

#[test]
fn a_metavar_stands_for_every_value() {
    for option in OPTIONS {
        assert_eq!(option.kind == Kind::Flag, option.kind.metavar().is_empty(), "-{}", option.name);
    }
}
