// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Forms that are sent otherwise than they were signed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forktex_storage::PresignedPost;
use time::OffsetDateTime;

use crate::client::{Answer, post_form};
use crate::place::Place;

const KEY: &str = "in/cat.png";

async fn form(place: &Place) -> PresignedPost {
    place
        .storage
        .presigned_post(KEY)
        .bytes_min(3)
        .bytes_max(10)
        .content_type("image/png")
        .await
        .unwrap()
}

/// The fields with another value of one of them; the field must be there.
fn with_field(form: &PresignedPost, name: &str, value: &str) -> Vec<(String, String)> {
    let mut fields = form.fields.clone();
    let field = fields
        .iter_mut()
        .find(|(other, _)| other.eq_ignore_ascii_case(name));
    value.clone_into(&mut field.expect("the field").1);
    fields
}

async fn assert_nothing_arrived(place: &Place, answer: &Answer, what: &str) {
    assert!(
        matches!(answer.status, 400..=422),
        "{what}: {}: {}",
        answer.status,
        answer.text()
    );
    let page = place.storage.list("").page().await.unwrap();
    let keys: Vec<String> = page
        .objects
        .iter()
        .map(|object| object.key.to_string())
        .collect();
    assert!(keys.is_empty(), "{what}: {keys:?}");
}

