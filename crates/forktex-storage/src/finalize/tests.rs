// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The states of a ticket, on memory: one test for each row of the tables.

use super::*;
use crate::{MemoryConfig, StorageConfig, UploadTicket, UploadTicketRequest};
use time::OffsetDateTime;
use time::macros::datetime;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and more";
const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn config() -> StorageConfig {
    StorageConfig::new(MemoryConfig::new())
        .bucket("other", MemoryConfig::new())
        .ticket_key("the key of the tests' tickets, 32 bytes or more")
}

async fn storage() -> Storage {
    Storage::open(config()).await.unwrap()
}

fn images(storage: &Storage) -> UploadTicketRequest {
    storage
        .upload_ticket("a.png")
        .bytes_max(100)
        .content_types(["image/*"])
}

async fn uploaded(storage: &Storage, bytes: &'static [u8]) -> UploadTicket {
    let ticket = images(storage).await.unwrap();
    storage.put(&ticket.quarantine, bytes).await.unwrap();
    ticket
}

async fn rejection(storage: &Storage, ticket: &UploadTicket) -> Rejection {
    let error = storage.finalize(&ticket.token).await.unwrap_err();
    assert!(
        !storage.exists(&ticket.quarantine).await.unwrap(),
        "it is deleted"
    );
    match error {
        FinalizeError::Rejected(rejection) => rejection,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_fits_is_placed_with_what_the_ticket_says() {
    let storage = storage().await;
    let ticket = images(&storage)
        .download_as("cat.png")
        .cache_control("private")
        .metadata("owner", "ada")
        .sha256(Sha256Digest::of(PNG))
        .await
        .unwrap();
    storage.put(&ticket.quarantine, PNG).await.unwrap();
    let finalized = storage.finalize(&ticket.token).await.unwrap();
    assert!(!finalized.repeated);
    assert_eq!(finalized.stored.sha256, Sha256Digest::of(PNG));
    assert_eq!(finalized.stored.key.as_str(), "a.png");
    assert!(!storage.exists(&ticket.quarantine).await.unwrap());

    let info = storage.head("a.png").await.unwrap();
    assert_eq!(info.content_type.unwrap().as_str(), "image/png");
    assert!(info.content_disposition.unwrap().contains("cat.png"));
    assert_eq!(info.cache_control.as_deref(), Some("private"));
    assert_eq!(info.metadata.get("owner").map(String::as_str), Some("ada"));
}

#[tokio::test]
async fn what_was_not_uploaded_can_be_uploaded_still() {
    let storage = storage().await;
    let ticket = images(&storage).await.unwrap();
    let error = storage.finalize(&ticket.token).await.unwrap_err();
    assert!(
        matches!(error, FinalizeError::NotUploaded { .. }),
        "{error}"
    );
    storage.put(&ticket.quarantine, PNG).await.unwrap();
    storage.finalize(&ticket.token).await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_is_deleted_and_told() {
    let storage = storage().await;
    let page = uploaded(&storage, b"<html><script>1</script>").await;
    let said = rejection(&storage, &page).await;
    assert!(matches!(said, Rejection::WrongType { found, .. } if found.as_str() == "text/html"));

    let nothing_known = uploaded(&storage, b"just some words").await;
    let said = rejection(&storage, &nothing_known).await;
    assert!(matches!(said, Rejection::WrongType { found, .. } if found == look::unknown()));

    let large = images(&storage).bytes_max(10).await.unwrap();
    storage.put(&large.quarantine, PNG).await.unwrap();
    let said = rejection(&storage, &large).await;
    assert_eq!(said, Rejection::TooLarge { bytes_max: 10 });

    let small = images(&storage).bytes_min(90).await.unwrap();
    storage.put(&small.quarantine, PNG).await.unwrap();
    let said = rejection(&storage, &small).await;
    let bytes = PNG.len() as u64;
    assert_eq!(
        said,
        Rejection::TooSmall {
            bytes,
            bytes_min: 90
        }
    );

    let other = images(&storage)
        .sha256(Sha256Digest::of(b"other"))
        .await
        .unwrap();
    storage.put(&other.quarantine, PNG).await.unwrap();
    let said = rejection(&storage, &other).await;
    assert!(
        matches!(said, Rejection::WrongChecksum { found, .. } if found == Sha256Digest::of(PNG))
    );
    assert!(!storage.exists("a.png").await.unwrap());
}

#[tokio::test]
async fn a_second_call_answers_the_same() {
    let storage = storage().await;
    let ticket = uploaded(&storage, PNG).await;
    let first = storage.finalize(&ticket.token).await.unwrap();
    let second = storage.finalize(&ticket.token).await.unwrap();
    assert!(!first.repeated && second.repeated);
    assert_eq!(first.stored, second.stored);
}

#[tokio::test]
async fn a_second_upload_changes_nothing_of_what_was_placed() {
    let storage = storage().await;
    let ticket = images(&storage).replace().await.unwrap();
    storage.put(&ticket.quarantine, PNG).await.unwrap();
    let first = storage.finalize(&ticket.token).await.unwrap();
    storage
        .put(&ticket.quarantine, b"GIF89a and more")
        .await
        .unwrap();
    let second = storage.finalize(&ticket.token).await.unwrap();
    assert_eq!(first.stored, second.stored);
    assert!(!storage.exists(&ticket.quarantine).await.unwrap());
}

#[tokio::test]
async fn what_was_left_by_a_crash_after_placing_is_cleaned_up() {
    let storage = storage().await;
    let ticket = uploaded(&storage, PNG).await;
    let placed = storage.finalize(&ticket.token).await.unwrap();
    // As it is where the process died before the deletion.
    storage.put(&ticket.quarantine, PNG).await.unwrap();
    let again = storage.finalize(&ticket.token).await.unwrap();
    assert_eq!(again.stored, placed.stored);
    assert!(!storage.exists(&ticket.quarantine).await.unwrap());
}

#[tokio::test]
async fn another_object_at_the_key_stays_unless_it_may_be_replaced() {
    let storage = storage().await;
    storage.put("a.png", "the first").await.unwrap();
    let ticket = uploaded(&storage, PNG).await;
    let error = storage.finalize(&ticket.token).await.unwrap_err();
    assert!(
        matches!(error, FinalizeError::TargetTaken { .. }),
        "{error}"
    );
    assert!(storage.exists(&ticket.quarantine).await.unwrap());

    let replacing = images(&storage).replace().await.unwrap();
    storage.put(&replacing.quarantine, PNG).await.unwrap();
    storage.finalize(&replacing.token).await.unwrap();
    assert_eq!(
        storage.get("a.png").await.unwrap().bytes().await.unwrap(),
        PNG
    );
}

#[tokio::test]
async fn a_token_of_another_tenant_or_bucket_opens_nothing() {
    let storage = storage().await;
    let acme = storage.for_org("acme").unwrap();
    let ticket = uploaded(&acme, PNG).await;
    let others = [
        storage.clone(),
        storage.bucket("other").unwrap(),
        Storage::clone(&storage.for_org("other").unwrap()),
        Storage::clone(&acme.bucket("other").unwrap()),
    ];
    for other in others {
        let error = other.finalize(&ticket.token).await.unwrap_err();
        assert!(matches!(error, FinalizeError::OtherScope), "{error}");
    }
    acme.finalize(&ticket.token).await.unwrap();
    assert!(storage.exists("org/acme/a.png").await.unwrap());
}

#[tokio::test]
async fn a_forged_token_opens_nothing() {
    let storage = storage().await;
    let ticket = uploaded(&storage, PNG).await;
    for token in ["", ".", "a.b", &ticket.token[1..]] {
        let error = storage.finalize(token).await.unwrap_err();
        assert!(matches!(error, FinalizeError::Forged), "{error}");
    }
    let error = Storage::memory().finalize(&ticket.token).await.unwrap_err();
    assert!(error.to_string().contains("ticket_key"), "{error}");
}

#[tokio::test]
async fn a_token_holds_for_an_hour_after_the_upload_has_ended() {
    let open = |now| Storage::open(config().clock_frozen_at(now));
    let early = open(NOW).await.unwrap();
    let ticket = images(&early).ttl(Duration::from_mins(1)).await.unwrap();
    let end = ticket.expires_at;
    assert_eq!(end, NOW + Duration::from_mins(1));
    let in_time = open(end + GRACE).await.unwrap();
    let error = in_time.finalize(&ticket.token).await.unwrap_err();
    assert!(
        matches!(error, FinalizeError::NotUploaded { .. }),
        "{error}"
    );
    let late = open(end + GRACE + Duration::from_secs(1)).await.unwrap();
    let error = late.finalize(&ticket.token).await.unwrap_err();
    assert!(matches!(error, FinalizeError::Expired { .. }), "{error}");
}

#[tokio::test]
async fn the_sweeper_takes_what_is_old_and_in_quarantine() {
    let storage = storage().await;
    storage.put("quarantine/a", "x").await.unwrap();
    storage.put("kept", "x").await.unwrap();
    let young = storage
        .sweep_quarantine(Duration::from_hours(1))
        .await
        .unwrap();
    assert_eq!(young.deleted, 0);
    let swept = storage.sweep_quarantine(Duration::ZERO).await.unwrap();
    assert_eq!((swept.deleted, swept.failures.len()), (1, 0));
    assert!(storage.exists("kept").await.unwrap());
    assert_eq!(
        storage
            .sweep_quarantine(Duration::MAX)
            .await
            .unwrap()
            .deleted,
        0
    );
}
