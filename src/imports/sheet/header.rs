//! Finds the columns of a kind by their titles.

/// A title as titles are compared: in lower case, without accents, and of letters and digits alone.
#[must_use]
pub fn folded(title: &str) -> String {
    title.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
