// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Upload tickets, from the ticket to the object in its place.

use std::time::Duration;

use forktex_storage::{FinalizeError, Sha256Digest, TicketUpload, UploadTicket};
use futures_util::future::join_all;

use crate::client::post_form;
use crate::content;
use crate::place::{PART_BYTES, Place};

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

/// Uploads as the client of a ticket does, where a client here can.
async fn upload(place: &Place, ticket: &UploadTicket, bytes: &[u8]) {
    match &ticket.upload {
        TicketUpload::Post(form) if place.has_server() => {
            let answer = post_form(&form.url, &form.fields, bytes).await;
            assert!(
                matches!(answer.status, 200..=204),
                "{}: {}",
                answer.status,
                answer.text()
            );
        }
        // The way to a real endpoint is tested by its links.
        _ => {
            let body = bytes.to_vec();
            place.storage.put(&ticket.quarantine, body).await.unwrap();
        }
    }
}

on_each_backend! {
    async fn a_ticket_brings_an_object_to_its_place(place: &Place) {
        let storage = &place.storage;
        let ticket = storage
            .upload_ticket("avatars/7.png")
            .bytes_max(1_000)
            .content_types(["image/png", "image/jpeg"])
            .sha256(Sha256Digest::of(PNG))
            .download_as("me.png")
            .metadata("owner", "ada")
            .await
            .unwrap();
        assert!(ticket.quarantine.as_str().starts_with("quarantine/"));
        upload(place, &ticket, PNG).await;
        assert!(!storage.exists("avatars/7.png").await.unwrap());

        let finalized = storage.finalize(&ticket.token).await.unwrap();
        assert!(!finalized.repeated);
        assert_eq!(finalized.stored.key.as_str(), "avatars/7.png");
        assert_eq!(finalized.stored.sha256, Sha256Digest::of(PNG));
        assert!(!storage.exists(&ticket.quarantine).await.unwrap());
        let object = storage.get("avatars/7.png").await.unwrap();
        let info = object.info();
        assert_eq!(info.content_type.as_ref().map(ToString::to_string).as_deref(), Some("image/png"));
        assert_eq!(info.metadata.get("owner").map(String::as_str), Some("ada"));
        assert!(info.content_disposition.as_deref().is_some_and(|told| told.contains("me.png")));
        assert_eq!(object.bytes().await.unwrap(), PNG);

        let again = storage.finalize(&ticket.token).await.unwrap();
        assert!(again.repeated);
        assert_eq!(again.stored.sha256, finalized.stored.sha256);
    }

    async fn many_that_finalize_at_once_place_it_once(place: &Place) {
        let storage = &place.storage;
        let ticket = storage.upload_ticket("a.png").bytes_max(1_000).await.unwrap();
        upload(place, &ticket, PNG).await;
        let calls = (0..6).map(|_| {
            let (storage, token) = (storage.clone(), ticket.token.clone());
            tokio::spawn(async move { storage.finalize(&token).await })
        });
        let mut placed = 0;
        for outcome in join_all(calls.collect::<Vec<_>>()).await {
            let finalized = outcome.unwrap().unwrap();
            placed += u32::from(!finalized.repeated);
        }
        assert_eq!(placed, 1);
        let object = storage.get("a.png").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), PNG);
        assert!(!storage.exists(&ticket.quarantine).await.unwrap());
    }

    async fn what_is_longer_than_a_part_is_placed_whole(place: &Place) {
        let storage = &place.storage;
        let whole = content::bytes(2 * PART_BYTES + 7);
        let ticket = storage
            .upload_ticket("long.bin")
            .bytes_max(whole.len() as u64)
            .replace()
            .await
            .unwrap();
        upload(place, &ticket, &whole).await;
        let finalized = storage.finalize(&ticket.token).await.unwrap();
        assert_eq!(finalized.stored.sha256, Sha256Digest::of(&whole));
        let object = storage.get("long.bin").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), whole);
    }

    async fn what_was_not_uploaded_is_told_and_can_be_uploaded(place: &Place) {
        let storage = &place.storage;
        let ticket = storage.upload_ticket("a.png").bytes_max(1_000).await.unwrap();
        let error = storage.finalize(&ticket.token).await.unwrap_err();
        assert!(matches!(error, FinalizeError::NotUploaded { .. }), "{error}");
        upload(place, &ticket, PNG).await;
        storage.finalize(&ticket.token).await.unwrap();
    }

    async fn an_object_that_is_there_stays_unless_it_may_be_replaced(place: &Place) {
        let storage = &place.storage;
        storage.put("a.png", "as it was").await.unwrap();
        let ticket = storage.upload_ticket("a.png").bytes_max(1_000).await.unwrap();
        upload(place, &ticket, PNG).await;
        let error = storage.finalize(&ticket.token).await.unwrap_err();
        assert!(matches!(error, FinalizeError::TargetTaken { .. }), "{error}");
        let object = storage.get("a.png").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "as it was");

        let ticket = storage.upload_ticket("a.png").bytes_max(1_000).replace().await.unwrap();
        upload(place, &ticket, PNG).await;
        storage.finalize(&ticket.token).await.unwrap();
        let object = storage.get("a.png").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), PNG);
    }

    async fn a_tenants_ticket_stays_in_its_prefix(place: &Place) {
        let ada = place.storage.for_org("ada").unwrap();
        let bob = place.storage.for_org("bob").unwrap();
        let ticket = ada.upload_ticket("a.png").bytes_max(1_000).await.unwrap();
        ada.put(&ticket.quarantine, PNG).await.unwrap();
        for storage in [&place.storage, &*bob] {
            let error = storage.finalize(&ticket.token).await.unwrap_err();
            assert!(matches!(error, FinalizeError::OtherScope), "{error}");
        }
        ada.finalize(&ticket.token).await.unwrap();
        assert!(ada.exists("a.png").await.unwrap());
        assert!(!bob.exists("a.png").await.unwrap());
        assert!(!place.storage.exists("a.png").await.unwrap());
    }

    async fn the_quarantine_is_swept(place: &Place) {
        let storage = &place.storage;
        let ticket = storage.upload_ticket("a.png").bytes_max(1_000).await.unwrap();
        upload(place, &ticket, PNG).await;
        storage.put("kept.png", PNG).await.unwrap();
        let swept = storage.sweep_quarantine(Duration::from_hours(1)).await.unwrap();
        assert_eq!(swept.deleted, 0);
        assert!(storage.exists(&ticket.quarantine).await.unwrap());
        let swept = storage.sweep_quarantine(Duration::ZERO).await.unwrap();
        assert_eq!(swept.deleted, 1);
        assert!(!storage.exists(&ticket.quarantine).await.unwrap());
        assert!(storage.exists("kept.png").await.unwrap());
    }
}
