//! Drawing in CSS pixels on a plotters area of any resolution, and estimates of text widths.

use std::borrow::Cow;

use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::element::{Circle, Drawable, PathElement, PointCollection, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle, TextStyle};

use unicode_width::UnicodeWidthChar;

use super::ChartError;

/// The typeface of the interface in the browser; a generic one of the renderer elsewhere.
const FONT: FontFamily<'static> = FontFamily::Name("system-ui, sans-serif");

/// A rectangle in CSS pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Rect {
    pub fn new(left: f64, top: f64, width: f64, height: f64) -> Self {
        Rect { left, top, width, height }
    }

    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub fn center(&self) -> (f64, f64) {
        (self.left + self.width / 2.0, self.top + self.height / 2.0)
    }

    pub fn contains(&self, x: f64, y: f64) -> bool {
        (self.left..self.right()).contains(&x) && (self.top..self.bottom()).contains(&y)
    }

    pub fn overlaps(&self, other: &Rect) -> bool {
        self.left < other.right() && other.left < self.right() && self.top < other.bottom() && other.top < self.bottom()
    }

    /// The rectangle with each side moved outwards by `by`.
    pub fn grown(&self, by: f64) -> Self {
        Rect::new(self.left - by, self.top - by, self.width + 2.0 * by, self.height + 2.0 * by)
    }
}

/// Horizontal position of a text relative to its point. Vertically, texts are always centered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Start,
    Middle,
    End,
}

/// Style of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    pub size: f64,
    pub color: RGBColor,
    pub bold: bool,
    /// Rotated to read from bottom to top.
    pub upward: bool,
}

impl Font {
    pub fn new(size: f64, color: RGBColor) -> Self {
        Font { size, color, bold: false, upward: false }
    }

    pub fn bold(self) -> Self {
        Font { bold: true, ..self }
    }
}

/// A part of a drawing area with its own CSS pixels.
pub struct Pen<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    /// Device pixels per CSS pixel.
    scale: f64,
    /// Top left corner of the part, in device pixels.
    origin: (f64, f64),
    width: f64,
    height: f64,
}

impl<DB: DrawingBackend> std::fmt::Debug for Pen<'_, DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Pen { area: _, scale, origin, width, height } = self;
        f.debug_struct("Pen").field("scale", scale).field("origin", origin).field("width", width).field("height", height).finish()
    }
}

impl<'a, DB: DrawingBackend> Pen<'a, DB> {
    pub fn new(area: &'a DrawingArea<DB, Shift>, scale: f64) -> Self {
        let (width, height) = area.dim_in_pixel();
        Pen { area, scale, origin: (0.0, 0.0), width: f64::from(width) / scale, height: f64::from(height) / scale }
    }

