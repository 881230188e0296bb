//! The report as a picture: a bar a way, from nothing to the median of its wall time against ffmpeg's, with whiskers from
//! the least to the greatest.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figures::Figures;
use super::record::Measured;
use super::way::{DIVIEN, FFMPEG};

const WIDTH: u32 = 880;
const TITLE: &str = "Wall time against that of ffmpeg in the same round: median, least, greatest";
/// The picture's title or a contest's, and one bar.
const HEADING: u32 = 34;
const BAR: u32 = 26;
const MARGIN: u32 = 12;
/// Where the ways' names end, and how much is left for the figures behind the bars.
const NAMES: u32 = 190;
const FIGURES: u32 = 150;

const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// Both stand out on light and on dark paper.
const OURS: RGBColor = RGBColor(0x21, 0x8b, 0xff);
const THEIRS: RGBColor = RGBColor(0x8c, 0x95, 0x9f);

/// Paper and ink change places where the reader's screen is dark.
const DARK: &str = "<style>@media (prefers-color-scheme: dark) { \
                    [fill=\"#FFFFFF\"] { fill: #0d1117 } [fill=\"#1F2328\"] { fill: #e6edf3 } \
                    [stroke=\"#1F2328\"] { stroke: #e6edf3 } }</style>\n";

/// The picture as SVG.
pub(super) fn svg(all: &[Measured]) -> Result<String, String> {
    let contests: Vec<_> = all.iter().map(|measured| (measured.title.as_str(), measured.figures())).collect();
    let bars: u32 = contests.iter().map(|(_, figures)| height(figures)).sum();
    let greatest = contests.iter().flat_map(|(_, figures)| figures).map(|figures| figures.ratio.greatest);
    let greatest = greatest.fold(1.0, f64::max);
    let mut text = String::new();
    draw(&mut text, &contests, HEADING / 2 + bars + 2 * MARGIN, greatest)
        .map_err(|error| format!("the plot: {error}"))?;
    // Behind the line that opens the picture.
    let (opening, drawn) = text.split_once(">\n").ok_or("the plot: no picture")?;
    Ok(format!("{opening}>\n{DARK}{drawn}"))
}

fn height(figures: &[Figures]) -> u32 {
    HEADING + BAR * figures.len() as u32
}

fn draw(
    text: &mut String,
    contests: &[(&str, Vec<Figures>)],
    height_of_all: u32,
    greatest: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, (WIDTH, height_of_all)).into_drawing_area();
    root.fill(&PAPER)?;
    let heading = ("sans-serif", 15).into_font().style(FontStyle::Bold).color(&INK);
    let plain = |horizontal| ("sans-serif", 14).into_font().color(&INK).pos(Pos::new(horizontal, VPos::Center));
    root.draw(&Text::new(TITLE, (MARGIN as i32, MARGIN as i32), plain(HPos::Left)))?;
    let mut top = MARGIN + HEADING / 2;
    for (title, figures) in contests {
        let area = root.clone().shrink((0, top), (WIDTH, height(figures)));
        top += height(figures);
        area.draw(&Text::new(*title, (MARGIN as i32, 10), heading.clone()))?;
        let bars = area.margin(HEADING, 0, NAMES, FIGURES);
        let bars = bars.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
            0.0..greatest,
            0.0..figures.len() as f64,
            bars.get_pixel_range(),
        ));
        for (row, figures) in figures.iter().enumerate() {
            let (row, ratio) = (row as f64, figures.ratio);
            let paint = if figures.way.starts_with(DIVIEN) { OURS } else { THEIRS };
            bars.draw(&Rectangle::new([(0.0, row + 0.18), (ratio.median, row + 0.82)], paint.filled()))?;
            let name = EmptyElement::at((0.0, row + 0.5)) + Text::new(figures.way.clone(), (-8, 0), plain(HPos::Right));
            bars.draw(&name)?;
            let told = if figures.way == FFMPEG {
                format!("1 ({:.1} s)", figures.seconds)
            } else {
                bars.draw(&ErrorBar::new_horizontal(
                    row + 0.5,
                    ratio.least,
                    ratio.median,
                    ratio.greatest,
                    INK.filled(),
                    6,
                ))?;
                format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.least, ratio.greatest)
            };
            // In a column, where no bar and no whisker reaches.
            let told = EmptyElement::at((greatest, row + 0.5)) + Text::new(told, (10, 0), plain(HPos::Left));
            bars.draw(&told)?;
        }
        // What ffmpeg took.
        bars.draw(&PathElement::new([(1.0, 0.0), (1.0, figures.len() as f64)], INK.mix(0.5)))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::measured;
    use super::*;

    #[test]
    fn the_picture_names_every_way_and_contest_with_its_figures() {
        let times: &[(&str, &[f64])] =
            &[("ffmpeg", &[10.0, 20.0]), ("divien", &[9.0, 17.0]), ("divien -w 2", &[9.5, 20.0])];
        let svg = svg(&[measured("one", times), measured("two", times)]).unwrap();
        for word in [
            "one.mp4, x264",
            "two.mp4, x264",
            "divien -w 2",
            "0.88 (0.85 to 0.90)",
            "1 (15.0 s)",
            "color-scheme",
            TITLE,
        ] {
            assert!(svg.contains(word), "{word}");
        }
        // Paper and ink are found by the style sheet, and nothing is painted in other colours.
        for paint in ["fill=\"#FFFFFF\"", "fill=\"#1F2328\"", "stroke=\"#1F2328\"", "fill=\"#218BFF\""] {
            assert!(svg.contains(paint), "{paint}\n{svg}");
        }
        assert_eq!(svg.lines().filter(|line| line.contains("fill=\"#218BFF\"")).count(), 4);
    }
}
