//! Walks over XML without keeping any of it, and refuses what would make a reader keep too much: tags and texts without
//! end, elements in elements in elements, entities.
//!
//! It is stricter than XML, so that no reader can take for a tag what is none here, or the other way round. What Excel
//! and its like write is well within.

/// No part of a workbook has elements within elements as deep as this.
const DEPTH_MAX: u32 = 64;
/// A cell has at most 32,767 characters: with all the markup they may have.
const CELL_BYTES_MAX: u64 = 4 << 20;
/// Of a tag or an instruction, where it has to be looked at.
const KEPT_MAX: usize = 4096;
const NAME_MAX: usize = 12;

/// Why XML is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    Broken,
    Dtd,
    TooMuch,
}

/// What was seen of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) tags: u64,
    /// Tags of shared strings.
    pub(super) strings: u64,
    /// How many shared strings are said to be there: memory is taken for as many.
    pub(super) strings_claimed: u64,
    /// Tags of fonts, fills, borders and formats.
    pub(super) styles: u64,
    /// Tags of sheets.
    pub(super) sheets: u64,
    /// Bytes of the longest tag but the first.
    pub(super) longest: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// Behind a `<`.
    Opened,
    /// In the name of a tag that opens, or of one that closes.
    Name {
        closes: bool,
    },
    /// Behind the name.
    Attributes,
    /// In a value, up to this quote.
    Quoted(u8),
    /// Behind a `/`: only a `>` may follow.
    Slash,
    /// Behind the name of a tag that closes.
    Closing,
    /// Behind a `<!`.
    Bang,
    /// In `<!--`: how many dashes were there just before.
    Comment(u8),
    /// In `<![CDATA[`: how many brackets were there just before.
    Data(u8),
    /// In `<?`: whether there was a `?` just before.
    Instruction(bool),
}

/// A walk over one part, which comes in pieces.
#[derive(Debug)]
pub(super) struct Walk {
    state: State,
    /// Bytes of the text or tag that it is in.
    event: usize,
    event_max: usize,
    depth: u32,
    at: u64,
    /// Where the cell began that it is in.
    cell: Option<u64>,
    name: [u8; NAME_MAX],
    name_length: usize,
    prefixed: bool,
    /// Whether what is in the tag has to be looked at.
    keeps: bool,
    kept: Vec<u8>,
    facts: Facts,
}

impl Walk {
    /// A walk over XML none of whose tags and texts is longer than so many bytes.
    pub(super) fn new(event_max: usize) -> Self {
        Self {
            state: State::Text,
            event: 0,
            event_max,
            depth: 0,
            at: 0,
            cell: None,
            name: [0; NAME_MAX],
            name_length: 0,
            prefixed: false,
            keeps: false,
            kept: Vec::new(),
            facts: Facts::default(),
        }
    }

