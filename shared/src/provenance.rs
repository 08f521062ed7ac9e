//! Provenance of a figure, stored inside SVG and PNG files. The server writes it; an opened file leads back
//! to its page.
//!
//! Files are read as text and bytes. Nothing in them is executed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{CheckpointId, RunId, SweepId};
use crate::theory::Question;
use crate::view::View;

/// Name of the application; identifies the SVG element and the PNG chunk with the provenance.
pub const APPLICATION: &str = "CrossLens";

/// The page and data a figure was drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub application: String,
    /// The page with the figure, with its lens.
    pub view: Page,
    pub checkpoints: Vec<CheckpointHash>,
    /// Configurations of the runs, by run name.
    pub configs: BTreeMap<RunId, Value>,
}

/// A checkpoint and the hash of its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckpointHash {
    /// Name of the checkpoint, such as `RUN.e12`.
    #[schema(value_type = String)]
    pub id: CheckpointId,
    pub sha256: String,
}

/// A page with figures: path and query inside the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Page {
    View(View),
    /// A sweep, and the field on the horizontal axis if one was chosen.
    Sweep(SweepId, Option<String>),
    Theory(Question),
}

/// Error: a file does not open a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFigure {
    #[error("it is neither an SVG nor a PNG picture")]
    Format,
    #[error("CrossLens did not make it, or a program that saved it again dropped what CrossLens had written into it")]
    NotOurs,
    #[error("what CrossLens wrote into it cannot be read: {0}")]
    Unreadable(String),
}

/// Error: a text is not a page with figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a page that a figure can be of")]
pub struct NotAPage(String);

impl Provenance {
    /// Reads the provenance from an SVG or PNG file.
    pub fn read(file: &[u8]) -> Result<Self, NotAFigure> {
        let texts = match file.strip_prefix(PNG_SIGNATURE) {
            Some(chunks) => png_text(chunks).into_iter().collect(),
            None => svg_metadata(std::str::from_utf8(file).map_err(|_| NotAFigure::Format)?)?,
        };
        // Image editors add their own metadata.
        let is_ours = |text: &&String| serde_json::from_str::<Value>(text).is_ok_and(|value| value["application"] == APPLICATION);
        let text = texts.iter().find(is_ours).ok_or(NotAFigure::NotOurs)?;
        serde_json::from_str(text).map_err(|error| NotAFigure::Unreadable(error.to_string()))
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Page::View(view) => view.fmt(f),
            Page::Sweep(id, None) => write!(f, "/sweeps/{id}"),
            Page::Sweep(id, Some(over)) => write!(f, "/sweeps/{id}?over={over}"),
            Page::Theory(question) => f.write_str(&question.address()),
        }
    }
}

impl FromStr for Page {
    type Err = NotAPage;

    fn from_str(text: &str) -> Result<Self, NotAPage> {
        let bad = || NotAPage(text.to_owned());
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let get = |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name).map(|pair| pair.1);
        if path == "/theory" {
            return Question::from_parameters(get).map(Page::Theory).map_err(|_| bad());
        }
        if let Some(id) = path.strip_prefix("/sweeps/") {
            let is_field = |field: &&str| field.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
            let over = get("over").filter(is_field).map(str::to_owned);
            return id.parse().map(|id| Page::Sweep(id, over)).map_err(|_| bad());
        }
        text.parse().map(Page::View).map_err(|_| bad())
    }
}

impl TryFrom<String> for Page {
    type Error = NotAPage;

    fn try_from(text: String) -> Result<Self, NotAPage> {
        text.parse()
    }
}

