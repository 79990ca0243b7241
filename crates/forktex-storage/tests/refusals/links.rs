// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Links that were changed, that are over, or that are called in another way.

use std::time::Duration;

use bytes::Bytes;
use forktex_storage::PublicAccess;
use time::OffsetDateTime;

use crate::client::{Answer, send, send_to, split};

/// What nobody may see.
const SECRET: &str = "what-nobody-may-see";

/// Checks that an answer is a refusal, and gives nothing away.
fn assert_refused(answer: &Answer, what: &str) {
    let text = answer.text();
    assert!(
        matches!(answer.status, 400 | 403 | 405),
        "{what}: {}: {text}",
        answer.status
    );
    assert!(!text.contains(SECRET), "{what}: {text}");
}

async fn get(url: &str) -> Answer {
    send("GET", url, &[], Bytes::new()).await
}

/// All texts that differ from the link in one character of one parameter's value, at a few places of each.
fn tampered(url: &str) -> Vec<(String, String)> {
    let (start, query) = url.split_once('?').expect("a query");
    let parameters: Vec<(&str, &str)> = query
        .split('&')
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .collect();
    let mut all = Vec::new();
    for (place, (name, value)) in parameters.iter().enumerate() {
        let ends = [0, value.len() / 2, value.len().saturating_sub(1)];
        for at in ends {
            let Some(changed) = with_other_character(value, at) else {
                continue;
            };
            let query: Vec<String> = parameters
                .iter()
                .enumerate()
                .map(|(other, (name, value))| {
                    let value = if other == place {
                        changed.as_str()
                    } else {
                        value
                    };
                    format!("{name}={value}")
                })
                .collect();
            all.push((
                format!("{name} at {at}"),
                format!("{start}?{}", query.join("&")),
            ));
        }
    }
    all
}

/// The text with another letter or digit in this place; `None` where there is no such one.
fn with_other_character(text: &str, at: usize) -> Option<String> {
    let old = char::from(*text.as_bytes().get(at)?);
    let new = match old {
        // Within the digits of an encoded byte, too, it stays one.
        '0' => '1',
        digit if digit.is_ascii_digit() => '0',
        'a' => 'b',
        lower if lower.is_ascii_lowercase() => 'a',
        'A' => 'B',
        upper if upper.is_ascii_uppercase() => 'A',
        _ => return None,
    };
    let mut changed = text.to_owned();
    changed.replace_range(at..=at, new.encode_utf8(&mut [0; 4]));
    Some(changed)
}

