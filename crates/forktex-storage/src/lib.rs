// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Object storage and signed URLs: the same code in development and behind a CDN.
//!
//! This crate is where a service will put, get and list objects on S3, GCS, Azure, a local folder or
//! memory, and sign links whose host and access follow the consumer's own configuration.
//!
//! **Status: no public items yet.** The README's table says what works today.
