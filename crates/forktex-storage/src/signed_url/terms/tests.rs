// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which terms a link gets, and which of them each signer refuses.

use super::*;

const CLOUDFRONT: Signer = Signer::CloudFront {
    forwards_response_headers: false,
};
const FORWARDING: Signer = Signer::CloudFront {
    forwards_response_headers: true,
};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn read() -> LinkOptions {
    LinkOptions::default()
}

fn write() -> LinkOptions {
    LinkOptions {
        access: PublicAccess::Write,
        ..LinkOptions::default()
    }
}

fn refusal(options: &LinkOptions, signer: Signer) -> String {
    let terms = options.terms(&key("a.png"), signer);
    terms.expect_err("it is refused").to_string()
}

#[test]
fn active_content_is_downloaded_unless_it_is_trusted() {
    let page = key("docs/page.html");
    let terms = read().terms(&page, Signer::S3).unwrap();
    assert!(terms.disposition.unwrap().starts_with("attachment"));
    let trusted = LinkOptions {
        is_inline: true,
        ..read()
    };
    let terms = trusted.terms(&page, Signer::S3).unwrap();
    assert!(terms.disposition.unwrap().starts_with("inline"));
    let image = read().terms(&key("a.png"), Signer::S3).unwrap();
    assert_eq!((image.disposition, image.content_type), (None, None));
}

#[test]
fn a_type_that_makes_a_read_active_forces_the_download() {
    let options = LinkOptions {
        content_type: Some(ContentType::new("image/svg+xml").unwrap()),
        ..read()
    };
    let terms = options.terms(&key("a.png"), Signer::S3).unwrap();
    assert!(terms.disposition.unwrap().starts_with("attachment"));
}

#[test]
fn a_write_is_bound_to_the_type_of_its_name() {
    let terms = write().terms(&key("a.png"), Signer::S3).unwrap();
    assert_eq!(terms.content_type.as_deref(), Some("image/png"));
    assert_eq!((terms.method, terms.disposition), ("PUT", None));
    let page = write().terms(&key("a.html"), Signer::S3).unwrap();
    assert!(page.disposition.unwrap().starts_with("attachment"));
    let open = LinkOptions {
        is_inline: true,
        ..write()
    };
    assert_eq!(
        open.terms(&key("a.html"), Signer::S3).unwrap().content_type,
        None
    );
}

#[test]
fn options_of_the_other_access_are_refused() {
    let digest = Sha256Digest::of(b"a");
    for options in [
        LinkOptions {
            if_absent: true,
            ..read()
        },
        LinkOptions {
            sha256: Some(digest),
            ..read()
        },
        LinkOptions {
            bytes: Some(1),
            ..read()
        },
        LinkOptions {
            bytes_max: Some(1),
            ..read()
        },
        LinkOptions {
            is_head: true,
            ..write()
        },
        LinkOptions {
            version: Some("1".to_owned()),
            ..write()
        },
        LinkOptions {
            bytes: Some(2),
            bytes_max: Some(1),
            ..write()
        },
        LinkOptions {
            download_as: Some(String::new()),
            ..read()
        },
    ] {
        let error = options.terms(&key("a.png"), Signer::Gcs).unwrap_err();
        assert!(
            matches!(error, StorageError::InvalidOption { .. }),
            "{error}"
        );
    }
}

/// Holds that each of these is refused by the signer, with a text that has the word.
fn assert_refused<const N: usize>(cases: [(LinkOptions, Signer, &str); N]) {
    for (options, signer, word) in cases {
        let said = refusal(&options, signer);
        assert!(said.contains(word), "{signer:?}: {said}");
    }
}

#[test]
fn what_a_signer_cannot_enforce_of_a_write_is_refused_with_what_can() {
    let with = |change: fn(&mut LinkOptions)| {
        let mut options = write();
        change(&mut options);
        options
    };
    let hashed = LinkOptions {
        sha256: Some(Sha256Digest::of(b"a")),
        ..write()
    };
    assert_refused([
        (
            with(|it| it.bytes_max = Some(9)),
            Signer::S3,
            "presigned_post",
        ),
        (hashed.clone(), Signer::Gcs, "upload_ticket"),
        (with(|it| it.bytes = Some(9)), Signer::Folder, "bytes_max"),
        (write(), Signer::Azure, "upload_ticket"),
        (with(|it| it.is_inline = true), CLOUDFRONT, "next rule"),
    ]);
    let on_azure = [
        hashed,
        with(|it| it.bytes = Some(9)),
        with(|it| it.bytes_max = Some(9)),
        with(|it| it.download_as = Some("b.png".to_owned())),
    ];
    assert_refused(on_azure.map(|mut options| {
        options.is_inline = true;
        (options, Signer::Azure, "upload_ticket")
    }));
}

#[test]
fn what_a_signer_cannot_enforce_of_a_read_is_refused_with_what_can() {
    let head = LinkOptions {
        is_head: true,
        ..read()
    };
    let version = LinkOptions {
        version: Some("1".to_owned()),
        ..read()
    };
    let named = LinkOptions {
        download_as: Some("b.png".to_owned()),
        ..read()
    };
    assert_refused([
        (version.clone(), Signer::Folder, "version"),
        (head.clone(), Signer::Azure, "head"),
        (version.clone(), Signer::Azure, "version"),
        (head, FORWARDING, "head"),
        (version, FORWARDING, "endpoint"),
        (named, CLOUDFRONT, "forwards_response_headers"),
    ]);
}

#[test]
fn cloudfront_shows_active_content_only_where_that_is_said() {
    let page = key("page.html");
    assert!(read().terms(&page, CLOUDFRONT).is_err());
    assert!(read().terms(&page, FORWARDING).is_ok());
    let trusted = LinkOptions {
        is_inline: true,
        ..read()
    };
    assert!(trusted.terms(&page, CLOUDFRONT).is_ok());
    assert!(read().terms(&key("a.png"), CLOUDFRONT).is_ok());
}

#[test]
fn azure_can_create_and_nothing_more() {
    let options = LinkOptions {
        is_inline: true,
        if_absent: true,
        ..write()
    };
    assert!(
        options
            .terms(&key("a.png"), Signer::Azure)
            .unwrap()
            .if_absent
    );
}
