// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The show: what the page does, by plain HTTP, and what becomes of bad input and of other tenants.

use std::net::SocketAddr;

use hyper::StatusCode;
use serde_json::json;

use crate::client::{Answer, Client};
use crate::{Outcome, say};

pub(crate) async fn play(address: SocketAddr) -> Outcome {
    let north = Client {
        address,
        tenant: "north",
    };
    let south = Client {
        address,
        tenant: "south",
    };
    let nobody = Client {
        address,
        tenant: "nobody",
    };
    is(&north.page().await?, StatusCode::OK, "the page is there")?;
    let refused = nobody.get("/registers").await?;
    is(
        &refused,
        StatusCode::UNAUTHORIZED,
        "who is no tenant sees nothing",
    )?;
    let ada = make(north).await?;
    evolve(north, &ada).await?;
    refuse(north).await?;
    files(north).await?;
    wall(north, south, &ada).await
}

/// A tenant makes a table, and puts rows into it. Gives the path of one.
async fn make(north: Client) -> Outcome<String> {
    let clients = json!({
        "name": "clients",
        "label": "Clients",
        "fields": [
            { "name": "name", "type": { "kind": "text", "length_min": 1 }, "required": true },
            { "name": "city", "type": { "kind": "text" }, "indexed": true },
        ],
    });
    let made = north.post("/registers", &clients).await?;
    is(&made, StatusCode::CREATED, "a tenant makes a table")?;
    let taken = north.post("/registers", &clients).await?;
    is(&taken, StatusCode::CONFLICT, "its name is taken then")?;
    let ada = json!({ "name": "Ada", "city": "London" });
    let ada = north.post("/registers/clients/rows", &ada).await?;
    is(&ada, StatusCode::CREATED, "and puts a row into it")?;
    let bob = json!({ "name": "Bob" });
    let bob = north.post("/registers/clients/rows", &bob).await?;
    is(&bob, StatusCode::CREATED, "one without a city too")?;
    let id = ada.json()["id"].as_str().unwrap_or_default().to_owned();
    Ok(format!("/registers/clients/rows/{id}"))
}

/// A field is added, and everything knows it at once.
async fn evolve(north: Client, ada: &str) -> Outcome {
    let rating = json!({
        "name": "rating",
        "type": { "kind": "integer", "minimum": 1, "maximum": 5 },
    });
    let added = north.post("/registers/clients/fields", &rating).await?;
    is(&added, StatusCode::CREATED, "a field is added")?;
    let rated = north.patch(ada, "\"1\"", &json!({ "rating": 5 })).await?;
    is(&rated, StatusCode::OK, "rows can have it at once")?;
    let late = north.patch(ada, "\"1\"", &json!({ "rating": 1 })).await?;
    is(
        &late,
        StatusCode::CONFLICT,
        "an edit of what was read before does not undo it",
    )?;

    let query = json!({
        "filter": { "field": "rating", "gte": 4 },
        "facets": ["city"],
        "count": "exact",
    });
    let found = north.post("/registers/clients/query", &query).await?;
    is(&found, StatusCode::OK, "it can be asked for")?;
    let found = found.json();
    check(
        found["total"]["rows"] == 1 && found["rows"][0]["name"] == "Ada",
        "and the right row is found",
    )?;
    let sorted = north
        .get("/registers/clients/rows?order_by=-name&size=1")
        .await?;
    check(
        sorted.json()["rows"][0]["name"] == "Bob",
        "rows come in the order that is asked for",
    )?;
    let schema = north.get("/registers/clients/schema.json").await?.json();
    check(
        schema["properties"].get("rating").is_some(),
        "the JSON Schema has the field",
    )?;
    let openapi = north.get("/openapi.json").await?.json();
    let row = &openapi["components"]["schemas"]["row.clients"];
    check(
        row["properties"].get("rating").is_some(),
        "and so has the OpenAPI document",
    )
}

/// Bad input is told where it is bad.
async fn refuse(north: Client) -> Outcome {
    let bad = json!({ "rating": 9, "town": "Paris" });
    let refused = north.post("/registers/clients/rows", &bad).await?;
    is(
        &refused,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a row that does not fit is refused",
    )?;
    let errors = refused.json()["errors"].as_array().map_or(0, Vec::len);
    check(errors == 3, "with all that is wrong with it")?;
    say(format_args!("  {}", refused.json()["detail"]))?;

    let query = json!({ "filter": { "field": "rating", "gte": "many" } });
    let refused = north.post("/registers/clients/query", &query).await?;
    check(
        refused.status.is_client_error(),
        "a question that makes no sense is refused",
    )?;
    say(format_args!("  {}", refused.json()["detail"]))?;
    let broken = north.upload("/registers/clients/rows", "no JSON").await?;
    is(
        &broken,
        StatusCode::BAD_REQUEST,
        "and so is what nobody can read",
    )
}

/// A file goes in and comes out.
async fn files(north: Client) -> Outcome {
    let csv = "name,city,rating\nCleo,Cairo,4\n,Nowhere,1\nDido,\\N,many\n";
    let stopped = north.upload("/registers/clients/import", csv).await?;
    is(
        &stopped,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a file with bad rows is refused as a whole",
    )?;
    let skipped = "/registers/clients/import?on_error=skip";
    let skipped = north.upload(skipped, csv).await?;
    is(&skipped, StatusCode::OK, "or its good rows are taken")?;
    let report = skipped.json();
    check(
        report["created"] == 1 && report["failed"] == 2,
        "and the others are told",
    )?;
    for problem in report["problems"].as_array().unwrap_or(&Vec::new()) {
        say(format_args!("  {problem}"))?;
    }
    let exported = north.get("/registers/clients/export.csv").await?.text();
    check(
        exported.lines().count() == 4 && exported.contains(",Cleo,Cairo,4"),
        "all rows come out again",
    )
}

/// Another tenant sees nothing of it.
async fn wall(north: Client, south: Client, ada: &str) -> Outcome {
    let hidden = south.get("/registers/clients").await?;
    is(
        &hidden,
        StatusCode::NOT_FOUND,
        "another tenant has no such table",
    )?;
    let own = json!({
        "name": "clients",
        "fields": [{ "name": "email", "type": { "kind": "text" } }],
    });
    let made = south.post("/registers", &own).await?;
    is(
        &made,
        StatusCode::CREATED,
        "it can make one of the same name",
    )?;
    let foreign = south.get(ada).await?;
    is(
        &foreign,
        StatusCode::NOT_FOUND,
        "and finds no row of the first in it",
    )?;
    let kept = north.get(ada).await?;
    check(kept.json()["rating"] == 5, "which is as it was")
}

fn is(answer: &Answer, status: StatusCode, what: &str) -> Outcome {
    if answer.status != status {
        let (found, said) = (answer.status, answer.text());
        return Err(format!("this does not hold: {what}; {found} instead: {said}").into());
    }
    check(true, what)
}

fn check(holds: bool, what: &str) -> Outcome {
    if !holds {
        return Err(format!("this does not hold: {what}").into());
    }
    say(format_args!("- {what}"))
}
