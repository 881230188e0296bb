//! What `-h`, `-encoders`, `-version` and the docs page say, all from the tables.

use std::fmt::Write;

use super::same::{SAME, Same};
use super::table::{Group, OPTIONS, OptionDef};
use super::{Topic, UsageError, worker};
use crate::codec::{self, EncoderDef, Opt};
use crate::filter;

const USAGE: &str = "usage: divien [options] -i INPUT [output options] OUTPUT\n";
const WIDTH: usize = 100;

/// The text of `-h`. An encoder that neither ffmpeg nor GStreamer has by that name is an error.
pub fn help(topic: &Topic) -> Result<String, UsageError> {
    match topic {
        Topic::Basic => Ok(options(|o| o.basic, true)),
        Topic::Full => Ok(options(|_| true, false)),
        Topic::Docs => Ok(docs()),
        Topic::Worker | Topic::Roll | Topic::Token => Ok(worker::help(topic)),
        Topic::Encoder(name) => encoder(name),
    }
}

/// The text of `-version`.
pub fn version() -> String {
    format!(
        "divien version {}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        if gst::init().is_ok() { gst::version_string().to_string() } else { String::new() }
    )
}

/// The text of `-encoders`.
pub fn encoders() -> String {
    let mut text = String::from("video encoders (-c:v NAME; -h encoder=NAME for the options of one):\n");
    for def in codec::ENCODERS {
        let state = match (codec::installed(def.factory), def.package) {
            (true, _) => "installed".to_owned(),
            (false, "") => "not installed; no package in Debian 12".to_owned(),
            (false, package) => format!("not installed: apt install {package}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<12} {:<17} {:<32} {state}", def.name, def.factory, def.title);
    }
    text.push_str(
        "any other GStreamer video encoder can be named by its element, with its own properties as options\n",
    );
    text
}

fn options(wanted: impl Fn(&OptionDef) -> bool, brief: bool) -> String {
    let mut text = String::from(USAGE);
    text.push_str("encodes the video of INPUT in chunks, several at the same time, and keeps the sound\n");
    for group in Group::ALL {
        let mut listed = OPTIONS.iter().filter(|o| o.group == group && wanted(o)).peekable();
        if listed.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "\n{}:", group.title());
        for option in listed {
            line(&mut text, &head(option), &tail(option, brief));
        }
    }
    if !brief {
        text.push_str("\nfilters of -vf, in a chain with commas between them, quoted as ffmpeg does:\n");
        for (typed, what) in filter::known() {
            line(&mut text, &typed, what);
        }
        text.push_str("\ntaken as ffmpeg's lines have them, without effect here:\n");
        for same in SAME {
            line(&mut text, &same_head(same), same.why);
        }
    }
    text.push_str("\nOptions of the output stand after -i. If one is given twice, the last counts.\n");
    if brief {
        text.push_str("-h full lists all options, -h encoder=libx264 an encoder's own, -encoders the encoders.\n");
        text.push_str("divien worker -h is about encoding for other machines, divien token new makes their secret.\n");
    }
    text
}

fn head(option: &OptionDef) -> String {
    let mut head = option.names().map(|n| format!("-{n}")).collect::<Vec<_>>().join(", ");
    if !option.kind.metavar().is_empty() {
        let _ = write!(head, " {}", option.kind.metavar());
    }
    head
}

fn same_head(same: &Same) -> String {
    let names = same.names.iter().map(|n| format!("-{n}")).collect::<Vec<_>>().join(", ");
    format!("{names} {}", same.shown()).trim_end().to_owned()
}

fn tail(option: &OptionDef, brief: bool) -> String {
    let mut tail = option.help.to_owned();
    if let Some(range) = option.kind.range().filter(|_| !brief) {
        let _ = write!(tail, "; {range}");
    }
    if !option.default.is_empty() {
        let _ = write!(tail, " (default: {})", option.default);
    }
    if !option.ffmpeg.is_empty() && !brief {
        let _ = write!(tail, "; {}", option.ffmpeg);
    }
    tail
}

/// One entry: the names, and beside or below them the words, wrapped.
fn line(text: &mut String, head: &str, tail: &str) {
    const INDENT: usize = 26;
    let _ = write!(text, "  {head:<22}");
    let mut column = 2 + head.chars().count().max(22);
    if column > INDENT {
        text.push('\n');
        column = 0;
    }
    for word in tail.split(' ') {
        let length = word.chars().count();
        if column > INDENT && column + 1 + length > WIDTH {
            text.push('\n');
            column = 0;
        }
        let gap = if column < INDENT { INDENT - column } else { 1 };
        let _ = write!(text, "{:gap$}{word}", "");
        column += gap + length;
    }
    text.push('\n');
}

