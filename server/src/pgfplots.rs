//! Figures as LaTeX documents for pgfplots.

use shared::chart::Figure;
use shared::chart::tex::Tex;
use shared::provenance::Provenance;

use crate::latex;
use crate::provenance::comments;

/// A standalone document of the size of its figure; its comments hold the provenance.
pub fn document(figure: &impl Figure, provenance: &Provenance) -> serde_json::Result<String> {
    let mut tex = Tex::new(latex::escaped);
    figure.write_tex(&mut tex);
    let picture = tex.picture();
    let mut text = comments("%", provenance)? + latex::engine(&picture);
    text += "\\documentclass[border=4pt]{standalone}\n";
    text += &latex::preamble(&picture);
    text +=
        "\\usepackage{pgfplots}\n\\usepgfplotslibrary{groupplots}\n\\pgfplotsset{compat=1.16}\n\\begin{document}\n\\begin{tikzpicture}\n";
    text += &picture;
    text += "\\end{tikzpicture}\n\\end{document}\n";
    Ok(text)
}
