//! The bytes of a workbook as they are given to the crate that reads it: of the parts that were walked over, each as
//! often as it is needed, and of no other part.
//!
//! A workbook says itself which of its parts are what: its styles may be any part, a picture may be a sheet, and a
//! thousand sheets one part. What is not expected there cannot be read.

use std::{
    cell::Cell,
    io::{self, Read, Seek, SeekFrom},
};

/// When a part may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Never,
    /// When the workbook is opened: once.
    Opening,
    /// After that: its head is looked for, and then its rows are read.
    Reading,
}

/// A part: where it is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) header: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) turn: Turn,
}

/// What is known from outside of what was read.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Whether the workbook is open.
    pub(super) open: Cell<bool>,
    /// Bytes of the part that is read, and how many were.
    length: Cell<u64>,
    read: Cell<u64>,
}

impl Meter {
    /// How much of the part is read, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "it is a share")]
    pub(super) fn done(&self) -> f64 {
        (self.read.get() as f64 / self.length.get().max(1) as f64).min(1.0)
    }
}

/// A reader of those parts.
pub(super) struct Guard<'a> {
    bytes: &'a [u8],
    at: u64,
    /// From the first one in the file; none is within another. With how many bytes of it may still be read.
    parts: Vec<(Part, u64)>,
    /// The list of parts is read first, from the end of the file. After it, parts are, each from its header on.
    in_parts: bool,
    meter: &'a Meter,
}

/// What finds out about a file reads so much of its start.
const START_BYTES: u64 = 512;

impl<'a> Guard<'a> {
    pub(super) fn new(bytes: &'a [u8], parts: Vec<Part>, meter: &'a Meter) -> Self {
        let with_rest = |part: Part| {
            let times = if part.turn == Turn::Reading { 2 } else { 1 };
            (part, (part.end - part.start) * times + START_BYTES)
        };
        let parts = parts.into_iter().map(with_rest).collect();
        Self { bytes, at: 0, parts, in_parts: false, meter }
    }

    /// How many bytes may be read from here.
    fn allowed(&mut self, wanted: u64) -> io::Result<u64> {
        let next = self.parts.partition_point(|(part, _)| part.start <= self.at);
        let to_next = self.parts.get(next).map_or(u64::MAX, |(part, _)| part.start - self.at);
        let within = next.checked_sub(1).and_then(|at| self.parts.get_mut(at));
        let Some((part, rest)) = within.filter(|(part, _)| self.in_parts && self.at < part.end)
        else {
            return Ok(if self.in_parts { wanted.min(to_next) } else { wanted });
        };
        let turn = if self.meter.open.get() { Turn::Reading } else { Turn::Opening };
        if part.turn != turn || *rest == 0 {
            return Err(io::Error::other("this part may not be read, or not again"));
        }
        let allowed = wanted.min(part.end - self.at).min(*rest);
        *rest -= allowed;
        self.meter.length.set(part.end - part.start);
        self.meter.read.set(self.at + allowed - part.start);
        Ok(allowed)
    }
}

impl Read for Guard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(self.at).unwrap_or(usize::MAX).min(self.bytes.len());
        let mut rest = self.bytes.get(from..).unwrap_or_default();
        let wanted = rest.len().min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let allowed = usize::try_from(self.allowed(wanted as u64)?).unwrap_or(wanted);
        let read = rest.read(buffer.get_mut(..allowed).unwrap_or_default())?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Guard<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => (self.bytes.len() as u64).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        // A file may begin with a part, and that is where it is looked at first.
        self.in_parts |= self.at > 0 && self.parts.iter().any(|(part, _)| part.header == self.at);
        Ok(self.at)
    }
}