fn encoder(name: &str) -> Result<String, UsageError> {
    if let Some(def) = codec::find(name) {
        return Ok(mapped_encoder(def));
    }
    let properties = codec::properties(name);
    if properties.is_empty() {
        return Err(codec::unknown(name).into());
    }
    let mut text = format!("{name}: a GStreamer element; its properties are its options\n\n");
    for property in properties {
        let default =
            if property.default.is_empty() { String::new() } else { format!(" (default: {})", property.default) };
        line(
            &mut text,
            &format!("-{} VALUE", property.name),
            &format!("{}; {}{default}", property.help, property.range),
        );
    }
    Ok(text)
}

fn mapped_encoder(def: &EncoderDef) -> String {
    let mut text = format!("{}: {}, by GStreamer's {}\n", def.name, def.title, def.factory);
    if !def.aliases.is_empty() {
        let _ = writeln!(text, "also called {}", def.aliases.join(", "));
    }
    if !codec::installed(def.factory) {
        let _ = writeln!(text, "not installed here");
    }
    if !def.remark.is_empty() {
        let _ = writeln!(text, "{}", def.remark);
    }
    text.push('\n');
    for opt in def.options {
        line(&mut text, &opt_head(opt), &opt_tail(opt));
    }
    let _ = writeln!(
        text,
        "\n-threads 0 to {}; {} can also be named as an element, with its own properties (-h encoder={}).",
        def.max_threads, def.factory, def.factory
    );
    text
}

/// As it is typed: the table of all options knows the stream specifier.
fn opt_head(opt: &Opt) -> String {
    let typed = |name: &str| match name {
        "b" | "q" | "profile" => format!("-{name}:v"),
        _ => format!("-{name}"),
    };
    std::iter::once(opt.name).chain(opt.aliases.iter().copied()).map(typed).collect::<Vec<_>>().join(", ")
}

fn opt_tail(opt: &Opt) -> String {
    let becomes = if opt.key.is_empty() { String::new() } else { format!(" [{}]", opt.key) };
    format!("{}; {}{becomes}", opt.help, opt.kind.range())
}

/// The page of the docs about the command line, as Markdown.
pub fn docs() -> String {
    let mut text = String::from(
        "# Options of divien\n\nMade by `divien -h docs` from the tables that the parser itself uses.\n\n",
    );
    let _ = writeln!(text, "    {USAGE}");
    text.push_str(
        "Options have one dash, as ffmpeg's. Those of the output stand after `-i`; if one is given twice, the last counts. \
         Rates take `k`, `M`, `G` (decimal) and `Ki`, `Mi`, `Gi` (binary); times are seconds, `h:m:s`, `250ms` or `40us`.\n",
    );
    for group in Group::ALL {
        let _ = writeln!(text, "\n## {}\n\n| option | meaning |\n| --- | --- |", capital(group.title()));
        for option in OPTIONS.iter().filter(|o| o.group == group) {
            let _ = writeln!(text, "| `{}` | {} |", escape(&head(option)), escape(&tail(option, false)));
        }
    }
    text.push_str(
        "\n## Filters of -vf\n\nIn a chain with commas between them, quoted as ffmpeg does. Sizes and places are expressions of `iw`, `ih`, \
         `ow`, `oh`, `a`, `sar`, `dar`, `x` and `y` with `+ - * /`, `min`, `max`, `floor`, `ceil`, `round`, `trunc` and `abs`. Pictures \
         that a player would turn are turned first; `-s` and `-r` come behind the chain.\n\n| filter | what it does |\n| --- | --- |\n",
    );
    for (typed, what) in filter::known() {
        let _ = writeln!(text, "| `{}` | {} |", escape(&typed), escape(what));
    }
    text.push_str(
        "\n## Without effect\n\nTaken as ffmpeg's lines have them, for what divien does anyway; other values are refused.\n\n\
         | option | why |\n| --- | --- |\n",
    );
    for same in SAME {
        let _ = writeln!(text, "| `{}` | {} |", same_head(same), escape(same.why));
    }
    for topic in [Topic::Worker, Topic::Roll, Topic::Token] {
        let help = worker::help(&topic);
        let (about, rest) = help.split_once("\n\n").unwrap_or_default();
        let indented: String =
            rest.trim_end().lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect();
        let _ = write!(text, "\n## divien {}: {about}\n\n{indented}", worker::name(&topic));
    }
    for def in codec::ENCODERS {
        let _ = writeln!(
            text,
            "\n## {}: {}\n\nGStreamer's `{}`. {}\n\n| option | values | meaning | becomes |\n| --- | --- | --- | --- |",
            def.name, def.title, def.factory, def.remark
        );
        for opt in def.options {
            let key = if opt.key.is_empty() { String::new() } else { format!("`{}`", opt.key) };
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {key} |",
                opt_head(opt),
                escape(&opt.kind.range()),
                escape(opt.help)
            );
        }
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