on_each_server! {
    async fn a_form_as_it_was_signed_is_taken(place: &Place) {
        let form = form(place).await;
        for body in ["123", "1234567890"] {
            let answer = post_form(&form.url, &form.fields, body.as_bytes()).await;
            assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
            let object = place.storage.get(KEY).await.unwrap();
            assert_eq!(object.bytes().await.unwrap(), body);
        }
    }

    async fn a_file_of_another_size_is_refused(place: &Place) {
        let form = form(place).await;
        let large = vec![b'x'; 20_000];
        for body in [b"".as_slice(), b"12", b"12345678901", &large] {
            let answer = post_form(&form.url, &form.fields, body).await;
            assert_nothing_arrived(place, &answer, &format!("{} bytes", body.len())).await;
        }
    }

    async fn another_key_is_refused(place: &Place) {
        let form = form(place).await;
        for key in [
            "in/dog.png",
            "in/cat.png/x",
            "org/bob/cat.png",
            "../cat.png",
            "/etc/cat.png",
            "in/../../cat.png",
            "in/cat.png\\..",
            "",
            "${filename}",
        ] {
            let fields = with_field(&form, "key", key);
            let answer = post_form(&form.url, &fields, b"12345").await;
            assert_nothing_arrived(place, &answer, key).await;
        }
    }

    async fn another_type_is_refused(place: &Place) {
        let form = form(place).await;
        for kind in ["text/html", "image/svg+xml", "image/png2", ""] {
            let fields = with_field(&form, "content-type", kind);
            let answer = post_form(&form.url, &fields, b"12345").await;
            assert_nothing_arrived(place, &answer, kind).await;
        }
    }

    async fn a_type_beside_the_prefix_is_refused(place: &Place) {
        let form = place
            .storage
            .presigned_post(KEY)
            .bytes_max(10)
            .content_type_prefix("image/")
            .await
            .unwrap();
        let send = async |kind: &str| {
            let mut fields = form.fields.clone();
            fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            fields.push(("Content-Type".to_owned(), kind.to_owned()));
            post_form(&form.url, &fields, b"12345").await
        };
        for kind in ["text/html", "application/image/png", "IMAGES/png"] {
            assert_nothing_arrived(place, &send(kind).await, kind).await;
        }
        let answer = send("image/webp").await;
        assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
    }

    async fn no_field_can_be_left_out_or_added(place: &Place) {
        let form = form(place).await;
        for (name, _) in &form.fields {
            let mut fields = form.fields.clone();
            fields.retain(|(other, _)| other != name);
            let answer = post_form(&form.url, &fields, b"12345").await;
            assert_nothing_arrived(place, &answer, name).await;
        }
        for name in ["acl", "Cache-Control", "Content-Disposition", "x-amz-meta-owner"] {
            let mut fields = form.fields.clone();
            fields.push((name.to_owned(), "public-read".to_owned()));
            let answer = post_form(&form.url, &fields, b"12345").await;
            assert_nothing_arrived(place, &answer, name).await;
        }
        let answer = post_form(&form.url, &[], b"12345").await;
        assert_nothing_arrived(place, &answer, "no fields").await;
    }

    async fn no_word_of_the_policy_can_be_changed(place: &Place) {
        let form = form(place).await;
        let policy = form.fields.iter().find(|(name, _)| name == "policy");
        let policy = STANDARD.decode(&policy.expect("a policy").1).unwrap();
        let policy = String::from_utf8(policy).unwrap();
        // The limit, the key and the end, each made more generous.
        let year = OffsetDateTime::now_utc().year();
        let changes = [
            ("10]".to_owned(), "1000]".to_owned()),
            ("10".to_owned(), "99".to_owned()),
            (KEY.to_owned(), "in/dog.png".to_owned()),
            ("image/png".to_owned(), "text/html".to_owned()),
            (year.to_string(), (year + 9).to_string()),
        ];
        let mut tried = 0;
        for (from, to) in changes {
            let other = policy.replace(&from, &to);
            if other == policy {
                continue;
            }
            tried += 1;
            let fields = with_field(&form, "policy", &STANDARD.encode(other));
            let answer = post_form(&form.url, &fields, b"12345").await;
            assert_nothing_arrived(place, &answer, &from).await;
        }
        assert!(tried >= 3, "{tried} changes of {policy}");
        for (name, value) in &form.fields {
            if name.to_ascii_lowercase().contains("signature") {
                let other = if value.starts_with('0') { "1" } else { "0" };
                let forged = format!("{other}{}", &value[1..]);
                let answer = post_form(&form.url, &with_field(&form, name, &forged), b"12345").await;
                assert_nothing_arrived(place, &answer, "another signature").await;
            }
        }
    }

    async fn a_form_ends_with_its_time(place: &Place) {
        let now = OffsetDateTime::now_utc();
        let send = async |age: Duration| {
            let storage = place.at(now - age).await;
            let form = storage
                .presigned_post(KEY)
                .bytes_max(10)
                .ttl(Duration::from_mins(1))
                .await
                .unwrap();
            post_form(&form.url, &form.fields, b"12345").await
        };
        for age in [62, 300, 86_400].map(Duration::from_secs) {
            let answer = send(age).await;
            assert_nothing_arrived(place, &answer, &format!("{age:?} old")).await;
        }
        let answer = send(Duration::from_secs(20)).await;
        assert!(matches!(answer.status, 200..=204), "{}: {}", answer.status, answer.text());
    }

    async fn a_form_is_of_its_own_bucket(place: &Place) {
        let other = place.storage.bucket(crate::place::OTHER).unwrap();
        let open = form(place).await;
        let elsewhere = other.presigned_post(KEY).bytes_max(10).await.unwrap();
        assert_ne!(elsewhere.url, open.url);
        let answer = post_form(&elsewhere.url, &open.fields, b"12345").await;
        assert_nothing_arrived(place, &answer, "another bucket").await;
        assert!(!other.exists(KEY).await.unwrap());
    }

    async fn a_tenants_form_is_of_its_own_prefix(place: &Place) {
        let ada = place.storage.for_org("ada").unwrap();
        let form = ada.presigned_post("cat.png").bytes_max(10).await.unwrap();
        let key = form.fields.iter().find(|(name, _)| name == "key");
        assert_eq!(key.expect("a key").1, "org/ada/cat.png");
        for key in ["org/bob/cat.png", "cat.png", "org/ada/../bob/cat.png"] {
            let answer = post_form(&form.url, &with_field(&form, "key", key), b"12345").await;
            assert_nothing_arrived(place, &answer, key).await;
        }
    }
}
