//! What the descriptor set says: services, their HTTP rules, and the comments of the proto files.

use std::collections::{BTreeSet, HashMap};

use prost_reflect::{
    DescriptorError, DescriptorPool, DynamicMessage, FileDescriptor, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor, Value,
};

/// The package whose services are described.
const PACKAGE: &str = "tap.v1";
/// The service that is described first.
const FIRST: &str = "TapAnalytics";

/// The descriptor set, with its comments at hand.
#[derive(Debug)]
pub(super) struct Source {
    pool: DescriptorPool,
    /// By file, and by the path of the element in it.
    comments: HashMap<(String, Vec<i32>), String>,
}

/// How one method is called by HTTP.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// In small letters.
    pub verb: &'static str,
    /// With the names of the proto file in braces.
    pub path: String,
    /// `*`, a field, or nothing.
    pub body: String,
}

impl Source {
    pub(super) fn read(descriptors: &[u8]) -> Result<Self, DescriptorError> {
        let pool = DescriptorPool::decode(descriptors)?;
        let mut comments = HashMap::new();
        for file in pool.file_descriptor_protos() {
            let info = file.source_code_info.iter();
            for location in info.flat_map(|info| &info.location) {
                if let Some(comment) = &location.leading_comments {
                    comments.insert((file.name().to_owned(), location.path.clone()), flow(comment));
                }
            }
        }
        Ok(Self { pool, comments })
    }

    /// Our services: what the product is for comes first.
    pub(super) fn services(&self) -> Vec<ServiceDescriptor> {
        let ours = |service: &ServiceDescriptor| service.package_name() == PACKAGE;
        let mut services: Vec<_> = self.pool.services().filter(ours).collect();
        services.sort_by_key(|service| service.name() != FIRST);
        services
    }

    /// The paths of our RPCs.
    pub(super) fn methods(&self) -> BTreeSet<String> {
        self.services()
            .iter()
            .flat_map(ServiceDescriptor::methods)
            .map(|method| path(&method))
            .collect()
    }

    pub(super) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(name)
    }

    /// The comment on an element, its lines joined to paragraphs.
    pub(super) fn comment(&self, file: &FileDescriptor, path: &[i32]) -> Option<&str> {
        let comment = self.comments.get(&(file.name().to_owned(), path.to_vec()))?;
        Some(comment.as_str()).filter(|comment| !comment.is_empty())
    }

    /// Every way to call a method by HTTP, the first one first.
    pub(super) fn rules(&self, method: &MethodDescriptor) -> Vec<Rule> {
        let Some(http) = self.pool.get_extension_by_name("google.api.http") else {
            return Vec::new();
        };
        let options = method.options();
        if !options.has_extension(&http) {
            return Vec::new();
        }
        let first = options.get_extension(&http).into_owned();
        let Value::Message(first) = first else { return Vec::new() };
        let more = first.get_field_by_name("additional_bindings");
        let more = more.as_deref().and_then(Value::as_list).unwrap_or_default();
        let more = more.iter().filter_map(Value::as_message);
        std::iter::once(&first).chain(more).filter_map(rule).collect()
    }
}

fn rule(rule: &DynamicMessage) -> Option<Rule> {
    let text = |name: &str| {
        let value = rule.get_field_by_name(name)?;
        Some(value.as_str()?.to_owned()).filter(|text| !text.is_empty())
    };
    let verbs = ["get", "put", "post", "delete", "patch"];
    let (verb, path) = verbs.into_iter().find_map(|verb| Some((verb, text(verb)?)))?;
    Some(Rule { verb, path, body: text("body").unwrap_or_default() })
}

/// The path by which gRPC calls a method.
pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// A comment with its lines joined, but for those that begin a paragraph or an item of a list. What it says to
/// the linter is left out.
fn flow(comment: &str) -> String {
    let mut text = String::new();
    for line in comment.lines().map(str::trim).filter(|line| !line.starts_with("buf:lint:")) {
        let begins = line.is_empty() || line.starts_with("* ") || line.starts_with("- ");
        if begins {
            text.push('\n');
        } else if !text.is_empty() && !text.ends_with('\n') {
            text.push(' ');
        }
        text.push_str(line);
        if line.is_empty() {
            text.push('\n');
        }
    }
    text.trim().to_owned()
}

/// The first sentence of a comment, without its full stop.
pub(super) fn first_sentence(comment: &str) -> &str {
    let end = [". ", ".\n"].iter().filter_map(|end| comment.find(end)).min();
    comment[..end.unwrap_or(comment.len())].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_paragraphs_and_items_are_kept() {
        let comment = " One\n two.\n\n Three:\n * four\n   five\n * six\n\n buf:lint:ignore RULE\n";
        assert_eq!(flow(comment), "One two.\n\nThree:\n* four five\n* six");
        assert_eq!(first_sentence("One `a.b` two. Three."), "One `a.b` two");
        assert_eq!(first_sentence("One.\n\nTwo. Three."), "One");
        assert_eq!(first_sentence("One."), "One");
    }
}
