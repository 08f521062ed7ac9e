//! Completes the OpenAPI document that is made from the routes.

use axum::body::Bytes;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::server::Server;

use crate::figures;

/// The document as JSON, for an application under `base_path`.
///
/// As bytes: the router, with what its handlers hold, is copied for every connection.
pub fn complete(mut document: OpenApi, base_path: &str) -> anyhow::Result<Bytes> {
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("token", token);
    figures::add_media_types(&mut document);
    if !base_path.is_empty() {
        document.servers = Some(vec![Server::new(base_path)]);
    }
    let mut document = serde_json::to_value(&document)?;
    describe_kind(&mut document["components"]["schemas"]);
    Ok(Bytes::from(serde_json::to_vec(&document)?))
}

/// Describes the field `kind` in the configuration of each kind of run.
///
/// It would otherwise stand beside a schema that permits no further fields, and nothing satisfies both.
fn describe_kind(schemas: &mut Value) {
    let Some(variants) = schemas["RunConfig"]["oneOf"].as_array().cloned() else { return };
    let mut mapping = serde_json::Map::new();
    let mut references = Vec::new();
    for variant in &variants {
        let (reference, kind) = (&variant["allOf"][0]["$ref"], &variant["allOf"][1]["properties"]["kind"]);
        let (Some(name), Some(id)) = (reference.as_str().and_then(|path| path.rsplit('/').next()), kind["enum"][0].as_str()) else {
            return;
        };
        let config = &mut schemas[name];
        config["properties"]["kind"] = kind.clone();
        match config["required"].as_array_mut() {
            Some(required) => required.push("kind".into()),
            None => config["required"] = json!(["kind"]),
        }
        mapping.insert(id.to_owned(), reference.clone());
        references.push(json!({ "$ref": reference }));
    }
    let description = schemas["RunConfig"]["description"].clone();
    let discriminator = json!({ "propertyName": "kind", "mapping": mapping });
    schemas["RunConfig"] = json!({ "oneOf": references, "discriminator": discriminator, "description": description });
}
