//! All colors of the application, light and dark. A test compares them with `style/tokens.css`.

use plotters::style::RGBColor;
use serde::Deserialize;

use crate::builtin::{cbrt, pow};

/// Light or dark theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    #[default]
    Light,
    Dark,
}

/// Colors of a theme. The field `on_accent` is `--color-on-accent` in the style sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    /// Page background.
    pub background: RGBColor,
    /// Background of cards, tables and charts.
    pub surface: RGBColor,
    /// Background of table heads, code and tracks.
    pub sunken: RGBColor,
    /// Decorative lines between elements.
    pub border: RGBColor,
    /// Border of controls; contrast at least 3:1 on surfaces.
    pub border_strong: RGBColor,
    pub text: RGBColor,
    pub text_muted: RGBColor,
    pub accent: RGBColor,
    pub accent_hover: RGBColor,
    /// Background of selected rows and chips.
    pub accent_soft: RGBColor,
    /// Text on `accent`.
    pub on_accent: RGBColor,
    pub queued: StateColors,
    pub running: StateColors,
    pub succeeded: StateColors,
    pub failed: StateColors,
    pub canceled: StateColors,
    /// Increased numbers; like high values in matrices.
    pub increase: RGBColor,
    /// Decreased numbers.
    pub decrease: RGBColor,
    pub grid: RGBColor,
    pub axis: RGBColor,
    /// Diagonal cells, whose value is fixed by definition.
    pub diagonal: RGBColor,
    /// Colors for series, in this order. From Okabe and Ito, <https://jfly.uni-koeln.de/color/>, with changed
    /// lightness so that each has a contrast of 3:1 on surfaces.
    pub series: [RGBColor; 6],
    /// The two ends and the middle of the diverging color map.
    pub map_low: RGBColor,
    pub map_zero: RGBColor,
    pub map_high: RGBColor,
}

/// Colors of a run state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateColors {
    /// Text and icon, on surfaces and on `soft`.
    pub strong: RGBColor,
    /// Background of the chip.
    pub soft: RGBColor,
}

static LIGHT: Palette = Palette {
    background: hex(0xf5f6f8),
    surface: hex(0xffffff),
    sunken: hex(0xeef0f3),
    border: hex(0xdce0e6),
    border_strong: hex(0x808a96),
    text: hex(0x1a2129),
    text_muted: hex(0x555f6b),
    accent: hex(0x4350c9),
    accent_hover: hex(0x343fa6),
    accent_soft: hex(0xeceefb),
    on_accent: hex(0xffffff),
    queued: StateColors { strong: hex(0x555f6b), soft: hex(0xeef0f3) },
    running: StateColors { strong: hex(0x3a47bd), soft: hex(0xe9ecfc) },
    succeeded: StateColors { strong: hex(0x1b6b43), soft: hex(0xe3f4ea) },
    failed: StateColors { strong: hex(0xb3261e), soft: hex(0xfdeae8) },
    canceled: StateColors { strong: hex(0x7d5710), soft: hex(0xfaf0dc) },
    increase: hex(0xb0440f),
    decrease: hex(0x1d62a8),
    grid: hex(0xe7eaee),
    axis: hex(0x9aa3ae),
    diagonal: hex(0xe6e9ed),
    series: [hex(0x0072b2), hex(0xd55e00), hex(0x00855f), hex(0xb0528a), hex(0x967400), hex(0x3b4450)],
    map_low: hex(0x114e97),
    map_zero: hex(0xf7f8f9),
    map_high: hex(0xa13200),
};

