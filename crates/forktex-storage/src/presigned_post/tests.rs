// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a form may say, and what is refused before anything is signed.

use super::*;

fn request() -> PresignedPostRequest {
    Storage::memory().presigned_post("a.png").bytes_max(10)
}

fn terms(request: &PresignedPostRequest) -> Terms {
    let key = request.key.clone().unwrap();
    request.terms(&key).unwrap()
}

fn refusal(request: &PresignedPostRequest) -> String {
    let key = request.key.clone().unwrap();
    request.terms(&key).err().unwrap().to_string()
}

#[test]
fn a_form_has_a_largest_size() {
    let open = Storage::memory().presigned_post("a.png");
    assert!(refusal(&open).contains("bytes_max"));
    assert!(refusal(&request().bytes_min(11)).contains("bytes_min"));
}

#[test]
fn a_form_is_bound_to_the_type_of_its_name() {
    let bound = terms(&request());
    assert_eq!(bound.content_type.as_deref(), Some("image/png"));
    assert_eq!((bound.content_type_prefix, bound.disposition), (None, None));
    let open = terms(&request().inline());
    assert_eq!(
        (open.content_type, open.content_type_prefix.as_deref()),
        (None, Some(""))
    );
}

#[test]
fn a_type_left_to_the_client_is_stored_to_be_downloaded() {
    let images = terms(&request().content_type_prefix("image/"));
    assert!(images.disposition.unwrap().starts_with("attachment"));
    assert_eq!(images.content_type, None);
    let trusted = terms(&request().content_type_prefix("image/").inline());
    assert_eq!(trusted.disposition, None);
    let page = terms(&request().content_type("text/html"));
    assert!(page.disposition.unwrap().starts_with("attachment"));
}

#[test]
fn options_that_are_none_are_refused() {
    assert!(refusal(&request().content_type("png")).contains("content_type"));
    for prefix in ["", "image", "/png", "image/ x", "image/\n"] {
        let said = refusal(&request().content_type_prefix(prefix));
        assert!(said.contains("content_type_prefix"), "{prefix}: {said}");
    }
    let both = request()
        .content_type("image/png")
        .content_type_prefix("image/");
    assert!(refusal(&both).contains("one of them"));
    assert!(refusal(&request().metadata("Ä", "x")).contains("metadata"));
    for name in ["", "a\nb"] {
        assert!(refusal(&request().download_as(name)).contains("download_as"));
    }
}

#[test]
fn what_a_clouds_form_cannot_enforce_is_refused_with_what_can() {
    let said = |request: &PresignedPostRequest| {
        let terms = terms(request);
        let refused = terms.refuse_what_clouds_cannot(BackendKind::S3);
        refused.unwrap_err().to_string()
    };
    assert!(said(&request().if_absent()).contains("upload_ticket"));
    assert!(said(&request().sha256(Sha256Digest::of(b"a"))).contains("upload_ticket"));
    assert!(said(&request().bytes_max(S3_BYTES_MAX + 1)).contains("begin_parts"));
}

#[test]
fn a_form_shows_no_signature() {
    let post = PresignedPost {
        url: "https://files.example".to_owned(),
        fields: vec![("policy".to_owned(), "hunter2".to_owned())],
        expires_at: OffsetDateTime::UNIX_EPOCH,
    };
    let shown = format!("{post:?}");
    assert!(
        shown.contains("policy") && !shown.contains("hunter2"),
        "{shown}"
    );
}
