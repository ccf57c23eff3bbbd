//! `google.protobuf.Value` and what it is made of.
//!
//! As in `prost_types`, but that the name of a member is written also when it is empty, which Protocol Buffers
//! leave out: Envoy 1.40 ends, with everything that it does, over an object in an answer that has a member
//! without a name.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message, Oneof,
    encoding::{self, DecodeContext, WireType},
};

/// Any JSON.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

/// What a value is.
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// The only value of its enum.
    #[prost(int32, tag = "1")]
    NullValue(i32),
    #[prost(double, tag = "2")]
    NumberValue(f64),
    #[prost(string, tag = "3")]
    StringValue(String),
    #[prost(bool, tag = "4")]
    BoolValue(bool),
    #[prost(message, tag = "5")]
    StructValue(Struct),
    #[prost(message, tag = "6")]
    ListValue(ListValue),
}

/// A JSON list.
#[derive(Clone, PartialEq, Message)]
pub struct ListValue {
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// A JSON object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Struct {
    pub fields: BTreeMap<String, Value>,
}

/// The fields of a member.
const NAME: u32 = 1;
const VALUE: u32 = 2;

fn member_len(name: &String, value: &Value) -> usize {
    encoding::string::encoded_len(NAME, name) + encoding::message::encoded_len(VALUE, value)
}

impl Message for Struct {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for (name, value) in &self.fields {
            encoding::encode_key(1, WireType::LengthDelimited, buf);
            encoding::encode_varint(member_len(name, value) as u64, buf);
            encoding::string::encode(NAME, name, buf);
            encoding::message::encode(VALUE, value, buf);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != 1 {
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        let (name, value) = (encoding::string::merge, encoding::message::merge);
        encoding::btree_map::merge(name, value, &mut self.fields, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        let members = self.fields.iter().map(|(name, value)| {
            let len = member_len(name, value);
            encoding::key_len(1) + encoding::encoded_len_varint(len as u64) + len
        });
        members.sum()
    }

    fn clear(&mut self) {
        self.fields.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value { kind: Some(Kind::StringValue(text.to_owned())) }
    }

    fn members(members: &[(&str, Value)]) -> Struct {
        let fields = members.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Struct { fields: fields.collect() }
    }

    #[test]
    fn a_name_is_written_also_when_it_is_empty() {
        let bytes = members(&[("", text("x"))]).encode_to_vec();
        assert_eq!(bytes, b"\x0a\x07\x0a\x00\x12\x03\x1a\x01x");
        assert_eq!(Struct::decode(bytes.as_slice()), Ok(members(&[("", text("x"))])));
        // By others it is left out.
        let short = b"\x0a\x05\x12\x03\x1a\x01x".as_slice();
        assert_eq!(Struct::decode(short), Ok(members(&[("", text("x"))])));
    }

    #[test]
    fn all_else_is_as_everybody_writes_it() {
        let list = ListValue { values: vec![text("ä"), Value { kind: None }] };
        let kinds = [
            Kind::NullValue(0),
            Kind::NumberValue(0.0),
            Kind::NumberValue(-0.5),
            Kind::StringValue(String::new()),
            Kind::BoolValue(false),
            Kind::StructValue(members(&[("b", text("c")), ("d", text(""))])),
            Kind::ListValue(list),
            Kind::StructValue(Struct::default()),
        ];
        for kind in kinds {
            let inner = members(&[("a", Value { kind: Some(kind) })]);
            let bytes = inner.encode_to_vec();
            assert_eq!(bytes.len(), inner.encoded_len());
            let theirs = prost_types::Struct::decode(bytes.as_slice()).unwrap();
            assert_eq!(theirs.encode_to_vec(), bytes, "{inner:?}");
            assert_eq!(Struct::decode(bytes.as_slice()), Ok(inner));
        }
    }
}
