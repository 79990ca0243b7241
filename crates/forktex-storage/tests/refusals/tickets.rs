// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Uploads that a ticket does not let in: what is refused at the door, and what is found out in quarantine.

use std::time::Duration;

use forktex_storage::{
    FinalizeError, Rejection, Sha256Digest, Storage, TicketUpload, UploadTicket,
};
use time::OffsetDateTime;

use crate::client::{Answer, post_form};

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";
const PAGE: &[u8] = b"<!doctype html><script>1</script>";

async fn ticket(storage: &Storage) -> UploadTicket {
    storage
        .upload_ticket("avatars/7.png")
        .bytes_min(10)
        .bytes_max(60)
        .content_types(["image/png"])
        .await
        .unwrap()
}

async fn upload(ticket: &UploadTicket, bytes: &[u8]) -> Answer {
    let TicketUpload::Post(form) = &ticket.upload else {
        panic!("not a form: {:?}", ticket.upload);
    };
    post_form(&form.url, &form.fields, bytes).await
}

/// Finalizes, and checks that the upload is gone and nothing is in its place.
async fn rejection(storage: &Storage, ticket: &UploadTicket) -> Rejection {
    let error = storage.finalize(&ticket.token).await.unwrap_err();
    assert!(!storage.exists(&ticket.quarantine).await.unwrap());
    assert!(!storage.exists("avatars/7.png").await.unwrap());
    match error {
        FinalizeError::Rejected(rejection) => rejection,
        other => panic!("{other}"),
    }
}

