// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a link is to allow, and whether a signer can hold its holder to it.
//!
//! Pure: the options of a request become terms, which are the same for every signer, and each signer says
//! here which of them it cannot enforce. Nothing that was asked for is dropped.

use crate::disposition::{NAME_BYTES_MAX, attachment, inline};
use crate::{BackendKind, ContentType, Key, PublicAccess, Sha256Digest, StorageError};

/// What was said of a link.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkOptions {
    pub(crate) access: PublicAccess,
    pub(crate) is_head: bool,
    pub(crate) content_type: Option<ContentType>,
    pub(crate) download_as: Option<String>,
    pub(crate) is_inline: bool,
    pub(crate) if_absent: bool,
    pub(crate) sha256: Option<Sha256Digest>,
    pub(crate) bytes: Option<u64>,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) version: Option<String>,
}

/// Who will check the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    S3,
    Gcs,
    Azure,
    Folder,
    CloudFront { forwards_response_headers: bool },
}

/// What the signature says. On a read, type and disposition are those of the answer; on a write, those
/// that are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) method: &'static str,
    pub(crate) content_type: Option<String>,
    pub(crate) disposition: Option<String>,
    /// The two that the disposition was made of, for a signer that makes its own.
    pub(crate) download_as: Option<String>,
    pub(crate) is_inline: bool,
    pub(crate) if_absent: bool,
    pub(crate) sha256: Option<Sha256Digest>,
    pub(crate) bytes: Option<u64>,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) version: Option<String>,
}

impl Signer {
    /// The backend that errors name.
    fn backend(self) -> BackendKind {
        match self {
            Self::S3 | Self::CloudFront { .. } => BackendKind::S3,
            Self::Gcs => BackendKind::Gcs,
            Self::Azure => BackendKind::Azure,
            Self::Folder => BackendKind::Folder,
        }
    }
}

impl LinkOptions {
    /// The terms for a signer.
    ///
    /// # Errors
    /// Options that contradict each other, and what the signer cannot enforce.
    pub(crate) fn terms(&self, key: &Key, signer: Signer) -> Result<Terms, StorageError> {
        self.check()?;
        let terms = match self.access {
            PublicAccess::Read => self.terms_of_read(key),
            PublicAccess::Write => self.terms_of_write(key),
        };
        match self.not_enforced(&terms, signer) {
            None => Ok(terms),
            Some((what, remedy)) => Err(StorageError::unsupported(signer.backend(), what, remedy)),
        }
    }

    /// Whether the options make sense together.
    fn check(&self) -> Result<(), StorageError> {
        let is_write = self.access == PublicAccess::Write;
        let misplaced = [
            ("if_absent", self.if_absent, false),
            ("sha256", self.sha256.is_some(), false),
            ("content_length", self.bytes.is_some(), false),
            ("bytes_max", self.bytes_max.is_some(), false),
            ("head", self.is_head, true),
            ("version", self.version.is_some(), true),
        ];
        for (option, is_given, is_of_reads) in misplaced {
            if is_given && is_of_reads == is_write {
                let reason = if is_of_reads {
                    "it is for a link that reads; drop it, or the access Write"
                } else {
                    "it is for a link that writes; say `.access(PublicAccess::Write)`"
                };
                return Err(StorageError::option(option, reason));
            }
        }
        check_download_name(self.download_as.as_deref())?;
        if let (Some(bytes), Some(bytes_max)) = (self.bytes, self.bytes_max)
            && bytes > bytes_max
        {
            return Err(StorageError::option(
                "content_length",
                "it is above `bytes_max`, so that nothing could be sent",
            ));
        }
        Ok(())
    }

    fn terms_of_read(&self, key: &Key) -> Terms {
        // The stored type is not asked for, since signing makes no request: the name decides.
        let by_name;
        let shown = if let Some(given) = &self.content_type {
            given
        } else {
            by_name = ContentType::sniff(&[], key.name());
            &by_name
        };
        Terms {
            method: if self.is_head { "HEAD" } else { "GET" },
            content_type: self.content_type.as_ref().map(ContentType::to_string),
            disposition: match (&self.download_as, self.is_inline) {
                (Some(name), false) => Some(attachment(name)),
                (Some(name), true) => Some(inline(name)),
                (None, true) => Some(inline(key.name())),
                (None, false) => shown.is_active().then(|| attachment(key.name())),
            },
            download_as: self.download_as.clone(),
            is_inline: self.is_inline,
            if_absent: false,
            sha256: None,
            bytes: None,
            bytes_max: None,
            version: self.version.clone(),
        }
    }

    fn terms_of_write(&self, key: &Key) -> Terms {
        let bound = match &self.content_type {
            Some(given) => Some(given.clone()),
            // A link that leaves the type open would let its holder store a page under any name.
            None => (!self.is_inline).then(|| ContentType::sniff(&[], key.name())),
        };
        let is_active = bound.as_ref().is_some_and(ContentType::is_active);
        Terms {
            method: "PUT",
            disposition: match (&self.download_as, self.is_inline) {
                (Some(name), false) => Some(attachment(name)),
                (Some(name), true) => Some(inline(name)),
                (None, true) => None,
                (None, false) => is_active.then(|| attachment(key.name())),
            },
            content_type: bound.map(String::from),
            download_as: self.download_as.clone(),
            is_inline: self.is_inline,
            if_absent: self.if_absent,
            sha256: self.sha256,
            bytes: self.bytes,
            bytes_max: self.bytes_max,
            version: None,
        }
    }

