// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Makes one story into one test for each backend: `story::memory`, `story::folder`, `story::s3`, and
//! `story::endpoints` for those that the environment names.

macro_rules! on_each_backend {
    ($($(#[$attribute:meta])* async fn $name:ident($place:ident: &Place) $body:block)+) => {$(
        $(#[$attribute])*
        async fn $name($place: &crate::place::Place) $body

        mod $name {
            use crate::place::Place;

            #[tokio::test]
            async fn memory() {
                super::$name(&Place::memory().await).await;
            }

            #[tokio::test]
            async fn folder() {
                super::$name(&Place::folder().await).await;
            }

            #[tokio::test]
            async fn s3() {
                super::$name(&Place::s3().await).await;
            }

            #[tokio::test]
            async fn endpoints() {
                for place in Place::endpoints().await {
                    super::$name(&place).await;
                    place.clear().await;
                }
            }
        }
    )+};
}

/// The same for stories that need a server of our own: the S3 server in the process, and the folder's router.
macro_rules! on_each_server {
    ($($(#[$attribute:meta])* async fn $name:ident($place:ident: &Place) $body:block)+) => {$(
        $(#[$attribute])*
        async fn $name($place: &crate::place::Place) $body

        mod $name {
            use crate::place::Place;

            #[tokio::test]
            async fn folder() {
                super::$name(&Place::folder().await).await;
            }

            #[tokio::test]
            async fn s3() {
                super::$name(&Place::s3().await).await;
            }
        }
    )+};
}
