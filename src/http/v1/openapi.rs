//! The OpenAPI 3.1 document, made from the table of routes and the shapes. What is served is `openapi.json`: a program does not need
//! to carry what makes it.

use serde_json::{Value, json};

use super::problem::Sort;
use super::routes::{Brings, ROUTES, Route};
use super::shape::{Object, Shape, reference};
use super::{CAPTURE, IDEMPOTENCY_KEY, KEY_BYTES};

/// The document as `openapi.json` has to have it.
pub fn document() -> Value {
    let mut paths = Object::new();
    let mut schemas = Object::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_ascii_lowercase(), operation(route));
        }
        if let Some(shape) = route.body {
            shape.visit(&mut |shape| put(&mut schemas, shape, true));
        }
    }
    // What is in a request as well stays as strict in answers.
    for route in &ROUTES {
        let shape = match route.brings {
            Brings::One(shape) | Brings::Page(shape) | Brings::Made(shape, _) | Brings::Put(shape) => shape,
            Brings::Nothing | Brings::Capture => continue,
        };
        shape.visit(&mut |shape| put(&mut schemas, shape, false));
        if matches!(route.brings, Brings::Page(_)) {
            let next = json!({
                "type": ["string", "null"],
                "description": "The `cursor` of the next page; null on the last.",
            });
            let items = json!({ "type": "array", "items": reference(shape) });
            let page = json!({
                "type": "object",
                "properties": { "items": items, "next": next },
                "required": ["items", "next"],
            });
            schemas.insert(format!("{}Page", shape.name), page);
        }
    }
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "millrace",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Users, groups, members, pins, and what is live. See docs/rest-v1.md.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "app": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The server's admin token, or a user's token.",
                },
                "app": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "An app's id and secret, for its own users and groups.",
                },
            },
            "responses": failures(),
        },
    })
}

