// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a folder's signature lets through, and what it refuses.

use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2025-03-01 12:00:00 UTC);
const MINUTE: Duration = Duration::from_mins(1);

fn base() -> Url {
    Url::parse("https://files.example.com/storage/").unwrap()
}

fn secret() -> Secret {
    Secret::from("a secret for tests alone")
}

fn constraints() -> Constraints {
    Constraints {
        content_type: Some("image/png; a=\"b c\"".to_owned()),
        bytes_max: Some(1_000_000),
        if_absent: true,
        download_as: Some("räksmörgås & co.png".to_owned()),
        inline: true,
        sha256: Some(Sha256Digest::of("abc")),
    }
}

fn signed(constraints: &Constraints) -> (String, String) {
    let base = base();
    let link = Link {
        method: "PUT",
        base_url: &base,
        path: "/media/a b+é~%.png",
    };
    let url = sign(&link, constraints, &secret(), NOW, MINUTE).unwrap();
    let below = url
        .strip_prefix("https://files.example.com/storage")
        .unwrap();
    let (path, query) = below.split_once('?').unwrap();
    (path.to_owned(), query.to_owned())
}

fn verify_put(path: &str, query: &str, now: OffsetDateTime) -> Result<Constraints, Refusal> {
    let received = Received {
        method: "PUT",
        host: "files.example.com",
        path,
        query,
    };
    verify(&received, &base(), &secret(), now)
}

#[test]
fn a_signed_link_says_what_it_allows() {
    for wanted in [constraints(), Constraints::default()] {
        let (path, query) = signed(&wanted);
        assert_eq!(path, "/media/a%20b%2B%C3%A9~%25.png");
        assert_eq!(verify_put(&path, &query, NOW), Ok(wanted));
    }
}

#[test]
fn a_path_that_a_proxy_encoded_otherwise_is_the_same_path() {
    let (_, query) = signed(&constraints());
    let path = "/media/%61%20b%2b%c3%a9%7E%25.png";
    assert!(verify_put(path, &query, NOW).is_ok());
}

#[test]
fn a_link_ends_with_its_last_second() {
    let (path, query) = signed(&constraints());
    let at = |seconds| verify_put(&path, &query, NOW + time::Duration::seconds(seconds));
    assert!(at(59).is_ok());
    assert!(matches!(at(60), Err(Refusal::Expired { .. })));
}

#[test]
fn a_changed_link_is_refused_even_after_its_end() {
    let (path, query) = signed(&constraints());
    for (from, to) in [
        ("method=PUT", "method=GET"),
        ("bytes-max=1000000", "bytes-max=1000001"),
        ("&if-absent=1", ""),
        ("&inline=1", ""),
        ("image%2Fpng", "text%2Fhtml"),
        ("co.png", "co.exe"),
        ("ba7816", "ba7817"),
    ] {
        assert!(query.contains(from), "{from}");
        let changed = query.replacen(from, to, 1);
        let late = NOW + time::Duration::DAY;
        assert_eq!(
            verify_put(&path, &changed, late),
            Err(Refusal::WrongSignature),
            "{from}"
        );
    }
    assert_eq!(
        verify_put("/media/other.png", &query, NOW),
        Err(Refusal::WrongSignature)
    );
}

#[test]
fn what_is_no_link_is_malformed() {
    let (path, query) = signed(&constraints());
    for bad in [
        String::new(),
        "a".to_owned(),
        format!("{query}&extra=1"),
        format!("{query}&inline=1"),
        query.replacen("version=1", "version=x", 1),
        query.replacen("if-absent=1", "if-absent=0", 1),
        query.replacen("signature=", "signature=zz", 1),
    ] {
        let refusal = verify_put(&path, &bad, NOW).unwrap_err();
        assert!(matches!(refusal, Refusal::Malformed { .. }), "{bad}");
    }
    assert_eq!(
        verify_put(&path, &query.replacen("version=1", "version=2", 1), NOW),
        Err(Refusal::UnsupportedVersion { version: 2 })
    );
}

#[test]
fn another_method_host_or_key_is_refused() {
    let (path, query) = signed(&constraints());
    let received = |method, host| Received {
        method,
        host,
        path: &path,
        query: &query,
    };
    let check = |method, host, secret: &str| {
        verify(&received(method, host), &base(), &Secret::from(secret), NOW)
    };
    let own = "a secret for tests alone";
    assert!(check("PUT", "FILES.example.com:443", own).is_ok());
    assert_eq!(
        check("GET", "files.example.com", own),
        Err(Refusal::WrongMethod {
            allowed: "PUT".to_owned()
        })
    );
    for host in ["evil.example.com", "files.example.com:8443", ""] {
        assert_eq!(check("PUT", host, own), Err(Refusal::WrongHost), "{host}");
    }
    assert_eq!(
        check("PUT", "files.example.com", "another"),
        Err(Refusal::WrongSignature)
    );
}

fn policy() -> PostPolicy {
    PostPolicy {
        content_type_prefix: Some("image/".to_owned()),
        ..PostPolicy::new("media", "avatars/7", 1000)
    }
}

fn signed_form(policy: &PostPolicy) -> (String, String) {
    let form = sign_post(policy, &base(), &secret(), NOW, MINUTE).unwrap();
    let field = |wanted: &str| {
        let found = form.fields.iter().find(|(name, _)| name == wanted);
        found.unwrap().1.clone()
    };
    (field("policy"), field("signature"))
}

#[test]
fn a_signed_form_says_what_it_allows_until_it_ends() {
    let (text, signature) = signed_form(&policy());
    let check =
        |text: &str, host, now| verify_post(text, &signature, host, &base(), &secret(), now);
    let host = "files.example.com";
    assert_eq!(check(&text, host, NOW), Ok(policy()));
    assert!(matches!(
        check(&text, host, NOW + MINUTE),
        Err(Refusal::Expired { .. })
    ));
    assert_eq!(check(&text, "other", NOW), Err(Refusal::WrongHost));
    let (other, _) = signed_form(&PostPolicy::new("media", "avatars/8", 1000));
    assert_eq!(check(&other, host, NOW), Err(Refusal::WrongSignature));
}

#[test]
fn a_links_signature_is_none_of_a_form() {
    let (_, query) = signed(&Constraints::default());
    let (_, signature) = query.rsplit_once('=').unwrap();
    let (text, _) = signed_form(&policy());
    assert_eq!(
        verify_post(
            &text,
            signature,
            "files.example.com",
            &base(),
            &secret(),
            NOW
        ),
        Err(Refusal::WrongSignature)
    );
}

#[test]
fn a_form_allows_its_types_alone() {
    let prefix = policy();
    assert!(prefix.allows_content_type(Some("image/png")));
    assert!(prefix.allows_content_type(Some("IMAGE/png")));
    assert!(!prefix.allows_content_type(Some("imag")));
    assert!(!prefix.allows_content_type(Some("text/html")));
    assert!(!prefix.allows_content_type(None));
    assert!(PostPolicy::new("media", "a", 1).allows_content_type(None));
}

#[test]
fn values_that_would_break_a_header_are_not_signed() {
    let base = base();
    let link = Link {
        method: "GET",
        base_url: &base,
        path: "/media/a",
    };
    let broken = Constraints {
        download_as: Some("a\r\nb".to_owned()),
        ..Constraints::default()
    };
    assert!(sign(&link, &broken, &secret(), NOW, MINUTE).is_err());
    let broken = PostPolicy {
        bytes_min: 2,
        ..PostPolicy::new("media", "a", 1)
    };
    assert!(sign_post(&broken, &base, &secret(), NOW, MINUTE).is_err());
}