impl From<Page> for String {
    fn from(page: Page) -> Self {
        page.to_string()
    }
}

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Text of our chunk in a PNG: uncompressed `iTXt`, <https://www.w3.org/TR/png-3/#11iTXt>.
fn png_text(mut chunks: &[u8]) -> Option<String> {
    loop {
        let (length, rest) = chunks.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (data, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        if kind == b"iTXt"
            && let Some(data) = data.strip_prefix(APPLICATION.as_bytes()).and_then(|data| data.strip_prefix(b"\0\0\0"))
        {
            // The language and the translated keyword each end with a zero byte.
            let text = data.splitn(3, |byte| *byte == 0).nth(2)?;
            return String::from_utf8(text.to_vec()).ok();
        }
        chunks = rest.get(4..)?;
    }
}

/// Texts of all `metadata` elements of an SVG.
fn svg_metadata(svg: &str) -> Result<Vec<String>, NotAFigure> {
    if !svg.contains("<svg") {
        return Err(NotAFigure::Format);
    }
    let elements = svg.split("<metadata").skip(1);
    let text = |element: &str| Some(element.split_once('>')?.1.split_once("</metadata>")?.0.to_owned());
    let unescaped =
        |text: String| text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&");
    Ok(elements.filter_map(text).map(unescaped).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const VIEW: &str = "/compare?a=r.e1.clean&b=r.e2.clean&scale=fitted";

    fn provenance() -> Provenance {
        Provenance {
            application: APPLICATION.into(),
            view: VIEW.parse().unwrap(),
            checkpoints: vec![CheckpointHash { id: "r.e1".parse().unwrap(), sha256: "ab".into() }],
            configs: BTreeMap::from([("r".parse().unwrap(), json!({"name": "a < b & \"c\" ]]>"}))]),
        }
    }

    fn svg(metadata: &str) -> Vec<u8> {
        let escaped = metadata.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        format!("<svg aria-label=\"a > b\"><metadata>other <rdf/></metadata><metadata id=\"x\">{escaped}</metadata></svg>").into_bytes()
    }

    fn png(keyword: &str, text: &str) -> Vec<u8> {
        let chunk = |kind: &str, data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_be_bytes();
            [&length[..], kind.as_bytes(), data, &[0; 4]].concat()
        };
        let data = [keyword.as_bytes(), b"\0\0\0\0\0", text.as_bytes()].concat();
        [PNG_SIGNATURE, &chunk("IHDR", &[7; 13]), &chunk("tEXt", b"Software\0x"), &chunk("iTXt", &data), &chunk("IEND", &[])].concat()
    }

    #[test]
    fn pictures_give_back_what_they_were_drawn_from() {
        let text = serde_json::to_string(&provenance()).unwrap();
        assert_eq!(Provenance::read(&svg(&text)), Ok(provenance()));
        assert_eq!(Provenance::read(&png(APPLICATION, &text)), Ok(provenance()));
    }

    #[track_caller]
    fn check(file: &[u8], expected: &str) {
        let error = Provenance::read(file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_figure_of_ours_says_why() {
        let text = serde_json::to_string(&provenance()).unwrap();
        check(b"GIF89a", "neither");
        check(b"\xff\xd8\xff", "neither");
        check(b"<html></html>", "neither");
        check(b"<svg></svg>", "did not make it");
        check(&svg("<rdf:RDF/>"), "did not make it");
        check(&svg("{\"application\": \"Other\"}"), "did not make it");
        check(&svg("{\"application\": \"CrossLens\"}"), "cannot be read");
        check(&svg(&text.replace("/compare", "//evil.example/compare")), "evil.example");
        check(&svg(&text.replace("/compare", "javascript:alert(1)")), "javascript");
        check(&png("Comment", &text), "did not make it");
        let whole = png(APPLICATION, &text);
        for length in [8, 20, 60, 100] {
            check(&whole[..length], "did not make it");
        }
        // A chunk whose length exceeds the file.
        check(&[PNG_SIGNATURE, &[255, 255, 255, 255], b"iTXtCrossLens"].concat(), "did not make it");
    }

    #[test]
    fn pages_read_back_what_they_write() {
        for page in [VIEW, "/runs/r?epoch=3", "/sweeps/radius-7f3a", "/sweeps/radius-7f3a?over=attack.eps", "/theory?eps=0.3"] {
            assert_eq!(page.parse::<Page>().unwrap().to_string(), page);
        }
        for page in ["/", "/data", "https://evil.example/", "//evil.example/theory", "/sweeps/../x", "/theory?eps=x", "/runs/r/../../x"] {
            assert!(page.parse::<Page>().is_err(), "{page}");
        }
        assert_eq!("/sweeps/s?over=<b>".parse::<Page>().unwrap().to_string(), "/sweeps/s");
    }
}
