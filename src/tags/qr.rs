//! QR codes as SVG.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

use crate::error::Error;

/// Modules of white around a code: what scanners need to find it.
const QUIET: usize = 4;
/// Pixels of a module where nobody asks for another size.
const MODULE_PIXELS: usize = 8;

/// The code of an address: one file that needs nothing else, black on white, its edges on whole pixels.
///
/// # Errors
/// [`Error::Internal`] when the text does not fit into a code.
pub fn svg(text: &str) -> Result<String, Error> {
    // A sixth of it may be dirty or torn.
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(Error::internal)?;
    let side = code.width() + 2 * QUIET;
    let pixels = side * MODULE_PIXELS;
    let title = text.replace('&', "&amp;").replace('<', "&lt;");
    let dark = dark_runs(&code);
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{pixels}" height="{pixels}" viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><title>{title}</title><path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path fill="#000" d="{dark}"/></svg>"##
    ))
}

/// What is dark, as a path: a bar for each run of a row.
fn dark_runs(code: &QrCode) -> String {
    let mut path = String::new();
    for (row, colors) in code.to_colors().chunks(code.width()).enumerate() {
        let mut column = 0;
        for run in colors.chunk_by(Color::eq) {
            if run.first() == Some(&Color::Dark) {
                let (x, y, length) = (column + QUIET, row + QUIET, run.len());
                // Writing into a string cannot fail.
                let _written = write!(path, "M{x} {y}h{length}v1h-{length}z");
            }
            column += run.len();
        }
    }
    path
}