static DARK: Palette = Palette {
    background: hex(0x0e1216),
    surface: hex(0x161b21),
    sunken: hex(0x1e242c),
    border: hex(0x2b333d),
    border_strong: hex(0x6b7785),
    text: hex(0xe6eaef),
    text_muted: hex(0x9ca8b5),
    accent: hex(0x9aa5ff),
    accent_hover: hex(0xb5bdff),
    accent_soft: hex(0x242b50),
    on_accent: hex(0x11153a),
    queued: StateColors { strong: hex(0xa3afbb), soft: hex(0x252c35) },
    running: StateColors { strong: hex(0xaab3ff), soft: hex(0x252c54) },
    succeeded: StateColors { strong: hex(0x6fd29c), soft: hex(0x173526) },
    failed: StateColors { strong: hex(0xff9d94), soft: hex(0x46201e) },
    canceled: StateColors { strong: hex(0xe3b866), soft: hex(0x3a2d14) },
    increase: hex(0xf7a268),
    decrease: hex(0x77b7f2),
    grid: hex(0x252c35),
    axis: hex(0x5c6875),
    diagonal: hex(0x2a313a),
    series: [hex(0x56b4e9), hex(0xf0883c), hex(0x3cc49a), hex(0xd98bb9), hex(0xd9b43a), hex(0xaeb8c2)],
    map_low: hex(0xa0d5ff),
    map_zero: hex(0x1c222a),
    map_high: hex(0xffcc91),
};