on_each_server! {
    async fn a_size_beyond_the_ticket_is_refused_at_the_door(place: &Place) {
        let storage = &place.storage;
        let ticket = ticket(storage).await;
        for bytes in [&[0; 61][..], &[0; 9], &[0; 10_000]] {
            let answer = upload(&ticket, bytes).await;
            assert!(matches!(answer.status, 400 | 403 | 413), "{}", answer.status);
            assert!(!storage.exists(&ticket.quarantine).await.unwrap());
        }
        let error = storage.finalize(&ticket.token).await.unwrap_err();
        assert!(matches!(error, FinalizeError::NotUploaded { .. }), "{error}");
    }

    async fn a_type_is_told_by_its_bytes(place: &Place) {
        let storage = &place.storage;
        let ticket = ticket(storage).await;
        assert!(matches!(upload(&ticket, PAGE).await.status, 200..=204));
        let Rejection::WrongType { found, allowed, .. } = rejection(storage, &ticket).await else {
            panic!("another rejection");
        };
        assert_eq!(found.to_string(), "text/html");
        assert_eq!(allowed, ["image/png"]);

        // The client may try again, with what was asked for.
        assert!(matches!(upload(&ticket, PNG).await.status, 200..=204));
        storage.finalize(&ticket.token).await.unwrap();
        assert!(storage.exists("avatars/7.png").await.unwrap());
    }

    async fn other_bytes_are_found_out(place: &Place) {
        let storage = &place.storage;
        let wanted = Sha256Digest::of("wanted");
        let ticket = storage
            .upload_ticket("avatars/7.png")
            .bytes_max(100)
            .sha256(wanted)
            .await
            .unwrap();
        // Past the door, should it be one that looks at the digest.
        storage.put(&ticket.quarantine, PNG).await.unwrap();
        let rejection = rejection(storage, &ticket).await;
        let Rejection::WrongChecksum { expected, found, .. } = rejection else {
            panic!("{rejection}");
        };
        assert_eq!((expected, found), (wanted, Sha256Digest::of(PNG)));
    }

    async fn what_passed_the_door_is_measured_again(place: &Place) {
        let storage = &place.storage;
        let ticket = ticket(storage).await;
        storage.put(&ticket.quarantine, [PNG, &[0; 40]].concat()).await.unwrap();
        let said = rejection(storage, &ticket).await;
        assert!(matches!(said, Rejection::TooLarge { bytes_max: 60, .. }), "{said}");
        storage.put(&ticket.quarantine, &PNG[..9]).await.unwrap();
        let said = rejection(storage, &ticket).await;
        assert!(matches!(said, Rejection::TooSmall { bytes: 9, bytes_min: 10, .. }), "{said}");
        // Longer than a part, and longer than what is read at once.
        storage.put(&ticket.quarantine, vec![7; 6 * 1024 * 1024]).await.unwrap();
        let said = rejection(storage, &ticket).await;
        assert!(matches!(said, Rejection::TooLarge { bytes_max: 60, .. }), "{said}");
    }

    async fn what_is_written_after_the_check_is_never_placed(place: &Place) {
        let storage = &place.storage;
        let ticket = ticket(storage).await;
        assert!(matches!(upload(&ticket, PNG).await.status, 200..=204));
        storage.finalize(&ticket.token).await.unwrap();
        // The form holds still, and leads to quarantine only.
        assert!(matches!(upload(&ticket, PAGE).await.status, 200..=204));
        assert!(storage.finalize(&ticket.token).await.unwrap().repeated);
        let object = storage.get("avatars/7.png").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), PNG);
        assert!(!storage.exists(&ticket.quarantine).await.unwrap());
    }

    async fn no_character_of_a_token_can_be_changed(place: &Place) {
        let storage = &place.storage;
        let ticket = ticket(storage).await;
        storage.put(&ticket.quarantine, PNG).await.unwrap();
        for at in 0..ticket.token.len() {
            let old = ticket.token.as_bytes()[at];
            let new = if old == b'A' { "B" } else { "A" };
            let mut forged = ticket.token.clone();
            forged.replace_range(at..=at, new);
            let error = storage.finalize(&forged).await.unwrap_err();
            assert!(matches!(error, FinalizeError::Forged), "at {at}: {error}");
        }
        let half = &ticket.token[..ticket.token.len() / 2];
        for forged in ["", ".", "a.b", half, &format!("{}A", ticket.token)] {
            let error = storage.finalize(forged).await.unwrap_err();
            assert!(matches!(error, FinalizeError::Forged), "{forged}: {error}");
        }
        assert!(storage.exists(&ticket.quarantine).await.unwrap());
        storage.finalize(&ticket.token).await.unwrap();
    }

    async fn a_ticket_ends_with_its_time_and_an_hour(place: &Place) {
        let now = OffsetDateTime::now_utc();
        let made = async |age: Duration| {
            let storage = place.at(now - age).await;
            let ticket = storage
                .upload_ticket("avatars/7.png")
                .bytes_max(100)
                .ttl(Duration::from_mins(1));
            ticket.await.unwrap()
        };
        // The upload is over, and what came in time may be finalized.
        let late = made(Duration::from_mins(30)).await;
        assert!(matches!(upload(&late, PNG).await.status, 400 | 403));
        place.storage.put(&late.quarantine, PNG).await.unwrap();
        place.storage.finalize(&late.token).await.unwrap();

        let over = made(Duration::from_mins(62)).await;
        place.storage.put(&over.quarantine, PNG).await.unwrap();
        let error = place.storage.finalize(&over.token).await.unwrap_err();
        assert!(matches!(error, FinalizeError::Expired { .. }), "{error}");
    }

    async fn a_ticket_is_of_its_own_bucket_and_tenant(place: &Place) {
        let storage = &place.storage;
        let ada = storage.for_org("ada").unwrap();
        let ticket = ada.upload_ticket("a.png").bytes_max(100).await.unwrap();
        assert!(matches!(upload(&ticket, PNG).await.status, 200..=204));
        let bob = storage.for_org("bob").unwrap();
        let other = storage.bucket(crate::place::OTHER).unwrap();
        let elsewhere = other.for_org("ada").unwrap();
        for stranger in [storage, &*bob, &other, &*elsewhere] {
            let error = stranger.finalize(&ticket.token).await.unwrap_err();
            assert!(matches!(error, FinalizeError::OtherScope), "{error}");
        }
        ada.finalize(&ticket.token).await.unwrap();
    }

    async fn another_services_ticket_is_refused(place: &Place) {
        let config = place.config().ticket_key("another key, which this service does not have");
        let stranger = Storage::open(config).await.unwrap();
        let ticket = stranger.upload_ticket("a.png").bytes_max(100).await.unwrap();
        place.storage.put(&ticket.quarantine, PNG).await.unwrap();
        let error = place.storage.finalize(&ticket.token).await.unwrap_err();
        assert!(matches!(error, FinalizeError::Forged), "{error}");
    }
}
