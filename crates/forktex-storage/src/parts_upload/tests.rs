// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which parts may be joined, and where there are none.

use super::*;

fn part(number: u32) -> SentPart {
    SentPart {
        number,
        etag: format!("\"{number}\""),
    }
}

#[test]
fn parts_are_named_from_one_without_a_gap() {
    let ids = part_ids([part(2), part(1), part(3)]).unwrap();
    let ids: Vec<_> = ids.into_iter().map(|id| id.content_id).collect();
    assert_eq!(ids, ["\"1\"", "\"2\"", "\"3\""]);
    let said = |parts: &[u32]| {
        let error = part_ids(parts.iter().copied().map(part)).unwrap_err();
        error.to_string()
    };
    assert!(said(&[]).contains("none"));
    assert!(said(&[1, 3]).contains("part 2"));
    assert!(said(&[2]).contains("part 1"));
    assert!(said(&[1, 1]).contains("twice"));
    assert!(said(&[0]).contains("10,000") && said(&[10_001]).contains("10,000"));
}

#[tokio::test]
async fn memory_has_no_parts_to_link() {
    let storage = Storage::memory();
    let error = storage.begin_parts("a").await.unwrap_err();
    assert!(matches!(error, StorageError::Unsupported { .. }), "{error}");
    assert!(storage.resume_parts("a", "").is_err());
    let upload = storage.resume_parts("a", "id").unwrap();
    assert!(upload.sign_part(0).await.is_err());
    assert!(upload.sign_part(1).await.is_err());
    assert!(upload.abort().await.is_err());
}
