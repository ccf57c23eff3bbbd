//! openpyxl, by which Python reads workbooks.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use tempfile::NamedTempFile;
use tokio::task;

use super::progress;

const VERSION: &str = "3.1.5";

/// Reads a workbook, as often as it is asked to.
#[derive(Debug)]
pub(crate) struct Openpyxl {
    python: PathBuf,
    file: NamedTempFile,
}

impl Openpyxl {
    /// Of this workbook. Where it is not there, it is installed in `.local`.
    pub(crate) fn new(workbook: &[u8]) -> anyhow::Result<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(".local/bench-venv");
        let python = dir.join("bin/python");
        if !runs(Command::new(&python).args(["-c", "import openpyxl"])) {
            progress("installing openpyxl");
            let made = runs(Command::new("python3").args(["-m", "venv"]).arg(&dir));
            ensure!(made, "cannot make an environment of Python: install python3-venv");
            let wanted = format!("openpyxl=={VERSION}");
            let mut pip = Command::new(&python);
            ensure!(
                runs(pip.args(["-m", "pip", "install", "--quiet", &wanted])),
                "cannot install {wanted}"
            );
        }
        let mut file = tempfile::Builder::new().suffix(".xlsx").tempfile()?;
        file.write_all(workbook)?;
        Ok(Self { python, file })
    }

    /// How long it takes to read every cell, once it is started.
    pub(crate) async fn read(&self, cells: usize) -> anyhow::Result<Duration> {
        let mut command = Command::new(&self.python);
        command.args(["-c", include_str!("read_cells.py")]).arg(self.file.path());
        let out = task::spawn_blocking(move || command.output()).await??;
        let (said, errors) =
            (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        ensure!(out.status.success(), "openpyxl failed: {errors}");
        let (seconds, read) = said.trim().split_once(' ').context("openpyxl says nothing")?;
        ensure!(read == cells.to_string(), "openpyxl has read {read} cells of {cells}");
        Ok(Duration::from_secs_f64(seconds.parse()?))
    }
}

fn runs(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
