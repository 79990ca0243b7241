// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Bodies that are not the ones that a link was signed for.

use forktex_storage::{PublicAccess, Sha256Digest, SignedUrl, StorageErrorKind};

use crate::client::{Answer, send};
use crate::place::{Kind, Place};

async fn put(link: &SignedUrl, headers: &[(String, String)], body: &'static str) -> Answer {
    send("PUT", &link.url, headers, body).await
}

/// The link's headers with another value of one of them.
fn with_header(link: &SignedUrl, name: &str, value: &str) -> Vec<(String, String)> {
    let mut headers = without_header(link, name);
    headers.push((name.to_owned(), value.to_owned()));
    headers
}

fn without_header(link: &SignedUrl, name: &str) -> Vec<(String, String)> {
    let mut headers = link.headers.clone();
    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    headers
}

/// Refused, and nothing is there.
async fn assert_refused(place: &Place, key: &str, answer: &Answer, what: &str) {
    assert!(
        matches!(answer.status, 400..=422),
        "{what}: {}: {}",
        answer.status,
        answer.text()
    );
    assert!(!place.storage.exists(key).await.unwrap(), "{what}");
}

on_each_server! {
    async fn another_type_is_refused(place: &Place) {
        let link = place
            .storage
            .signed_url("in/a.png")
            .access(PublicAccess::Write)
            .content_type("image/png")
            .await
            .unwrap();
        for kind in ["text/html", "image/svg+xml", "image/jpeg", "image/png, text/html"] {
            let headers = with_header(&link, "content-type", kind);
            let answer = put(&link, &headers, "<script>1</script>").await;
            assert_refused(place, "in/a.png", &answer, kind).await;
        }
        let headers = without_header(&link, "content-type");
        let answer = put(&link, &headers, "<script>1</script>").await;
        assert_refused(place, "in/a.png", &answer, "no type").await;

        let answer = put(&link, &link.headers, "as signed").await;
        assert!(matches!(answer.status, 200..=204), "{}", answer.status);
        let info = place.storage.head("in/a.png").await.unwrap();
        assert_eq!(info.content_type.map(|kind| kind.to_string()).as_deref(), Some("image/png"));
    }

    async fn a_write_is_bound_to_the_type_that_its_key_is_named_for(place: &Place) {
        let link = place
            .storage
            .signed_url("in/a.png")
            .access(PublicAccess::Write)
            .await
            .unwrap();
        let headers = with_header(&link, "content-type", "text/html");
        let answer = put(&link, &headers, "<script>1</script>").await;
        assert_refused(place, "in/a.png", &answer, "a page as a picture").await;
    }

    async fn other_bytes_are_refused(place: &Place) {
        let link = place
            .storage
            .signed_url("in/a.bin")
            .access(PublicAccess::Write)
            .sha256(Sha256Digest::of("these"))
            .await
            .unwrap();
        let answer = put(&link, &link.headers, "those").await;
        assert_refused(place, "in/a.bin", &answer, "other bytes").await;
        let other = Sha256Digest::of("those").base64();
        for (name, _) in &link.headers {
            if name.contains("sha256") {
                let answer = put(&link, &with_header(&link, name, &other), "those").await;
                assert_refused(place, "in/a.bin", &answer, "another digest").await;
                let answer = put(&link, &without_header(&link, name), "those").await;
                assert_refused(place, "in/a.bin", &answer, "no digest").await;
            }
        }
        let answer = put(&link, &link.headers, "these").await;
        assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
    }

    async fn another_length_is_refused_or_cannot_be_asked_for(place: &Place) {
        let request = || place.storage.signed_url("in/a.bin").access(PublicAccess::Write);
        let exact = request().content_length(5).await;
        let most = request().bytes_max(5).await;
        // S3 signs a length, and a folder a limit; what it cannot, each says.
        let (link, refused) = match place.kind {
            Kind::S3 => (exact.unwrap(), most.unwrap_err()),
            _ => (most.unwrap(), exact.unwrap_err()),
        };
        assert_eq!(refused.kind(), StorageErrorKind::Unsupported, "{refused}");
        for body in ["123456", "0123456789012345678901234567890123456789"] {
            let answer = put(&link, &link.headers, body).await;
            assert_refused(place, "in/a.bin", &answer, body).await;
        }
        let answer = put(&link, &link.headers, "12345").await;
        assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
    }

    async fn a_write_once_link_never_replaces(place: &Place) {
        let storage = &place.storage;
        storage.put("in/a.bin", "as it was").await.unwrap();
        let link = storage
            .signed_url("in/a.bin")
            .access(PublicAccess::Write)
            .if_absent()
            .await
            .unwrap();
        let answer = put(&link, &link.headers, "replaced").await;
        assert!(matches!(answer.status, 409 | 412), "{}: {}", answer.status, answer.text());
        // The condition is signed: it cannot be left out.
        let answer = put(&link, &without_header(&link, "if-none-match"), "replaced").await;
        assert!(matches!(answer.status, 400 | 403 | 409 | 412), "{}", answer.status);
        let object = storage.get("in/a.bin").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "as it was");
    }
}
