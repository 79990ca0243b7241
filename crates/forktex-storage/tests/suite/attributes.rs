// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is kept beside the bytes: the type, how a browser treats it, and metadata.

use forktex_storage::{ObjectInfo, StorageErrorKind};

use crate::content;
use crate::place::PART_BYTES;

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89";

fn kind(info: &ObjectInfo) -> String {
    let kind = info.content_type.as_ref().map(ToString::to_string);
    kind.unwrap_or_default()
}

fn disposition(info: &ObjectInfo) -> &str {
    info.content_disposition.as_deref().unwrap_or_default()
}

on_each_backend! {
    async fn the_type_is_told_by_the_bytes_first(place: &Place) {
        let storage = &place.storage;
        let cases: [(&str, &[u8], &str); 6] = [
            ("cat.png", PNG, "image/png"),
            // The name is not believed against the bytes.
            ("cat.txt", PNG, "image/png"),
            ("cat", PNG, "image/png"),
            ("letter.txt", b"hello", "text/plain"),
            ("letter.json", b"{}", "application/json"),
            ("letter.unheard-of", b"hello", "application/octet-stream"),
        ];
        for (key, bytes, expected) in cases {
            let stored = storage.put(key, bytes).await.unwrap();
            assert!(stored.content_type.to_string().starts_with(expected), "{key}");
            let info = storage.head(key).await.unwrap();
            assert!(kind(&info).starts_with(expected), "{key}: {}", kind(&info));
        }
    }

    async fn a_type_that_is_given_is_kept(place: &Place) {
        let storage = &place.storage;
        storage
            .put("cat.png", PNG)
            .content_type("application/x-cat; legs=4")
            .await
            .unwrap();
        let info = storage.head("cat.png").await.unwrap();
        assert_eq!(kind(&info), "application/x-cat; legs=4");
        for wrong in ["", "image", "image/", "image/png\r\nx-evil: 1", "a b/c"] {
            let error = storage.put("wrong", "x").content_type(wrong).await.unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::InvalidInput, "{wrong:?}: {error}");
        }
        assert!(!storage.exists("wrong").await.unwrap());
    }

    async fn metadata_and_caching_are_kept(place: &Place) {
        let storage = &place.storage;
        storage
            .put("a.txt", "x")
            .metadata("owner", "ada")
            .metadata("case-number", "7 of 9")
            .cache_control("private, max-age=60")
            .await
            .unwrap();
        let info = storage.head("a.txt").await.unwrap();
        assert_eq!(info.cache_control.as_deref(), Some("private, max-age=60"));
        let metadata: Vec<(&str, &str)> = info
            .metadata
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(metadata, [("case-number", "7 of 9"), ("owner", "ada")]);
        let object = storage.get("a.txt").await.unwrap();
        assert_eq!(object.info().metadata, info.metadata);

        for (name, value) in [("", "x"), ("a b", "x"), ("owner", "a\r\nb"), ("owner", "a\0b")] {
            let error = storage.put("wrong", "x").metadata(name, value).await.unwrap_err();
            assert_eq!(error.kind(), StorageErrorKind::InvalidInput, "{name:?}: {error}");
        }
        assert!(!storage.exists("wrong").await.unwrap());
    }

    async fn a_put_takes_the_place_of_all_attributes(place: &Place) {
        let storage = &place.storage;
        storage
            .put("a.txt", "x")
            .metadata("owner", "ada")
            .cache_control("private")
            .download_as("old.txt")
            .await
            .unwrap();
        storage.put("a.txt", "y").await.unwrap();
        let info = storage.head("a.txt").await.unwrap();
        assert!(info.metadata.is_empty());
        assert_eq!(info.cache_control, None);
        assert_eq!(info.content_disposition, None);
    }

    async fn active_content_is_stored_to_be_downloaded(place: &Place) {
        let storage = &place.storage;
        let cases: [(&str, &[u8]); 6] = [
            ("page.html", b"<!doctype html><script>1</script>"),
            ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='1'/>"),
            ("page.xml", b"<?xml version='1.0'?><a/>"),
            // Whatever it is called.
            ("cat.png", b"<html><script>1</script></html>"),
            ("cat.jpg", b"\xef\xbb\xbf \n<HTML><script>1</script>"),
            ("page.xhtml", b"x"),
        ];
        for (key, bytes) in cases {
            storage.put(key, bytes).await.unwrap();
            let info = storage.head(key).await.unwrap();
            assert!(disposition(&info).starts_with("attachment"), "{key}: {info:?}");
        }
        storage
            .put("given.bin", "x")
            .content_type("image/svg+xml")
            .await
            .unwrap();
        let info = storage.head("given.bin").await.unwrap();
        assert!(disposition(&info).starts_with("attachment"), "{info:?}");

        storage.put("page.html", "<html>").inline().await.unwrap();
        let info = storage.head("page.html").await.unwrap();
        assert!(!disposition(&info).starts_with("attachment"), "{info:?}");
        storage.put("cat.png", PNG).await.unwrap();
        let info = storage.head("cat.png").await.unwrap();
        assert!(!disposition(&info).starts_with("attachment"), "{info:?}");
    }

    async fn a_name_to_download_as_may_be_of_any_script(place: &Place) {
        let storage = &place.storage;
        storage.put("a.txt", "x").download_as("Grüße 日本.txt").await.unwrap();
        let info = storage.head("a.txt").await.unwrap();
        let told = disposition(&info);
        assert!(told.starts_with("attachment; filename=\""), "{told}");
        assert!(
            told.contains("filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%E6%97%A5%E6%9C%AC.txt"),
            "{told}"
        );
        assert!(told.is_ascii(), "{told}");
        // What would end the name early, or lead out of the folder of the downloads.
        let outcome = storage.put("a.txt", "x").download_as("../\"a\"\\\r\nx-evil: 1").await;
        if outcome.is_ok() {
            let info = storage.head("a.txt").await.unwrap();
            let told = disposition(&info);
            assert!(!told.contains(['\r', '\n', '/', '\\']), "{told}");
            assert_eq!(told.matches('"').count(), 2, "{told}");
        }
    }

    async fn parts_have_attributes_too(place: &Place) {
        let storage = &place.storage;
        let mut upload = storage
            .upload("long.html")
            .metadata("owner", "ada")
            .cache_control("no-store")
            .start()
            .await
            .unwrap();
        upload.write(content::bytes(PART_BYTES)).await.unwrap();
        upload.write(content::bytes(1_000)).await.unwrap();
        upload.finish().await.unwrap();
        let info = storage.head("long.html").await.unwrap();
        assert_eq!(info.metadata.get("owner").map(String::as_str), Some("ada"));
        assert_eq!(info.cache_control.as_deref(), Some("no-store"));
        assert!(kind(&info).starts_with("text/html"), "{info:?}");
        assert!(disposition(&info).starts_with("attachment"), "{info:?}");
    }
}