    /// A pen for the part `rect`. One of its CSS pixels is `zoom` of this pen's.
    pub(super) fn part(&self, rect: Rect, zoom: f64) -> Pen<'a, DB> {
        let origin = (self.origin.0 + rect.left * self.scale, self.origin.1 + rect.top * self.scale);
        Pen { area: self.area, scale: self.scale * zoom, origin, width: rect.width / zoom, height: rect.height / zoom }
    }

    pub fn width(&self) -> f64 {
        self.width
    }

    pub fn height(&self) -> f64 {
        self.height
    }

    pub(super) fn bounds(&self) -> Rect {
        Rect::new(0.0, 0.0, self.width, self.height)
    }

    /// Fills a rectangle; draws nothing if it has no area.
    pub(super) fn fill(&self, rect: Rect, color: RGBColor) -> Result<(), ChartError> {
        if rect.width <= 0.0 || rect.height <= 0.0 {
            return Ok(());
        }
        let (from, to) = (self.pixel(rect.left, rect.top), self.pixel(rect.right(), rect.bottom()));
        self.element(&Rectangle::new([from, to], color.filled()))
    }

    /// Draws a frame of the given thickness inside the rectangle.
    pub(super) fn frame(&self, rect: Rect, thickness: f64, color: RGBColor) -> Result<(), ChartError> {
        let Rect { left, top, width, height } = rect;
        let inner = height - 2.0 * thickness;
        self.fill(Rect::new(left, top, width, thickness), color)?;
        self.fill(Rect::new(left, rect.bottom() - thickness, width, thickness), color)?;
        self.fill(Rect::new(left, top + thickness, thickness, inner), color)?;
        self.fill(Rect::new(rect.right() - thickness, top + thickness, thickness, inner), color)
    }

    /// Draws a horizontal line of one CSS pixel, as a rectangle because strokes between pixels look blurred.
    pub(super) fn horizontal(&self, from: f64, to: f64, y: f64, color: RGBColor) -> Result<(), ChartError> {
        self.fill(Rect::new(from, y.round(), to - from, 1.0), color)
    }

    /// Draws a vertical dashed line of one CSS pixel; solid if `gap` is 0.
    pub(super) fn vertical(&self, x: f64, from: f64, to: f64, gap: f64, color: RGBColor) -> Result<(), ChartError> {
        let dash = if gap > 0.0 { 4.0 } else { to - from };
        let mut y = from;
        while y < to {
            self.fill(Rect::new(x.round(), y, 1.0, dash.min(to - y)), color)?;
            y += dash + gap;
        }
        Ok(())
    }

    pub(super) fn path(&self, points: &[(f64, f64)], thickness: f64, color: RGBColor) -> Result<(), ChartError> {
        let pixels: Vec<(i32, i32)> = points.iter().map(|(x, y)| self.pixel(*x, *y)).collect();
        let stroke_width = (thickness * self.scale).round().max(1.0) as u32;
        self.element(&PathElement::new(pixels, ShapeStyle { color: color.to_rgba(), filled: false, stroke_width }))
    }

    /// Draws a dashed path; solid if it oscillates so much that dashes would be unreadable and need thousands
    /// of elements.
    pub(super) fn dashed(&self, points: &[(f64, f64)], thickness: f64, color: RGBColor) -> Result<(), ChartError> {
        const DENSE: f64 = 8.0;
        let length: f64 = points.windows(2).map(|pair| (pair[1].0 - pair[0].0).hypot(pair[1].1 - pair[0].1)).sum();
        let across = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.0 - first.0);
        if length > DENSE * (across + self.height) {
            return self.path(points, thickness, color);
        }
        dashes(points, 5.0, 3.0).iter().try_for_each(|dash| self.path(dash, thickness, color))
    }

    pub(super) fn disc(&self, center: (f64, f64), radius: f64, color: RGBColor) -> Result<(), ChartError> {
        let radius = (radius * self.scale).round().max(1.0) as i32;
        self.element(&Circle::new(self.pixel(center.0, center.1), radius, color.filled()))
    }

    /// Fills a polygon; draws nothing if it has no points.
    pub(super) fn polygon(&self, points: &[(f64, f64)], color: RGBColor) -> Result<(), ChartError> {
        if points.is_empty() {
            return Ok(());
        }
        let pixels: Vec<(i32, i32)> = points.iter().map(|(x, y)| self.pixel(*x, *y)).collect();
        self.element(&Polygon::new(pixels, color.filled()))
    }

    pub(super) fn text(&self, text: &str, (x, y): (f64, f64), align: Align, font: Font) -> Result<(), ChartError> {
        let horizontal = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let weight = if font.bold { FontStyle::Bold } else { FontStyle::Normal };
        let turn = if font.upward { FontTransform::Rotate270 } else { FontTransform::None };
        let desc = FontDesc::new(FONT, font.size * self.scale, weight).transform(turn);
        let style = TextStyle::from(desc).color(&font.color).pos(Pos::new(horizontal, VPos::Center));
        self.area.draw_text(&printable(text), &style, self.pixel(x, y)).map_err(refused)
    }

    fn pixel(&self, x: f64, y: f64) -> (i32, i32) {
        ((self.origin.0 + x * self.scale).round() as i32, (self.origin.1 + y * self.scale).round() as i32)
    }

    fn element<E>(&self, element: &E) -> Result<(), ChartError>
    where
        E: Drawable<DB>,
        for<'b> &'b E: PointCollection<'b, (i32, i32)>,
    {
        self.area.draw(element).map_err(refused)
    }
}

fn refused<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> ChartError {
    ChartError(error.to_string())
}

/// Cuts a path into dashes.
fn dashes(points: &[(f64, f64)], dash: f64, gap: f64) -> Vec<Vec<(f64, f64)>> {
    let mut dashes = Vec::new();
    let mut current: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, dash);
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let length = (x1 - x0).hypot(y1 - y0);
        let mut done = 0.0;
        while length - done > left {
            done += left;
            let at = (x0 + (x1 - x0) * done / length, y0 + (y1 - y0) * done / length);
            if drawing {
                current.push(at);
                dashes.push(std::mem::take(&mut current));
            } else {
                current = vec![at];
            }
            drawing = !drawing;
            left = if drawing { dash } else { gap };
        }
        left -= length - done;
        if drawing {
            current.push((x1, y1));
        }
    }
    if drawing && current.len() > 1 {
        dashes.push(current);
    }
    dashes
}

/// Estimated width of a text in CSS pixels, measured in DejaVu Sans.
///
/// Layout must not depend on the installed font. DejaVu Sans is the widest common one, so the text fits in
/// any other.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// Advance widths of the characters from space to tilde, in hundredths of the font size.
const ADVANCES: [u8; 95] = [
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 53, 100,
    68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63,
    55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
];

/// Advance width of a character, as a fraction of the font size.
fn em(letter: char) -> f64 {
    if let Some(advance) = u32::from(letter).checked_sub(32).and_then(|index| ADVANCES.get(index as usize)) {
        return f64::from(*advance) / 100.0;
    }
    match letter {
        '·' => 0.32,
        '−' => 0.6,
        '→' | '∞' => 0.84,
        '…' => 1.0,
        '–' | '\u{a0}' | '\u{2009}' => 0.5,
        // Combining marks have no width; East Asian characters are square, and emoji slightly wider.
        _ => match letter.width() {
            Some(0) | None => 0.0,
            Some(1) => 0.72,
            Some(_) => 1.1,
        },
    }
}

