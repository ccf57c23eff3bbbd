//! Every RPC of the descriptor set, and how its requests look as HTTP.

use std::{fmt::Write as _, sync::LazyLock};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor,
};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tap_analytics::{auth::Route, proto::DESCRIPTORS};

/// The descriptor set that is served.
pub static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap());

/// An RPC.
#[derive(Clone, Debug)]
pub struct Rpc(MethodDescriptor);

/// A form of an RPC as HTTP.
#[derive(Clone, Debug)]
pub struct Binding {
    pub verb: Method,
    /// Such as `/v1/apiKeys/{id}`.
    pub path: String,
    /// The field that is the body: `*` for all that are not in the path, empty for none.
    pub body: String,
}

/// Every RPC of ours, in the order of the descriptor set.
pub fn rpcs() -> Vec<Rpc> {
    let services = POOL.services().filter(|service| service.package_name() == "tap.v1");
    services.flat_map(|service| service.methods().map(Rpc).collect::<Vec<_>>()).collect()
}

impl Rpc {
    /// The RPC of a name such as `ApiKeys/GetApiKey`.
    pub fn of(name: &str) -> Self {
        let found = rpcs().into_iter().find(|rpc| rpc.name() == name);
        found.unwrap_or_else(|| panic!("there is no RPC {name}"))
    }

    /// Such as `ApiKeys/GetApiKey`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.0.parent_service().name(), self.0.name())
    }

    /// As gRPC calls it.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.0.parent_service().full_name(), self.0.name())
    }

    /// Its row in the access table.
    pub fn route(&self) -> Route {
        Route::of(&self.path()).0
    }

    pub fn answers_in_frames(&self) -> bool {
        self.0.is_server_streaming()
    }

    pub fn is_sent_in_frames(&self) -> bool {
        self.0.is_client_streaming()
    }

    /// The descriptor of its request.
    pub fn input(&self) -> MessageDescriptor {
        self.0.input()
    }

    /// The request of this JSON; names that are not known are an error.
    pub fn request(&self, json: &Value) -> DynamicMessage {
        message(&self.input(), json)
    }

    /// The descriptor of its answer.
    pub fn answer(&self) -> MessageDescriptor {
        self.0.output()
    }

    /// Whether what it answers is sent by HTTP as it is, whatever it is.
    pub fn answers_with_a_file(&self) -> bool {
        self.answer().full_name() == "google.api.HttpBody"
    }

    /// Whether a field of it is what is sent by HTTP, whatever it is.
    pub fn takes_a_file(&self) -> bool {
        self.input().fields().any(|field| is_a(&field, "google.api.HttpBody"))
    }

    /// Its forms as HTTP, from the annotations: that they are there at all is what Envoy depends on. What
    /// is sent in frames has none, unless the frames are those of a file.
    pub fn bindings(&self) -> Vec<Binding> {
        let http = POOL.get_extension_by_name("google.api.http").unwrap();
        let options = self.0.options();
        assert_eq!(
            options.has_extension(&http),
            !self.is_sent_in_frames() || self.takes_a_file(),
            "HTTP rule of {}",
            self.name()
        );
        if !options.has_extension(&http) {
            return Vec::new();
        }
        let rule = options.get_extension(&http);
        let rule = rule.as_message().unwrap();
        let more = rule.get_field_by_name("additional_bindings").unwrap();
        let more = more.as_list().unwrap().iter().map(|rule| rule.as_message().unwrap().clone());
        let rules: Vec<DynamicMessage> = std::iter::once(rule.clone()).chain(more).collect();
        rules.iter().filter_map(Binding::of).collect()
    }
}

/// The message of this JSON.
pub fn message(descriptor: &MessageDescriptor, json: &Value) -> DynamicMessage {
    DynamicMessage::deserialize(descriptor.clone(), json)
        .unwrap_or_else(|error| panic!("{json} is no {}: {error}", descriptor.full_name()))
}

/// The one form of a message as JSON: what has its default is left out.
pub fn canonical(message: &DynamicMessage) -> Value {
    serde_json::to_value(message).unwrap()
}

impl Binding {
    fn of(rule: &DynamicMessage) -> Option<Self> {
        let text = |name: &str| rule.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        let verbs = ["get", "post", "put", "patch", "delete"];
        let verb = verbs.into_iter().find(|verb| rule.has_field_by_name(verb))?;
        let method = verb.to_uppercase().parse().unwrap();
        Some(Self { verb: method, path: text(verb), body: text("body") })
    }

