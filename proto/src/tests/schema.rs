//! `proto/synod.proto` says the same as `src/wire.rs`.

use std::collections::BTreeSet;

/// `Message.field = number: type`, of which both must have the same.
type Fields = BTreeSet<String>;

#[test]
fn the_schema_for_readers_is_the_one_in_use() {
    let schema = fields_of_schema(include_str!("../../proto/synod.proto"));
    let code = fields_of_code(include_str!("../wire.rs"));
    assert!(schema.len() > 80, "only {} fields found", schema.len());
    let only_schema: Vec<_> = schema.difference(&code).collect();
    let only_code: Vec<_> = code.difference(&schema).collect();
    assert_eq!((only_schema, only_code), (vec![], vec![]));
}

#[test]
fn a_changed_number_is_seen() {
    let schema = include_str!("../../proto/synod.proto");
    let changed = schema.replace("uint64 probe = 2;", "uint64 probe = 9;");
    assert_ne!(fields_of_schema(schema), fields_of_schema(&changed));
    assert_ne!(fields_of_schema(&changed), fields_of_code(include_str!("../wire.rs")));
}

/// Lines such as `repeated Member voters = 2; // …`; those of a `oneof` belong to its message.
fn fields_of_schema(text: &str) -> Fields {
    let mut message = "";
    let mut fields = Fields::new();
    for line in text.lines().map(str::trim) {
        let line = line.split("//").next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix("message ") {
            message = name.trim_end_matches(" {");
        } else if let Some((left, number)) =
            line.strip_suffix(';').and_then(|l| l.split_once(" = "))
            && number.parse::<u32>().is_ok()
        {
            let (kind, name) = left.rsplit_once(' ').unwrap();
            fields.insert(format!("{message}.{name} = {number}: {kind}"));
        }
    }
    fields
}

/// Pairs of lines such as `#[prost(message, repeated, tag = "2")]` and `voters: Vec<Member>,`.
/// An arm of a `oneof` belongs to the struct before its module.
fn fields_of_code(text: &str) -> Fields {
    let (mut message, mut attribute) = ("", None);
    let mut fields = Fields::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub(crate) struct ") {
            message = name.trim_end_matches(" {");
        } else if let Some(inside) = line.strip_prefix("#[prost(") {
            attribute = inside.strip_suffix(")]").filter(|inside| inside.contains("tag = "));
        } else if let Some(inside) = attribute.take() {
            let mut parts: Vec<&str> = inside.split(", ").collect();
            let number = parts.pop().unwrap().trim_matches(|c: char| !c.is_ascii_digit());
            let (name, rust) = match line.split_once(": ") {
                Some((name, kind)) => (name.trim_start_matches("pub(crate) ").to_owned(), kind),
                None => {
                    let (arm, kind) = line.split_once('(').unwrap();
                    (snake_case(arm), kind)
                }
            };
            let kind = match parts[0] {
                "message" => rust.rsplit([':', '<']).next().unwrap().trim_matches([')', ',', '>']),
                "bytes = \"bytes\"" => "bytes",
                scalar => scalar,
            };
            let label = match parts.get(1) {
                Some(&"repeated") => "repeated ",
                Some(&"optional") if parts[0] != "message" => "optional ",
                _ => "",
            };
            fields.insert(format!("{message}.{name} = {number}: {label}{kind}"));
        }
    }
    fields
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