/// The text, shortened with an ellipsis if it does not fit; empty if nothing fits.
pub(super) fn fitted(text: &str, size: f64, width: f64) -> String {
    let mut kept = text;
    let mut needed = text_width(text, size);
    if needed <= width {
        return text.to_owned();
    }
    needed += text_width("…", size);
    while let Some(last) = kept.chars().next_back() {
        kept = &kept[..kept.len() - last.len_utf8()];
        needed -= text_width(last.encode_utf8(&mut [0; 4]), size);
        // Do not separate a mark from its letter, or split a joined emoji.
        if needed > width || last.width().unwrap_or(0) == 0 {
            continue;
        }
        let kept = kept.trim_end_matches('\u{200d}').trim_end();
        if !kept.is_empty() {
            return format!("{kept}…");
        }
    }
    String::new()
}

/// Wraps a text at spaces to lines of at most `width`. Uses at most `most` lines; a longer text ends with an
/// ellipsis.
pub(super) fn wrapped(text: &str, size: f64, width: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if lines.len() + 1 >= most || text_width(rest, size) <= width {
            lines.push(fitted(rest, size, width));
            break;
        }
        let fits = |end: &usize| text_width(rest[..*end].trim_end(), size) <= width;
        let spaces = rest.char_indices().filter(|(_, letter)| *letter == ' ').map(|(index, _)| index);
        // Scripts without spaces can break anywhere.
        let anywhere = || rest.char_indices().map(|(index, _)| index).filter(|index| *index > 0).take_while(fits).last();
        let Some(end) = spaces.take_while(fits).last().or_else(anywhere) else {
            lines.push(fitted(rest, size, width));
            break;
        };
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines
}

/// Replaces line breaks and other control characters, which an image cannot contain, by spaces.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let odd = |letter: char| letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}');
    if text.contains(odd) { Cow::Owned(text.replace(odd, " ")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_keep_their_length_around_corners() {
        let cut = dashes(&[(0.0, 0.0), (6.0, 0.0), (6.0, 10.0)], 5.0, 3.0);
        assert_eq!(cut, [vec![(0.0, 0.0), (5.0, 0.0)], vec![(6.0, 2.0), (6.0, 7.0)]]);
        assert!(dashes(&[], 5.0, 3.0).is_empty());
        assert!(dashes(&[(1.0, 1.0)], 5.0, 3.0).is_empty());
    }

    #[test]
    fn long_texts_end_in_an_ellipsis_and_fit() {
        let size = 12.0;
        assert_eq!(fitted("cat", size, 100.0), "cat");
        let short = fitted("streetcar and pickup truck", size, 80.0);
        assert!(short.starts_with("street") && short.ends_with('…') && text_width(&short, size) <= 80.0, "{short}");
        assert_eq!(fitted("automobile", size, 3.0), "");
        assert_eq!(fitted("猫猫猫", size, 30.0), "猫…");
        let decomposed = fitted("cafe\u{301}cafe\u{301}", size, text_width("cafe…", size));
        assert_eq!(decomposed, "cafe\u{301}…", "an accent stays with its letter");
        assert_eq!(fitted("cafe\u{301}cafe\u{301}", size, text_width("caf…", size) + 1.0), "caf…");
    }

    #[test]
    fn long_texts_go_on_on_the_next_line() {
        let (size, width) = (12.0, 80.0);
        let lines = wrapped("streetcar and pickup truck", size, width, 3);
        assert_eq!(lines, ["streetcar", "and pickup", "truck"]);
        assert!(lines.iter().all(|line| text_width(line, size) <= width));
        assert_eq!(wrapped("streetcar and pickup truck", size, width, 2), ["streetcar", "and pickup…"]);
        assert_eq!(wrapped("猫猫猫猫猫猫猫猫", size, 55.0, 3), ["猫猫猫猫", "猫猫猫猫"]);
        assert_eq!(wrapped("", size, width, 3), Vec::<String>::new());
        assert_eq!(wrapped("cat", size, 2.0, 3), [""]);
    }

    #[test]
    fn widths_are_those_of_the_widest_face() {
        // Sum of the advance widths of DejaVu Sans, computed with fontTools: 478.3 pixels at font size 13.
        let subtitle = "epoch 12 (best) · CAS 14.73 · robust accuracy 45.2 % · adversarial inputs";
        assert!((text_width(subtitle, 13.0) - 478.3).abs() < 2.0, "{}", text_width(subtitle, 13.0));
        assert_eq!(text_width("e\u{301}", 10.0), text_width("e", 10.0));
    }

    #[test]
    fn control_characters_are_not_drawn() {
        assert_eq!(printable("two\nlines\u{8}"), "two lines ");
        assert_eq!(printable("русский 猫 🐈"), "русский 猫 🐈");
    }
}