    /// Walks on.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), Bad> {
        // With no NUL in it there is no markup in another encoding that is not also markup in this one.
        if piece.contains(&0) {
            return Err(Bad::Broken);
        }
        let mut rest = piece;
        while let Some((&byte, tail)) = rest.split_first() {
            let run = self.run(rest);
            if run > 0 {
                self.count(run);
                rest = rest.get(run..).unwrap_or_default();
            } else {
                self.count(1);
                rest = tail;
                self.state = self.step(byte)?;
            }
        }
        self.check()
    }

    /// How many bytes change nothing.
    fn run(&self, rest: &[u8]) -> usize {
        let end = match self.state {
            State::Text => rest.iter().position(|byte| *byte == b'<'),
            State::Quoted(quote) if !self.keeps => {
                rest.iter().position(|byte| *byte == quote || *byte == b'<')
            }
            State::Attributes if !self.keeps => {
                rest.iter().position(|byte| matches!(byte, b'\'' | b'"' | b'/' | b'>' | b'<'))
            }
            _ => Some(0),
        };
        end.unwrap_or(rest.len())
    }

    /// What was seen, once all of it was.
    pub(super) fn end(self) -> Result<Facts, Bad> {
        if self.state == State::Text { Ok(self.facts) } else { Err(Bad::Broken) }
    }

    fn count(&mut self, bytes: usize) {
        self.event += bytes;
        self.at += bytes as u64;
    }

    fn check(&self) -> Result<(), Bad> {
        let in_cell = self.cell.is_some_and(|began| self.at - began > CELL_BYTES_MAX);
        if self.event > self.event_max || in_cell { Err(Bad::TooMuch) } else { Ok(()) }
    }

    fn step(&mut self, byte: u8) -> Result<State, Bad> {
        match (self.state, byte) {
            (State::Text, _) => {
                self.check()?;
                self.event = 1;
                Ok(State::Opened)
            }
            (State::Opened, _) => self.opened(byte),
            (State::Name { closes }, _) => self.name(closes, byte),
            (State::Attributes, b'\'' | b'"') => self.keep(byte, State::Quoted(byte)),
            (State::Attributes, b'/') => Ok(State::Slash),
            (State::Attributes, b'>') => self.tag(false),
            (State::Attributes | State::Quoted(_), b'<') => Err(Bad::Broken),
            (State::Attributes, _) => self.keep(byte, State::Attributes),
            (State::Quoted(quote), _) => {
                let next = if byte == quote { State::Attributes } else { self.state };
                self.keep(byte, next)
            }
            (State::Slash, b'>') => self.tag(true),
            (State::Closing, b'>') => self.closed(),
            (State::Closing, _) if byte.is_ascii_whitespace() => Ok(State::Closing),
            (State::Slash | State::Closing, _) => Err(Bad::Broken),
            (State::Bang, _) => self.bang(byte),
            (State::Comment(2..) | State::Data(2..), b'>') => self.text(),
            // `<!-->` is one comment to some, and the start of one to others.
            (State::Comment(_), b'>') if self.event == 5 || self.event == 6 => Err(Bad::Broken),
            (State::Comment(dashes), b'-') => Ok(State::Comment(dashes.saturating_add(1))),
            (State::Comment(_), _) => Ok(State::Comment(0)),
            (State::Data(brackets), b']') => Ok(State::Data(brackets.saturating_add(1))),
            (State::Data(_), _) => Ok(State::Data(0)),
            (State::Instruction(true), b'>') => self.instruction(),
            (State::Instruction(_), _) => self.keep(byte, State::Instruction(byte == b'?')),
        }
    }

    fn text(&mut self) -> Result<State, Bad> {
        self.check()?;
        self.event = 0;
        Ok(State::Text)
    }

    fn keep(&mut self, byte: u8, next: State) -> Result<State, Bad> {
        let wanted = matches!(next, State::Instruction(_)) || self.keeps;
        if wanted && self.kept.len() == KEPT_MAX {
            return Err(Bad::Broken);
        }
        if wanted {
            self.kept.push(byte);
        }
        Ok(next)
    }

    fn opened(&mut self, byte: u8) -> Result<State, Bad> {
        self.name_length = 0;
        self.prefixed = false;
        self.kept.clear();
        match byte {
            b'!' => Ok(State::Bang),
            b'?' => Ok(State::Instruction(false)),
            b'/' => Ok(State::Name { closes: true }),
            b':' | b'>' | b'<' | b'\'' | b'"' | b'=' | b'&' => Err(Bad::Broken),
            _ if byte.is_ascii_whitespace() => Err(Bad::Broken),
            _ => self.name(false, byte),
        }
    }

    /// Keeps the name without its prefix; of a long one only that it is long.
    fn name(&mut self, closes: bool, byte: u8) -> Result<State, Bad> {
        match byte {
            b':' if self.prefixed => return Err(Bad::Broken),
            b':' => {
                self.prefixed = true;
                self.name_length = 0;
            }
            b'>' if closes => return self.closed(),
            b'>' => return self.tag(false),
            b'/' if !closes => return Ok(State::Slash),
            b'/' | b'<' | b'\'' | b'"' | b'=' | b'&' => return Err(Bad::Broken),
            _ if byte.is_ascii_whitespace() && closes => return Ok(State::Closing),
            _ if byte.is_ascii_whitespace() => {
                self.keeps = self.is(b"sst");
                return Ok(State::Attributes);
            }
            _ => {
                if let Some(place) = self.name.get_mut(self.name_length) {
                    *place = byte;
                }
                self.name_length = (self.name_length + 1).min(NAME_MAX + 1);
            }
        }
        Ok(State::Name { closes })
    }

    fn is(&self, name: &[u8]) -> bool {
        self.name.get(..self.name_length) == Some(name)
    }

    /// A tag that opens has ended; one that is empty closes, too.
    fn tag(&mut self, empty: bool) -> Result<State, Bad> {
        self.facts.tags += 1;
        if self.facts.tags > 1 {
            self.facts.longest = self.facts.longest.max(self.event);
        }
        match self.name.get(..self.name_length).unwrap_or_default() {
            b"c" => self.cell = (!empty).then_some(self.at),
            b"si" => self.facts.strings += 1,
            b"xf" | b"font" | b"fill" | b"border" => self.facts.styles += 1,
            b"sheet" => self.facts.sheets += 1,
            b"sst" => {
                let claimed = claimed(&self.kept).ok_or(Bad::Broken)?;
                self.facts.strings_claimed = self.facts.strings_claimed.max(claimed);
            }
            _ => {}
        }
        if !empty {
            self.depth += 1;
        }
        if self.depth > DEPTH_MAX { Err(Bad::Broken) } else { self.text() }
    }

    fn closed(&mut self) -> Result<State, Bad> {
        if self.is(b"c") {
            self.cell = None;
        }
        self.depth = self.depth.saturating_sub(1);
        self.text()
    }

    /// Behind `<!` a comment or data may come, and nothing else.
    fn bang(&mut self, byte: u8) -> Result<State, Bad> {
        self.kept.push(byte);
        match &*self.kept {
            b"--" => Ok(State::Comment(0)),
            b"[CDATA[" => Ok(State::Data(0)),
            start if b"--".starts_with(start) || b"[CDATA[".starts_with(start) => Ok(State::Bang),
            start if start.first().is_some_and(u8::is_ascii_alphabetic) => Err(Bad::Dtd),
            _ => Err(Bad::Broken),
        }
    }

    /// An instruction has ended: the first one may name an encoding.
    fn instruction(&mut self) -> Result<State, Bad> {
        let text = self.kept.to_ascii_lowercase();
        if !text.starts_with(b"xml") {
            return self.text();
        }
        for value in values(&text, b"encoding") {
            if !matches!(value, b"utf-8" | b"utf8" | b"us-ascii") {
                return Err(Bad::Broken);
            }
        }
        self.text()
    }
}