/// A color from the hexadecimal notation of style sheets.
const fn hex(rgb: u32) -> RGBColor {
    RGBColor((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

impl Theme {
    pub fn palette(self) -> &'static Palette {
        match self {
            Theme::Light => &LIGHT,
            Theme::Dark => &DARK,
        }
    }
}

impl Palette {
    /// All colors with their names in the style sheet, without `--color-`.
    pub fn tokens(&self) -> Vec<(String, RGBColor)> {
        let Palette {
            background,
            surface,
            sunken,
            border,
            border_strong,
            text,
            text_muted,
            accent,
            accent_hover,
            accent_soft,
            on_accent,
            queued,
            running,
            succeeded,
            failed,
            canceled,
            increase,
            decrease,
            grid,
            axis,
            diagonal,
            series,
            map_low,
            map_zero,
            map_high,
        } = self;
        let single = [
            ("background", background),
            ("surface", surface),
            ("sunken", sunken),
            ("border", border),
            ("border-strong", border_strong),
            ("text", text),
            ("text-muted", text_muted),
            ("accent", accent),
            ("accent-hover", accent_hover),
            ("accent-soft", accent_soft),
            ("on-accent", on_accent),
            ("increase", increase),
            ("decrease", decrease),
            ("grid", grid),
            ("axis", axis),
            ("diagonal", diagonal),
            ("map-low", map_low),
            ("map-zero", map_zero),
            ("map-high", map_high),
        ];
        let states = [("queued", queued), ("running", running), ("succeeded", succeeded), ("failed", failed), ("canceled", canceled)];
        let single = single.into_iter().map(|(name, color)| (name.to_owned(), *color));
        let states = states.into_iter().flat_map(|(name, state)| [(name.to_owned(), state.strong), (format!("{name}-soft"), state.soft)]);
        let series = series.iter().enumerate().map(|(index, color)| (format!("series-{}", index + 1), *color));
        single.chain(states).chain(series).collect()
    }
}

/// CSS notation, such as `#4350c9`.
pub fn css(color: RGBColor) -> String {
    format!("#{:02x}{:02x}{:02x}", color.0, color.1, color.2)
}

/// Contrast ratio of two colors, from 1 to 21: WCAG 2.2, <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>.
pub fn contrast(a: RGBColor, b: RGBColor) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Color for text on `ground`, with a contrast of 4.5:1: the theme's text or surface color, else black or
/// white.
pub fn text_on(ground: RGBColor, theme: Theme) -> RGBColor {
    let palette = theme.palette();
    let candidates = [palette.text, palette.surface, RGBColor(0, 0, 0), RGBColor(255, 255, 255)];
    candidates.into_iter().find(|color| contrast(*color, ground) >= 4.5).unwrap_or(palette.text)
}

fn luminance(color: RGBColor) -> f64 {
    let [r, g, b] = linear(color);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn linear(color: RGBColor) -> [f64; 3] {
    [color.0, color.1, color.2].map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { pow((value + 0.055) / 1.055, 2.4) }
    })
}

/// Color at fraction `t` between two colors, perceptually uniform.
pub(super) fn mixed(from: RGBColor, to: RGBColor, t: f64) -> RGBColor {
    let (from, to) = (oklab(from), oklab(to));
    from_oklab([0, 1, 2].map(|axis| from[axis] + (to[axis] - from[axis]) * t))
}

/// Oklab coordinates: lightness and two opponent axes. Equal distances look equal.
/// <https://bottosson.github.io/posts/oklab/>
pub(super) fn oklab(color: RGBColor) -> [f64; 3] {
    let [r, g, b] = linear(color);
    let l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    let m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    let s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    [
        0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
        1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
        0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
    ]
}

/// Inverse of [`oklab`]. Colors outside sRGB are clipped.
pub(super) fn from_oklab([lightness, a, b]: [f64; 3]) -> RGBColor {
    let l = (lightness + 0.3963377774 * a + 0.2158037573 * b).powi(3);
    let m = (lightness - 0.1055613458 * a - 0.0638541728 * b).powi(3);
    let s = (lightness - 0.0894841775 * a - 1.2914855480 * b).powi(3);
    let channel = |value: f64| {
        let value = value.clamp(0.0, 1.0);
        let encoded = if value <= 0.0031308 { value * 12.92 } else { 1.055 * pow(value, 1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round() as u8
    };
    RGBColor(
        channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
        channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
        channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEMES: [Theme; 2] = [Theme::Light, Theme::Dark];

    #[track_caller]
    fn check(theme: Theme, what: &str, color: RGBColor, grounds: &[RGBColor], least: f64) {
        for ground in grounds {
            let ratio = contrast(color, *ground);
            assert!(ratio >= least, "{theme:?} {what} {} on {}: {ratio:.2}:1, below {least}:1", css(color), css(*ground));
        }
    }

    #[test]
    fn text_can_be_read_on_everything_it_stands_on() {
        for theme in THEMES {
            let p = theme.palette();
            let grounds = [p.background, p.surface, p.sunken];
            check(theme, "text", p.text, &grounds, 7.0);
            check(theme, "text", p.text, &[p.accent_soft], 7.0);
            check(theme, "muted text", p.text_muted, &grounds, 4.5);
            check(theme, "muted text", p.text_muted, &[p.accent_soft], 4.5);
            check(theme, "links", p.accent, &grounds, 4.5);
            check(theme, "hovered links", p.accent_hover, &grounds, 4.5);
            check(theme, "selected chips", p.accent, &[p.accent_soft], 4.5);
            check(theme, "buttons", p.on_accent, &[p.accent, p.accent_hover], 4.5);
            check(theme, "increases", p.increase, &grounds, 4.5);
            check(theme, "decreases", p.decrease, &grounds, 4.5);
            for (name, state) in [
                ("queued", &p.queued),
                ("running", &p.running),
                ("succeeded", &p.succeeded),
                ("failed", &p.failed),
                ("canceled", &p.canceled),
            ] {
                check(theme, name, state.strong, &[state.soft, p.background, p.surface, p.sunken], 4.5);
            }
        }
    }

    #[test]
    fn what_is_not_text_stands_out_three_to_one() {
        for theme in THEMES {
            let p = theme.palette();
            check(theme, "control borders", p.border_strong, &[p.background, p.surface], 3.0);
            for (index, color) in p.series.into_iter().enumerate() {
                check(theme, &format!("series {}", index + 1), color, &[p.background, p.surface], 3.0);
            }
        }
    }

    #[test]
    fn the_style_sheet_holds_the_same_colors() {
        let sheet = include_str!("../../../style/tokens.css");
        let mut written: Vec<(String, String)> = sheet
            .lines()
            .filter_map(|line| line.trim().strip_prefix("--color-")?.strip_suffix(';'))
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
            .collect();
        let dark = Theme::Dark.palette().tokens();
        let light = Theme::Light.palette().tokens().into_iter();
        let mut expected: Vec<(String, String)> =
            light.zip(dark).map(|((name, light), (_, dark))| (name, format!("light-dark({}, {})", css(light), css(dark)))).collect();
        written.sort();
        expected.sort();
        assert_eq!(written, expected);
    }

    #[test]
    fn oklab_is_inverted_exactly() {
        for rgb in (0..0x1000000).step_by(0x1357) {
            assert_eq!(from_oklab(oklab(hex(rgb))), hex(rgb));
        }
    }

    #[test]
    fn contrast_is_that_of_the_standard() {
        assert!((contrast(hex(0x000000), hex(0xffffff)) - 21.0).abs() < 1e-12);
        assert!((contrast(hex(0x777777), hex(0xffffff)) - 4.48).abs() < 0.005);
    }
}