fn put(schemas: &mut Object, shape: &Shape, closed: bool) {
    if !schemas.contains_key(shape.name) {
        schemas.insert(shape.name.to_owned(), shape.schema(closed));
    }
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.about,
        "parameters": parameters(route),
        "responses": responses(route),
    });
    if let Some(operation) = operation.as_object_mut().filter(|_| route.of_server) {
        operation.insert("security".to_owned(), json!([{ "token": [] }]));
    }
    if let (Some(operation), Some(shape)) = (operation.as_object_mut(), route.body) {
        let mut content = json!({ "application/json": { "schema": reference(shape) } });
        if let Some(content) = content.as_object_mut().filter(|_| route.method == "PATCH") {
            let patch = json!({ "schema": reference(shape) });
            content.insert("application/merge-patch+json".to_owned(), patch);
        }
        let body = json!({ "required": route.body_needed(), "content": content });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let parameter = |place: &str, needed: bool, field: &super::shape::Field| {
        let (name, schema) = (field.name, field.schema());
        json!({ "name": name, "in": place, "required": needed, "schema": schema })
    };
    let mut all: Vec<Value> = route.parameters().map(|field| parameter("path", true, field)).collect();
    all.extend(route.query.iter().map(|field| parameter("query", false, field)));
    if route.method == "POST" {
        all.push(json!({
            "name": IDEMPOTENCY_KEY.as_str(),
            "in": "header",
            "required": false,
            "description": "Sent again with the same key, it is carried out once, and answered as the first time.",
            "schema": { "type": "string", "pattern": format!("^[!-~]{{1,{KEY_BYTES}}}$") },
        }));
    }
    if guarded(route) {
        all.push(json!({
            "name": "if-match",
            "in": "header",
            "required": false,
            "description": "The ETag of the version that is changed: another one is not (412).",
            "schema": { "type": "string", "pattern": r#"^(\*|(W/)?"[!#-~]*")$"# },
        }));
    }
    all
}

fn guarded(route: &Route) -> bool {
    route.tagged && matches!(route.method, "PUT" | "PATCH" | "DELETE")
}

fn responses(route: &Route) -> Object {
    let mut all = Object::new();
    let text = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    let one = |about: &str, schema: Value, location: bool| {
        let mut headers = Object::new();
        if route.tagged {
            headers.insert("ETag".to_owned(), text("Its version."));
        }
        if location {
            headers.insert("Location".to_owned(), text("Where it is."));
        }
        let content = json!({ "application/json": { "schema": schema } });
        json!({ "description": about, "headers": headers, "content": content })
    };
    match route.brings {
        Brings::One(shape) => {
            all.insert("200".to_owned(), one("Here it is.", reference(shape), false));
        }
        Brings::Page(shape) => {
            let schema = json!({ "$ref": format!("#/components/schemas/{}Page", shape.name) });
            all.insert("200".to_owned(), one("Here they are.", schema, false));
        }
        Brings::Made(shape, location) => {
            all.insert("201".to_owned(), one("It was made.", reference(shape), location));
        }
        Brings::Put(shape) => {
            all.insert("200".to_owned(), one("It was changed.", reference(shape), false));
            all.insert("201".to_owned(), one("It was made.", reference(shape), true));
        }
        Brings::Capture => {
            let content = json!({ CAPTURE: { "schema": { "type": "string", "format": "binary" } } });
            all.insert("200".to_owned(), json!({ "description": "Here they are.", "content": content }));
        }
        Brings::Nothing => {
            all.insert("204".to_owned(), json!({ "description": "It is done." }));
        }
    }
    for sort in Sort::ALL {
        if meets(route, sort) {
            let status = sort.told().0.to_string();
            all.insert(status.clone(), json!({ "$ref": format!("#/components/responses/{status}") }));
        }
    }
    all
}

/// Whether an operation may meet this problem.
fn meets(route: &Route, sort: Sort) -> bool {
    let body = route.body.is_some();
    match sort {
        Sort::Unauthorized | Sort::Forbidden | Sort::TooMany | Sort::Unavailable | Sort::Invalid => true,
        Sort::Malformed | Sort::Timeout | Sort::TooLarge | Sort::MediaType => body,
        Sort::NotFound => true,
        Sort::Conflict | Sort::Full => route.method != "GET",
        Sort::Changed => guarded(route),
        // The document has no operation for it.
        Sort::NotAllowed => false,
    }
}

/// The answers to requests that fail, by status.
fn failures() -> Object {
    let mut all = Object::new();
    for sort in Sort::ALL {
        let (status, _, title) = sort.told();
        let content =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        all.insert(status.to_string(), json!({ "description": format!("{title}."), "content": content }));
    }
    all
}

fn problem() -> Value {
    let types: Vec<String> =
        Sort::ALL.iter().map(|sort| format!("/docs/rest-v1.md#{}", sort.told().1)).collect();
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "enum": types, "description": "Which problem, for programs." },
            "title": { "type": "string", "description": "Which problem, for people." },
            "status": { "type": "integer", "description": "The status of the answer." },
            "detail": { "type": "string", "description": "What to do about it." },
            "errors": {
                "type": "array",
                "description": "What is wrong, value by value.",
                "items": {
                    "type": "object",
                    "required": ["detail"],
                    "properties": {
                        "pointer": { "type": "string", "description": "Where in the body (RFC 6901)." },
                        "parameter": { "type": "string", "description": "Which parameter or header." },
                        "detail": { "type": "string", "description": "What was expected." },
                    },
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/v1/openapi.json");
        let made = format!("{:#}\n", document());
        if std::env::var_os("MILLRACE_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &made).expect("the file can be written");
        }
        let written = std::fs::read_to_string(path).expect("the file is there");
        assert!(
            written == made,
            "run this test again with MILLRACE_WRITE_OPENAPI=1, and commit openapi.json"
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(value: &Value, document: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        let pointer = to.strip_prefix('#').expect("inside");
                        assert!(document.pointer(pointer).is_some(), "{to}");
                    }
                    members.values().for_each(|value| walk(value, document));
                }
                Value::Array(values) => values.iter().for_each(|value| walk(value, document)),
                _ => {}
            }
        }
        let document = document();
        walk(&document, &document);
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn one_name_is_one_shape() {
        let mut known: std::collections::BTreeMap<&str, *const Shape> = std::collections::BTreeMap::new();
        let mut see = |shape: &'static Shape| {
            let before = known.insert(shape.name, std::ptr::from_ref(shape));
            assert!(before.is_none_or(|before| std::ptr::eq(before, shape)), "{}", shape.name);
        };
        for route in &ROUTES {
            if let Some(shape) = route.body {
                shape.visit(&mut see);
            }
            match route.brings {
                Brings::One(shape) | Brings::Page(shape) | Brings::Made(shape, _) | Brings::Put(shape) => {
                    shape.visit(&mut see);
                }
                Brings::Nothing | Brings::Capture => {}
            }
        }
    }

    #[test]
    fn every_problem_is_explained_in_the_guide() {
        let guide = include_str!("../../../docs/rest-v1.md");
        for sort in Sort::ALL {
            let (status, slug, _) = sort.told();
            let row = format!("| <a id=\"{slug}\"></a>`{slug}` | {status} |");
            assert!(guide.contains(&row), "docs/rest-v1.md lacks {row}");
        }
    }
}