    /// The first term that the signer cannot enforce, and what to do instead.
    fn not_enforced(&self, terms: &Terms, signer: Signer) -> Option<(&'static str, &'static str)> {
        match (signer, self.access) {
            (
                Signer::CloudFront {
                    forwards_response_headers,
                },
                PublicAccess::Read,
            ) => self.not_by_cloudfront(terms, forwards_response_headers),
            (Signer::CloudFront { .. }, PublicAccess::Write) => Some((
                "a link that writes through CloudFront",
                "writes take the next rule of the public map that is for them",
            )),
            (Signer::Azure, PublicAccess::Read) => self.not_by_azure_on_read(),
            (Signer::Azure, PublicAccess::Write) => self.not_by_azure_on_write(),
            (Signer::Folder, PublicAccess::Read) => self.version.is_some().then_some((
                "a link to a version",
                "a folder keeps the last version only; drop `.version(..)`",
            )),
            (Signer::Folder, PublicAccess::Write) => self.bytes.is_some().then_some((
                "a link that writes exactly so many bytes",
                "say `.bytes_max(n)`, or `.sha256(digest)`, which fixes the size too",
            )),
            (Signer::S3, PublicAccess::Write) => self.bytes_max.is_some().then_some((
                "a link by PUT with a largest size",
                "use `presigned_post(key).bytes_max(n)`, or fix the size by `.content_length(n)`",
            )),
            (Signer::Gcs, PublicAccess::Write) => self.sha256.is_some().then_some((
                "a link that checks a SHA-256",
                "use `upload_ticket(key).sha256(digest)`, which checks what arrived",
            )),
            (Signer::S3 | Signer::Gcs, PublicAccess::Read) => None,
        }
    }

    fn not_by_cloudfront(
        &self,
        terms: &Terms,
        forwards: bool,
    ) -> Option<(&'static str, &'static str)> {
        if self.is_head {
            return Some((
                "a CloudFront link for HEAD alone",
                "its signature names no method, and a link that reads answers HEAD too; drop `.head()`",
            ));
        }
        if self.version.is_some() {
            return Some((
                "a CloudFront link to a version",
                "put a rule that names an endpoint first, for the keys whose versions are linked",
            ));
        }
        if forwards {
            return None;
        }
        if terms.content_type.is_some() || self.download_as.is_some() {
            return Some((
                "a type or a name for the download through a CloudFront distribution that does not forward \
                 them",
                "store the object with them, or let the distribution forward `response-content-type` and \
                 `response-content-disposition` and say `.forwards_response_headers()` on the rule",
            ));
        }
        // What is shown inline is up to how it was stored: nothing is forced, so that nothing is dropped.
        (terms.disposition.is_some() && !self.is_inline).then_some((
            "forcing the download of active content through a CloudFront distribution that does not forward \
             it",
            "say `.inline()` where how it was stored shall decide, or let the distribution forward \
             `response-content-disposition` and say `.forwards_response_headers()` on the rule",
        ))
    }

    fn not_by_azure_on_read(&self) -> Option<(&'static str, &'static str)> {
        if self.is_head {
            return Some((
                "a link for HEAD alone",
                "its signature names no method, and a link that reads answers HEAD too; drop `.head()`",
            ));
        }
        self.version.is_some().then_some((
            "a link to a version",
            "read the version by `get(key).version(..)` and pass its bytes on",
        ))
    }

    fn not_by_azure_on_write(&self) -> Option<(&'static str, &'static str)> {
        const TICKET: &str = "use `upload_ticket(key)`, whose `finalize` checks what arrived";
        if self.content_type.is_some() {
            return Some(("a link that binds the type of what is sent", TICKET));
        }
        if self.sha256.is_some() {
            return Some(("a link that checks a SHA-256", TICKET));
        }
        if self.bytes.is_some() || self.bytes_max.is_some() {
            return Some(("a link that binds the size of what is sent", TICKET));
        }
        if self.download_as.is_some() {
            return Some(("a link that binds the name of the download", TICKET));
        }
        (!self.is_inline).then_some((
            "a link that keeps active content from being stored under any name",
            "use `upload_ticket(key)`, or say `.inline()` where its holder may store what they like",
        ))
    }
}

/// Refuses a name that no header could hold as it is.
pub(crate) fn check_download_name(name: Option<&str>) -> Result<(), StorageError> {
    let is_name = |name: &str| {
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control)
    };
    if name.is_none_or(is_name) {
        return Ok(());
    }
    Err(StorageError::option(
        "download_as",
        "a name has 1 to 255 bytes, and no control characters",
    ))
}

#[cfg(test)]
mod tests;