on_each_server! {
    async fn no_part_of_a_link_can_be_changed(place: &Place) {
        let storage = &place.storage;
        storage.put("a/secret.txt", SECRET).await.unwrap();
        let link = storage
            .signed_url("a/secret.txt")
            .ttl(Duration::from_mins(5))
            .download_as("a.txt")
            .await
            .unwrap();
        let answer = get(&link.url).await;
        assert_eq!((answer.status, answer.text()), (200, SECRET.to_owned()));

        let changed = tampered(&link.url);
        assert!(changed.len() >= 6, "{} changes", changed.len());
        for (what, url) in changed {
            assert_ne!(url, link.url);
            assert_refused(&get(&url).await, &what);
        }
    }

    async fn no_part_of_a_link_can_be_left_out_or_added(place: &Place) {
        let storage = &place.storage;
        storage.put("a/secret.txt", SECRET).await.unwrap();
        let link = storage.signed_url("a/secret.txt").download_as("a.txt").await.unwrap();
        let (start, query) = link.url.split_once('?').expect("a query");
        let parameters: Vec<&str> = query.split('&').collect();
        for left_out in &parameters {
            let rest: Vec<&str> = parameters
                .iter()
                .copied()
                .filter(|parameter| parameter != left_out)
                .collect();
            assert_refused(&get(&format!("{start}?{}", rest.join("&"))).await, left_out);
        }
        assert_refused(&get(start).await, "no query at all");
        for more in [
            "response-content-type=text%2Fhtml",
            "response-content-disposition=inline",
            "response-cache-control=public",
            "versionId=1",
            "unknown=1",
        ] {
            assert_refused(&get(&format!("{}&{more}", link.url)).await, more);
        }
        // Said twice, neither the first nor the last may win.
        for parameter in &parameters {
            assert_refused(&get(&format!("{}&{parameter}", link.url)).await, parameter);
        }
    }

    async fn a_link_is_of_its_own_object(place: &Place) {
        let storage = &place.storage;
        storage.put("a/open.txt", "open").await.unwrap();
        storage.put("a/secret.txt", SECRET).await.unwrap();
        storage.put("org/bob/secret.txt", SECRET).await.unwrap();
        let ada = storage.for_org("ada").unwrap();
        ada.put("open.txt", "open").await.unwrap();

        let link = storage.signed_url("a/open.txt").await.unwrap();
        assert_eq!(get(&link.url).await.status, 200);
        let other = link.url.replacen("/a/open.txt?", "/a/secret.txt?", 1);
        assert_ne!(other, link.url);
        assert_refused(&get(&other).await, "another key");

        let link = ada.signed_url("open.txt").await.unwrap();
        assert_eq!(get(&link.url).await.status, 200);
        for (from, to) in [("/org/ada/open.txt?", "/org/bob/secret.txt?"), ("/ada/", "/bob/")] {
            let other = link.url.replacen(from, to, 1);
            assert_ne!(other, link.url);
            assert_refused(&get(&other).await, "another tenant's key");
        }
    }

    async fn a_link_is_of_its_own_bucket(place: &Place) {
        let other = place.storage.bucket(crate::place::OTHER).unwrap();
        other.put("a.txt", SECRET).await.unwrap();
        place.storage.put("a.txt", "open").await.unwrap();
        let open = place.storage.signed_url("a.txt").await.unwrap();
        let secret = other.signed_url("a.txt").await.unwrap();
        assert_eq!(get(&open.url).await.text(), "open");
        assert_eq!(get(&secret.url).await.text(), SECRET);
        let (path, _) = secret.url.split_once('?').expect("a query");
        let (_, query) = open.url.split_once('?').expect("a query");
        assert_refused(&get(&format!("{path}?{query}")).await, "another bucket");
    }

    async fn a_link_ends_with_its_time(place: &Place) {
        place.storage.put("a/secret.txt", SECRET).await.unwrap();
        let now = OffsetDateTime::now_utc();
        let signed = async |age: Duration| {
            let storage = place.at(now - age).await;
            let link = storage.signed_url("a/secret.txt").ttl(Duration::from_mins(1));
            link.await.unwrap()
        };
        // Not yet.
        let link = signed(Duration::from_secs(20)).await;
        assert!(link.expires_at > now);
        assert_eq!(get(&link.url).await.status, 200);
        // Over.
        for age in [62, 3_600, 86_400, 8 * 86_400].map(Duration::from_secs) {
            let link = signed(age).await;
            assert!(link.expires_at < now);
            assert_refused(&get(&link.url).await, &format!("{age:?} old"));
        }
        // Its age is signed with it: it cannot be made younger.
        let link = signed(Duration::from_hours(1)).await;
        for (from, to) in [("X-Amz-Expires=60", "X-Amz-Expires=604800"), ("=60&", "=604800&")] {
            if link.url.contains(from) {
                assert_refused(&get(&link.url.replace(from, to)).await, to);
            }
        }
    }

    async fn a_link_is_for_its_own_method(place: &Place) {
        let storage = &place.storage;
        storage.put("a/secret.txt", SECRET).await.unwrap();
        let read = storage.signed_url("a/secret.txt").await.unwrap();
        for method in ["PUT", "POST", "DELETE", "PATCH"] {
            let answer = send(method, &read.url, &[], "overwritten").await;
            assert!(
                matches!(answer.status, 400 | 403 | 405 | 501),
                "{method}: {}: {}",
                answer.status,
                answer.text()
            );
            assert!(!answer.text().contains(SECRET), "{method}");
        }
        let head = storage.signed_url("a/secret.txt").head().await.unwrap();
        assert_refused(&get(&head.url).await, "a link for HEAD");
        let write = storage
            .signed_url("a/secret.txt")
            .access(PublicAccess::Write)
            .await
            .unwrap();
        let answer = send("GET", &write.url, &write.headers, Bytes::new()).await;
        assert_refused(&answer, "a link to write, read");
        let answer = send("DELETE", &write.url, &write.headers, Bytes::new()).await;
        assert!(matches!(answer.status, 400 | 403 | 405), "{}", answer.status);
        let object = storage.get("a/secret.txt").await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), SECRET);
    }

    async fn a_link_is_for_its_own_host(place: &Place) {
        let storage = &place.storage;
        storage.put("a/secret.txt", SECRET).await.unwrap();
        let link = storage.signed_url("a/secret.txt").await.unwrap();
        let (host, target) = split(&link.url);
        let address = place.address();
        let ask = async |host: &str| {
            send_to(&address, host, "GET", target, &[], Bytes::new()).await
        };
        assert_eq!(ask(host).await.status, 200);
        let port = host.rsplit_once(':').expect("a port").1;
        for other in [
            "files.example.com",
            "127.0.0.1",
            &format!("localhost:{port}"),
            &format!("127.0.0.1:{port}0"),
            &format!("{host}.example.com"),
        ] {
            assert_refused(&ask(other).await, other);
        }
    }

    async fn a_link_by_another_key_is_refused(place: &Place) {
        let storage = &place.storage;
        storage.put("a/secret.txt", SECRET).await.unwrap();
        let right = storage.signed_url("a/secret.txt").await.unwrap();
        assert_eq!(get(&right.url).await.status, 200);
        let forged = place.with_another_secret().await;
        let forged = forged.signed_url("a/secret.txt").await.unwrap();
        assert_eq!(forged.url.split_once('?').unwrap().0, right.url.split_once('?').unwrap().0);
        assert_refused(&get(&forged.url).await, "another secret");
    }
}