    /// A request in this form: path, query and body. The request is in its one form, of this RPC.
    pub fn http(&self, rpc: &Rpc, request: &Value) -> (String, Option<Value>) {
        let mut rest = request.as_object().unwrap().clone();
        let mut path = String::new();
        let mut template = self.path.as_str();
        while let Some((before, after)) = template.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            let field = rpc.input().get_field_by_name(name).unwrap();
            let value = rest.remove(field.json_name()).unwrap_or_default();
            path.push_str(before);
            let text = match &value {
                Value::Number(number) => number.to_string(),
                value => value.as_str().unwrap_or_default().to_owned(),
            };
            path.push_str(&escaped(&text));
            template = after;
        }
        path.push_str(template);
        let body = match self.body.as_str() {
            "" => None,
            "*" => Some(Value::Object(std::mem::take(&mut rest))),
            field => match rest.remove(field) {
                // Of a value an empty object is one, too: none is no body.
                None if is_value(rpc, field) => None,
                body => Some(body.unwrap_or_else(|| json!({}))),
            },
        };
        let mut pairs = Vec::new();
        flatten("", &rest, &mut pairs);
        let query: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        (path, body)
    }
}

/// Whether a field is any JSON.
pub fn is_value(rpc: &Rpc, field: &str) -> bool {
    let field = rpc.input().get_field_by_name(field);
    field.is_some_and(|field| is_a(&field, "google.protobuf.Value"))
}

fn is_a(field: &FieldDescriptor, message: &str) -> bool {
    field.kind().as_message().is_some_and(|known| known.full_name() == message)
}

/// The fields of a message as they are written in a query.
fn flatten(prefix: &str, fields: &Map<String, Value>, pairs: &mut Vec<(String, String)>) {
    for (name, value) in fields {
        let name = format!("{prefix}{name}");
        let values = match value {
            Value::Object(fields) => {
                flatten(&format!("{name}."), fields, pairs);
                continue;
            }
            Value::Array(values) => values.clone(),
            value => vec![value.clone()],
        };
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            pairs.push((name.clone(), text));
        }
    }
}

/// A text as it is written in a path or a query.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
    }
    escaped
}

#[test]
fn requests_are_written_as_their_annotations_say() {
    let http = |name: &str, nth: usize, request: Value| {
        let rpc = Rpc::of(name);
        let request = canonical(&rpc.request(&request));
        let binding = rpc.bindings().swap_remove(nth);
        let (path, body) = binding.http(&rpc, &request);
        (binding.verb.to_string(), path, body)
    };
    let query = json!({"start_date": "2023-01-01", "interval": "WEEK", "tagUids": ["a", "b:c"]});
    let all = json!({"startDate": "2023-01-01", "interval": "WEEK", "tagUids": ["a", "b:c"]});
    let in_query = "startDate=2023-01-01&interval=WEEK&tagUids=a&tagUids=b%3Ac";
    assert_eq!(
        http("TapAnalytics/QueryTaps", 0, query.clone()),
        ("POST".to_owned(), "/v1/taps:query".to_owned(), Some(all.clone()))
    );
    let (verb, path, body) = http("TapAnalytics/QueryTaps", 1, query.clone());
    assert_eq!((verb.as_str(), body), ("GET", None));
    let mut pairs: Vec<_> = path.strip_prefix("/v1/taps:query?").unwrap().split('&').collect();
    let mut expected: Vec<_> = in_query.split('&').collect();
    pairs.sort_unstable();
    expected.sort_unstable();
    assert_eq!(pairs, expected);
    let watch = json!({"query": query, "resumeToken": "x/y"});
    let (_, path, body) = http("TapAnalytics/WatchTaps", 0, watch.clone());
    assert_eq!((path.as_str(), body), ("/v1/taps:watch?resumeToken=x%2Fy", Some(all)));
    let (_, path, _) = http("TapAnalytics/WatchTaps", 1, watch);
    assert!(path.contains("query.tagUids=b%3Ac") && path.contains("resumeToken=x%2Fy"), "{path}");
    let rotate = json!({"id": "a b", "overlap": "60s"});
    assert_eq!(
        http("ApiKeys/RotateApiKey", 0, rotate),
        ("POST".to_owned(), "/v1/apiKeys/a%20b:rotate".to_owned(), Some(json!({"overlap": "60s"})))
    );
    let decided = |request: Value| http("Dialogs/SetConsent", 0, request);
    let (_, path, body) = decided(json!({"dialogId": "d", "body": false}));
    assert_eq!((path.as_str(), body), ("/v1/consents/d", Some(json!(false))));
    let (_, path, body) = decided(json!({"dialogId": "d", "granted": true}));
    assert_eq!((path.as_str(), body), ("/v1/consents/d?granted=true", None));
}
