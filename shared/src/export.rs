//! Formats of exported files: the one list from which routes, their documentation and menus are made.

use serde::Deserialize;
use strum::{Display, EnumIter, IntoEnumIterator, IntoStaticStr};

/// Format of an exported file. Its name is that of the query and the ending of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, Display, IntoStaticStr, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Format {
    Svg,
    Png,
    /// A standalone LaTeX document for pgfplots.
    Tex,
    /// The numbers as a table, below comment lines that begin with `#` and hold the provenance.
    Csv,
    /// The numbers as named NumPy arrays; the array `provenance` holds the provenance as JSON.
    Npz,
    /// Only the matrices, as one NumPy array.
    Npy,
    /// The data that the figure is drawn from.
    Json,
    /// The event file of TensorBoard.
    Tfevents,
    Toml,
}

/// Everything fixed about a format, except what it is a format of.
struct FormatFacts {
    label: &'static str,
    media_type: &'static str,
    content: Content,
    of: &'static [Exported],
}

/// What the files of a format hold.
#[derive(PartialEq)]
enum Content {
    /// A drawing that browsers show.
    Picture,
    /// A drawing for another program.
    Drawing,
    Numbers,
}

/// What is exported; decides the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exported {
    /// A chart and the numbers in it.
    Chart,
    /// A chart of matrices, and the data it is drawn from.
    Matrices,
    /// Only the data that charts are drawn from.
    Data,
    /// Everything that a run has recorded of its epochs.
    Metrics,
    /// The configuration of a run.
    Configuration,
}

impl Format {
    /// The formats of a kind of export, in the order of the menu.
    pub fn of(exported: Exported) -> impl Iterator<Item = Format> {
        Format::iter().filter(move |format| format.is_of(exported))
    }

    pub fn is_of(self, exported: Exported) -> bool {
        self.facts().of.contains(&exported)
    }

    /// Ending of its files, without the dot.
    pub fn extension(self) -> &'static str {
        self.into()
    }

    pub fn media_type(self) -> &'static str {
        self.facts().media_type
    }

    /// Name in menus.
    pub fn label(self) -> &'static str {
        self.facts().label
    }

    /// Whether it is drawn as the lens says; numbers are always as measured.
    pub fn is_drawn(self) -> bool {
        self.facts().content != Content::Numbers
    }

    /// Whether browsers show it; they save other files.
    pub fn is_shown(self) -> bool {
        self.facts().content == Content::Picture
    }

    const fn facts(self) -> FormatFacts {
        use Exported::{Chart, Configuration, Data, Matrices, Metrics};
        let (label, media_type, content, of): (_, _, _, &[Exported]) = match self {
            Format::Svg => ("SVG", "image/svg+xml", Content::Picture, &[Chart, Matrices]),
            Format::Png => ("PNG", "image/png", Content::Picture, &[Chart, Matrices]),
            Format::Tex => ("pgfplots", "application/x-tex", Content::Drawing, &[Chart, Matrices]),
            Format::Csv => ("CSV", "text/csv; charset=utf-8", Content::Numbers, &[Chart, Matrices, Metrics]),
            Format::Npz => ("NPZ", "application/zip", Content::Numbers, &[Chart, Matrices]),
            Format::Npy => ("NPY", "application/octet-stream", Content::Numbers, &[Matrices]),
            Format::Json => ("JSON", "application/json", Content::Numbers, &[Matrices, Data]),
            Format::Tfevents => ("TensorBoard", "application/octet-stream", Content::Numbers, &[Metrics]),
            Format::Toml => ("TOML", "application/toml", Content::Numbers, &[Configuration]),
        };
        FormatFacts { label, media_type, content, of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_menu_has_the_formats_of_what_is_exported() {
        let menu = |exported| Format::of(exported).map(Format::label).collect::<Vec<_>>();
        assert_eq!(menu(Exported::Chart), ["SVG", "PNG", "pgfplots", "CSV", "NPZ"]);
        assert_eq!(menu(Exported::Matrices), ["SVG", "PNG", "pgfplots", "CSV", "NPZ", "NPY", "JSON"]);
        assert_eq!(menu(Exported::Data), ["JSON"]);
        assert_eq!(menu(Exported::Metrics), ["CSV", "TensorBoard"]);
        assert_eq!(menu(Exported::Configuration), ["TOML"]);
    }

    #[test]
    fn a_format_is_named_in_queries_by_the_ending_of_its_files() {
        for format in Format::iter() {
            assert_eq!(serde_json::from_value::<Format>(format.extension().into()).unwrap(), format);
        }
    }
}
