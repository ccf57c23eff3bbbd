//! JSON whose members stay in the order in which they were put: a page shows fields as the proto file has them.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Plain(Value),
    List(Vec<Self>),
    Object(Object),
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(String, Json)>);

impl Object {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The object with one member more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.put(name, value);
        self
    }

    /// The object with one member more, if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Json>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a member, or replaces the one of this name.
    pub fn put(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::Plain(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(list: Vec<Self>) -> Self {
        Self::List(list)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Plain(text.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Plain(text.into())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Plain(value.into())
    }
}

impl Display for Json {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(value) => value.fmt(to),
            Self::List(items) => {
                to.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(to, "{}{item}", if at > 0 { "," } else { "" })?;
                }
                to.write_str("]")
            }
            Self::Object(Object(members)) => {
                to.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    let name = Value::from(name.as_str());
                    write!(to, "{}{name}:{value}", if at > 0 { "," } else { "" })?;
                }
                to.write_str("}")
            }
        }
    }
}