/// The most that a tag of shared strings says there are. `None`: it is not said in digits.
fn claimed(attributes: &[u8]) -> Option<u64> {
    let mut most = 0;
    for value in values(attributes, b"uniqueCount") {
        let text = std::str::from_utf8(value).ok()?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        most = most.max(text.parse().ok()?);
    }
    Some(most)
}

/// What follows a name, an equals sign and a quote, up to that quote: wherever the name is.
fn values<'a>(text: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let places =
        (0..text.len()).filter(move |at| text.get(*at..).unwrap_or_default().starts_with(name));
    places.filter_map(move |at| {
        let rest = text.get(at + name.len()..)?.trim_ascii_start();
        let rest = rest.strip_prefix(b"=")?.trim_ascii_start();
        let (quote, rest) = rest.split_first()?;
        let end = rest.iter().position(|byte| byte == quote)?;
        rest.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(xml: &[u8]) -> Result<Facts, Bad> {
        let mut whole = Walk::new(1000);
        let whole = whole.feed(xml).and_then(|()| whole.end());
        // It is the same in pieces of one byte.
        let mut pieces = Walk::new(1000);
        let pieces =
            xml.chunks(1).try_for_each(|piece| pieces.feed(piece)).and_then(|()| pieces.end());
        assert_eq!(whole, pieces);
        whole
    }

    #[test]
    fn what_excel_writes_is_walked_over() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
            <x:sst xmlns:x="urn:a>b" count="3" uniqueCount='2'><x:si><t xml:space="preserve"> a &lt; b </t></x:si><si/>
            <!-- <si> - -- --><![CDATA[<si>]]]]></x:sst >"#;
        let facts = walk(xml).unwrap();
        assert_eq!((facts.strings, facts.strings_claimed, facts.tags), (2, 2, 4));
    }

    #[test]
    fn entities_are_refused() {
        for xml in ["<!DOCTYPE a>", "<a><!ENTITY b 'c'>", "<!doctype html>"] {
            assert_eq!(walk(xml.as_bytes()), Err(Bad::Dtd), "{xml}");
        }
    }

    #[test]
    fn what_is_no_xml_is_refused() {
        for xml in [
            "<a",
            "<a b='",
            "<a b='<'>",
            "<a/ >",
            "< a>",
            "<>",
            "</a b>",
            "</a'>",
            "</a/>",
            "<a:b:c>",
            "<!-->",
            "<!--->",
            "<!x",
            "<![CDATA [",
            "<!--",
            "<![CDATA[",
            "<?xml",
            "<a\0>",
            "<?xml encoding='UTF-16'?>",
            "<?xml encoding = \"utf-7\" ?>",
            "<sst uniqueCount='-1'>",
            "<sst uniqueCount='99999999999999999999'>",
        ] {
            assert!(walk(xml.as_bytes()).is_err(), "{xml}");
        }
    }

    #[test]
    fn nothing_is_long_or_deep() {
        assert!(walk("<a>".repeat(64).as_bytes()).is_ok());
        assert_eq!(walk("<a>".repeat(65).as_bytes()), Err(Bad::Broken));
        assert!(walk("<a></a><a/>".repeat(65).as_bytes()).is_ok());
        for long in [
            format!("<a>{}</a>", "x".repeat(1001)),
            format!("<a b='{}'/>", "x".repeat(1001)),
            format!("<!--{}-->", "x".repeat(1001)),
            format!("<c>{}</c>", "<t>x</t>".repeat(600_000)),
        ] {
            assert_eq!(walk(long.as_bytes()), Err(Bad::TooMuch));
        }
        assert!(walk("<c/><c>x</c>".repeat(400_000).as_bytes()).is_ok());
    }
}
