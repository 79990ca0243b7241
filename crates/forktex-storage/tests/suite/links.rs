// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signed links and forms, used as their holders use them.

use bytes::Bytes;
use forktex_storage::{PublicAccess, Sha256Digest, StorageErrorKind};

use crate::client::{post_form, send};
use crate::place::Kind;

on_each_backend! {
    async fn a_link_reads_its_object(place: &Place) {
        let storage = &place.storage;
        storage.put("letters/a b+c.txt", "hello").await.unwrap();
        let link = storage.signed_url("letters/a b+c.txt").await;
        if place.kind == Kind::Memory {
            let error = link.map(drop).unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::Unsupported, "{error}");
            return;
        }
        let link = link.unwrap();
        assert_eq!(link.method, "GET");
        if !place.has_server() {
            return;
        }
        let answer = send("GET", &link.url, &link.headers, Bytes::new()).await;
        assert_eq!((answer.status, answer.text()), (200, "hello".to_owned()));
        let range = [("range".to_owned(), "bytes=1-3".to_owned())];
        let answer = send("GET", &link.url, &range, Bytes::new()).await;
        assert_eq!((answer.status, answer.text()), (206, "ell".to_owned()));
        assert_eq!(answer.header("content-range"), "bytes 1-3/5");
    }

    async fn a_link_for_head_tells_the_size(place: &Place) {
        if !place.has_server() {
            return;
        }
        let storage = &place.storage;
        storage.put("a.txt", "hello").await.unwrap();
        let link = storage.signed_url("a.txt").head().await.unwrap();
        assert_eq!(link.method, "HEAD");
        let answer = send("HEAD", &link.url, &link.headers, Bytes::new()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), "5");
        assert!(answer.body.is_empty());
    }

    async fn a_link_says_how_the_object_is_shown(place: &Place) {
        if !place.has_server() {
            return;
        }
        let storage = &place.storage;
        storage.put("a.bin", "hello").await.unwrap();
        let link = storage
            .signed_url("a.bin")
            .content_type("text/plain")
            .download_as("Grüße \"1\".txt")
            .await
            .unwrap();
        let answer = send("GET", &link.url, &link.headers, Bytes::new()).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").starts_with("text/plain"));
        let disposition = answer.header("content-disposition");
        assert!(disposition.starts_with("attachment"), "{disposition}");
        assert!(disposition.contains("filename*=UTF-8''Gr%C3%BC%C3%9Fe"), "{disposition}");
    }

    async fn a_link_to_active_content_downloads_it(place: &Place) {
        if !place.has_server() {
            return;
        }
        let storage = &place.storage;
        storage.put("page.html", "<html><script>1</script>").await.unwrap();
        let link = storage.signed_url("page.html").await.unwrap();
        let answer = send("GET", &link.url, &link.headers, Bytes::new()).await;
        assert_eq!(answer.status, 200);
        let disposition = answer.header("content-disposition");
        assert!(disposition.starts_with("attachment"), "{disposition}");
    }

    async fn a_link_writes_its_object(place: &Place) {
        if !place.has_server() {
            return;
        }
        let storage = &place.storage;
        let link = storage
            .signed_url("inbox/a.png")
            .access(PublicAccess::Write)
            .content_type("image/png")
            .if_absent()
            .await
            .unwrap();
        assert_eq!(link.method, "PUT");
        let answer = send("PUT", &link.url, &link.headers, "of the client").await;
        assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
        let object = storage.get("inbox/a.png").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "of the client");
        // Once only.
        let answer = send("PUT", &link.url, &link.headers, "again").await;
        assert!(matches!(answer.status, 409 | 412), "{}", answer.status);
        let object = storage.get("inbox/a.png").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "of the client");
    }

    async fn a_link_binds_the_bytes(place: &Place) {
        if !place.has_server() {
            return;
        }
        let storage = &place.storage;
        let link = storage
            .signed_url("bound.bin")
            .access(PublicAccess::Write)
            .sha256(Sha256Digest::of("these"))
            .await
            .unwrap();
        let answer = send("PUT", &link.url, &link.headers, "those").await;
        assert!(matches!(answer.status, 400..=422), "{}", answer.status);
        assert!(!storage.exists("bound.bin").await.unwrap());
        let answer = send("PUT", &link.url, &link.headers, "these").await;
        assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
        assert!(storage.exists("bound.bin").await.unwrap());
    }

    async fn a_form_writes_its_object(place: &Place) {
        let storage = &place.storage;
        let form = storage
            .presigned_post("inbox/cat.png")
            .bytes_min(1)
            .bytes_max(100)
            .content_type("image/png")
            .await;
        if place.kind == Kind::Memory {
            let error = form.map(drop).unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::Unsupported, "{error}");
            return;
        }
        if !place.has_server() {
            return;
        }
        let form = form.unwrap();
        let answer = post_form(&form.url, &form.fields, b"of a form").await;
        assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
        let object = storage.get("inbox/cat.png").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), "of a form");
    }

    async fn a_form_needs_a_limit(place: &Place) {
        place
            .storage
            .presigned_post("inbox/cat.png")
            .content_type("image/png")
            .await
            .map(drop)
            .unwrap_err();
    }

    async fn a_tenants_link_is_of_its_own_object(place: &Place) {
        if !place.has_server() {
            return;
        }
        let ada = place.storage.for_org("ada").unwrap();
        ada.put("a.txt", "of ada").await.unwrap();
        place.storage.put("a.txt", "of nobody").await.unwrap();
        let link = ada.signed_url("a.txt").await.unwrap();
        assert!(link.url.contains("/org/ada/a.txt?"), "{}", link.url);
        let answer = send("GET", &link.url, &link.headers, Bytes::new()).await;
        assert_eq!((answer.status, answer.text()), (200, "of ada".to_owned()));
    }
}
