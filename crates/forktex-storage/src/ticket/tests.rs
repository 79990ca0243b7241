// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which tickets are made, and which are refused.

use super::*;
use crate::{MemoryConfig, StorageConfig};

async fn storage() -> Storage {
    let config = StorageConfig::new(MemoryConfig::new())
        .ticket_key("the key of the tests' tickets, 32 bytes or more");
    Storage::open(config).await.unwrap()
}

async fn refusal(request: UploadTicketRequest) -> String {
    request.await.unwrap_err().to_string()
}

#[test]
fn the_quarantine_of_each_scope_is_known() {
    for inside in [
        "quarantine",
        "quarantine/a",
        "org/a/quarantine/b",
        "org/a/org/b/quarantine/c",
    ] {
        assert!(is_quarantined(inside), "{inside}");
    }
    for outside in [
        "a",
        "quarantined/a",
        "a/quarantine/b",
        "org/quarantine",
        "org/a/b/quarantine",
    ] {
        assert!(!is_quarantined(outside), "{outside}");
    }
}

#[tokio::test]
async fn a_ticket_needs_a_key_to_be_signed_with() {
    let error = Storage::memory()
        .upload_ticket("a")
        .bytes_max(1)
        .await
        .unwrap_err();
    assert!(
        matches!(error, StorageError::Config(ConfigError::NoTicketKey)),
        "{error}"
    );
}

#[tokio::test]
async fn terms_that_cannot_hold_are_refused_when_the_ticket_is_made() {
    let storage = storage().await;
    let ticket = || storage.upload_ticket("a.png").bytes_max(10);
    assert!(
        refusal(storage.upload_ticket("a.png"))
            .await
            .contains("bytes_max")
    );
    assert!(refusal(ticket().bytes_min(11)).await.contains("bytes_min"));
    assert!(refusal(ticket().ttl(Duration::ZERO)).await.contains("ttl"));
    assert!(
        refusal(ticket().download_as(""))
            .await
            .contains("download_as")
    );
    assert!(
        refusal(ticket().cache_control("a\nb"))
            .await
            .contains("cache_control")
    );
    assert!(
        refusal(ticket().metadata(TICKET_NAME, "x"))
            .await
            .contains(TICKET_NAME)
    );
    assert!(
        refusal(ticket().metadata("a", "x".repeat(1_890)))
            .await
            .contains("metadata")
    );
    for bad in ["png", "*/png", "image/", "image/png; a=b", "im age/*", ""] {
        assert!(
            refusal(ticket().content_types([bad]))
                .await
                .contains("content_types"),
            "{bad}"
        );
    }
    let many = vec!["image/png"; TYPES_MAX + 1];
    assert!(
        refusal(ticket().content_types(many))
            .await
            .contains("at most 50")
    );
    let inside = storage.upload_ticket("quarantine/a").bytes_max(1);
    assert!(refusal(inside).await.contains("quarantine"));
}

#[tokio::test]
async fn a_ticket_shows_no_token_and_is_json_for_a_client() {
    let ticket = storage()
        .await
        .upload_ticket("a")
        .bytes_max(1)
        .await
        .unwrap();
    assert!(!format!("{ticket:?}").contains(&ticket.token));
    assert!(ticket.quarantine.as_str().starts_with("quarantine/"));
    let json = serde_json::to_value(&ticket).unwrap();
    assert_eq!(json["upload"]["kind"], "in_process");
    assert_eq!(json["token"], ticket.token.as_str());
}
