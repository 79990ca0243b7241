// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Ways out of a bucket, as a client would try them on the wire.

use bytes::Bytes;
use forktex_storage::PublicAccess;

use crate::client::{send_to, split};
use crate::folder::files_below;
use crate::place::Place;

/// What is outside.
const SECRET: &str = "what-is-outside";

/// Paths that end outside, or that are no key. `{bucket}` is the path of the bucket.
const WAYS: [&str; 26] = [
    "{bucket}/../secret.txt",
    "{bucket}/../../secret.txt",
    "{bucket}/a/../../secret.txt",
    "{bucket}/a/../../../secret.txt",
    "{bucket}/%2e%2e/secret.txt",
    "{bucket}/%2E%2E/secret.txt",
    "{bucket}/.%2e/secret.txt",
    "{bucket}/..%2fsecret.txt",
    "{bucket}/..%2Fsecret.txt",
    "{bucket}/a%2f..%2f..%2fsecret.txt",
    "{bucket}/%2e%2e%2fsecret.txt",
    "{bucket}/..%5csecret.txt",
    "{bucket}/%252e%252e/secret.txt",
    "{bucket}/..%252fsecret.txt",
    "{bucket}/..%c0%afsecret.txt",
    "{bucket}/%c0%ae%c0%ae/secret.txt",
    "{bucket}//etc/passwd",
    "{bucket}/%2fetc%2fpasswd",
    "//etc/passwd",
    "/../../../../../../etc/passwd",
    "{bucket}/a.txt%00.png",
    "{bucket}/%00",
    "{bucket}/a%0d%0ax-evil:1",
    "{bucket}/./a.txt",
    "{bucket}/.forktex-storage/staging",
    "{bucket}/%2eforktex-storage/attributes",
];

/// The path of the bucket, and the query of a link that is good.
fn parts_of(url: &str, key: &str) -> (String, String) {
    let (_, target) = split(url);
    let (path, query) = target.split_once('?').expect("a query");
    let bucket = path.strip_suffix(&format!("/{key}")).expect("the key");
    (bucket.to_owned(), query.to_owned())
}

on_each_server! {
    async fn no_path_leads_out_to_read(place: &Place) {
        let storage = &place.storage;
        storage.put("a.txt", "open").await.unwrap();
        storage.put("secret.txt", SECRET).await.unwrap();
        if place.kind == crate::place::Kind::Folder {
            std::fs::write(place.outside().join("secret.txt"), SECRET).unwrap();
        }
        let link = storage.signed_url("a.txt").await.unwrap();
        let (bucket, query) = parts_of(&link.url, "a.txt");
        let address = place.address();
        for way in WAYS {
            let path = way.replace("{bucket}", &bucket);
            for target in [format!("{path}?{query}"), path.clone()] {
                let answer = send_to(&address, &address, "GET", &target, &[], Bytes::new()).await;
                assert!(
                    matches!(answer.status, 400 | 403 | 404 | 405),
                    "{target}: {}: {}",
                    answer.status,
                    answer.text()
                );
                let text = answer.text();
                assert!(!text.contains(SECRET) && !text.contains("root:"), "{target}: {text}");
                assert!(answer.headers.get("x-evil").is_none(), "{target}");
            }
        }
    }

    async fn no_path_leads_out_to_write(place: &Place) {
        let storage = &place.storage;
        let link = storage
            .signed_url("a.txt")
            .access(PublicAccess::Write)
            .await
            .unwrap();
        let (bucket, query) = parts_of(&link.url, "a.txt");
        let address = place.address();
        for way in WAYS {
            let target = format!("{}?{query}", way.replace("{bucket}", &bucket));
            let body = Bytes::from_static(b"planted");
            let answer = send_to(&address, &address, "PUT", &target, &link.headers, body).await;
            assert!(
                matches!(answer.status, 400 | 403 | 404 | 405),
                "{target}: {}: {}",
                answer.status,
                answer.text()
            );
        }
        let page = storage.list("").page().await.unwrap();
        assert!(page.objects.is_empty());
        if place.kind == crate::place::Kind::Folder {
            let found = files_below(place.outside());
            let planted = found.iter().filter(|path| {
                std::fs::read(place.outside().join(path)).is_ok_and(|bytes| bytes == b"planted")
            });
            assert_eq!(planted.count(), 0, "{found:?}");
        }
    }
}

/// A link is made by the service, which may sign for a key behind which somebody has put a symlink.
#[tokio::test]
async fn a_symlink_that_leads_out_is_not_followed() {
    let place = Place::folder().await;
    let outside = place.outside().join("secret.txt");
    std::fs::write(&outside, SECRET).unwrap();
    let folder_outside = place.outside().join("folder");
    std::fs::create_dir(&folder_outside).unwrap();
    std::fs::write(folder_outside.join("secret.txt"), SECRET).unwrap();
    place.storage.put("a.txt", "open").await.unwrap();

    let link_to = |target: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(target, place.root().join(name)).unwrap();
    };
    link_to(&outside, "absolute.txt");
    link_to(std::path::Path::new("../secret.txt"), "relative.txt");
    link_to(&folder_outside, "folder");
    for key in ["absolute.txt", "relative.txt", "folder/secret.txt"] {
        place.storage.get(key).await.map(drop).unwrap_err();
        let link = place.storage.signed_url(key).await.unwrap();
        let (host, target) = split(&link.url);
        let answer = send_to(host, host, "GET", target, &[], Bytes::new()).await;
        assert!(
            matches!(answer.status, 403 | 404),
            "{key}: {}",
            answer.status
        );
        assert!(!answer.text().contains(SECRET), "{key}");
    }
    let write = place.storage.put("folder/planted.txt", "planted").await;
    write.map(drop).unwrap_err();
    let link = place
        .storage
        .signed_url("folder/planted.txt")
        .access(PublicAccess::Write)
        .await
        .unwrap();
    let (host, target) = split(&link.url);
    let body = Bytes::from_static(b"planted");
    let answer = send_to(host, host, "PUT", target, &link.headers, body).await;
    assert!(
        matches!(answer.status, 400..=409),
        "{}: {}",
        answer.status,
        answer.text()
    );
    assert!(!folder_outside.join("planted.txt").exists());
}

/// Without a signature nothing is served but what a rule has made public.
#[tokio::test]
async fn what_is_not_public_needs_a_signature() {
    let place = Place::folder().await;
    place.storage.put("a.txt", SECRET).await.unwrap();
    let link = place.storage.signed_url("a.txt").await.unwrap();
    let (bucket, _) = parts_of(&link.url, "a.txt");
    let address = place.address();
    for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"] {
        for path in [format!("{bucket}/a.txt"), bucket.clone(), "/".to_owned()] {
            let body = Bytes::from_static(b"planted");
            let answer = send_to(&address, &address, method, &path, &[], body).await;
            assert!(
                matches!(answer.status, 400..=415),
                "{method} {path}: {}",
                answer.status
            );
            assert!(!answer.text().contains(SECRET), "{method} {path}");
        }
    }
    let object = place.storage.get("a.txt").await.unwrap();
    assert_eq!(object.bytes().await.unwrap(), SECRET);
}
