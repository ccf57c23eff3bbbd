//! Cells of a row as they are in a file, packed: many rows are held at a time.

/// A text that begins so would be taken for a formula, where it is read from CSV.
pub const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// What is in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    Text,
    /// A number: as text, without an exponent.
    Number,
    Bool,
    /// A date or a time: as text, ISO 8601.
    Date,
    /// An error such as `#REF!`.
    Error,
    /// A formula that has no value: its program never calculated it.
    Formula,
}

impl Form {
    const ALL: [Self; 6] =
        [Self::Text, Self::Number, Self::Bool, Self::Date, Self::Error, Self::Formula];
}

/// A cell. One that is empty has no text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cell<'a> {
    pub text: &'a str,
    pub form: Form,
}

impl<'a> Cell<'a> {
    pub const EMPTY: Self = Self { text: "", form: Form::Text };

    /// A cell with text in it.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self { text, form: Form::Text }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.text.is_empty() && self.form != Form::Formula
    }
}

impl std::fmt::Debug for Cell<'_> {
    /// Without what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cell").field("form", &self.form).finish_non_exhaustive()
    }
}

/// The cells of a row, or texts, in one piece of memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

impl std::fmt::Debug for Packed {
    /// Without what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({} bytes)", self.0.len())
    }
}

/// Bytes of the length of a text.
const LENGTH_BYTES: usize = 3;

impl Packed {
    /// Packs cells. A text of more than 16 MiB is cut: no cell has one.
    #[must_use]
    pub fn new<'a>(cells: impl IntoIterator<Item = Cell<'a>> + Clone) -> Self {
        let size = cells.clone().into_iter().map(|cell| cell.text.len() + 1 + LENGTH_BYTES).sum();
        let mut bytes = Vec::with_capacity(size);
        for cell in cells {
            let text = cell.text.get(..cell.text.len().min((1 << 24) - 1)).unwrap_or_default();
            let length = u32::try_from(text.len()).unwrap_or_default().to_le_bytes();
            bytes.push(cell.form as u8);
            bytes.extend(length.get(..LENGTH_BYTES).unwrap_or_default());
            bytes.extend(text.as_bytes());
        }
        Self(bytes.into_boxed_slice())
    }

    /// The cells.
    pub fn iter(&self) -> impl Iterator<Item = Cell<'_>> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (head, tail) = rest.split_at_checked(1 + LENGTH_BYTES)?;
            let [form, a, b, c] = *head else { return None };
            let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).ok()?;
            let (text, tail) = tail.split_at_checked(length)?;
            rest = tail;
            let form = *Form::ALL.get(usize::from(form))?;
            Some(Cell { text: std::str::from_utf8(text).ok()?, form })
        })
    }

    /// What it takes in memory, beside itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // And what the allocator keeps of a piece.
        if self.0.is_empty() { 0 } else { self.0.len() + 16 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cells_are_read_as_they_were_packed(
            cells in proptest::collection::vec((".{0,20}", 0_usize..6), 0..8)
        ) {
            let cells: Vec<Cell<'_>> = cells
                .iter()
                .map(|(text, form)| Cell { text, form: Form::ALL[*form] })
                .collect();
            let packed = Packed::new(cells.iter().copied());
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), cells);
        }
    }
}
