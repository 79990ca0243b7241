// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The settings of a queue.

use std::fmt;
use std::sync::Arc;

use crate::error::QueueError;
use crate::identifier::InvalidName;

/// The most bytes that the JSON of a job may have by default: 256 KiB.
pub const PAYLOAD_BYTES_MAX_DEFAULT: usize = 256 * 1024;

type TraceSource = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// How a queue is set up. All processes of a service use the same.
///
/// # Examples
/// ```
/// use forktex_queue::{Queue, QueueOptions};
///
/// let options = QueueOptions::new().namespace("billing").payload_bytes_max(64 * 1024);
/// let queue = Queue::in_process_with(options);
/// # let _ = queue;
/// ```
#[derive(Clone)]
#[must_use]
pub struct QueueOptions {
    namespace: Option<String>,
    pub(crate) payload_bytes_max: usize,
    trace_parent: Option<TraceSource>,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            namespace: None,
            payload_bytes_max: PAYLOAD_BYTES_MAX_DEFAULT,
            trace_parent: None,
        }
    }
}

impl QueueOptions {
    /// The defaults: no namespace, payloads of at most 256 KiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the jobs apart from those of other namespaces on the same server: 1 to 40 lower case letters,
    /// digits and `_`, beginning with a letter. On Postgres it names the schema, `forktex_queue_billing`; on
    /// Redis it stands in front of each key.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The most bytes that the JSON of a job may have; 256 KiB by default. A job carries where things are,
    /// not the things.
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.payload_bytes_max = bytes;
        self
    }

    /// Where the W3C `traceparent` of whoever enqueues is found, in the way of whichever OpenTelemetry
    /// bridge is in use. What is no `traceparent` is left out.
    pub fn trace_parent(
        mut self,
        source: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.trace_parent = Some(Arc::new(source));
        self
    }

    /// The `traceparent` of whoever enqueues here.
    pub(crate) fn current_trace_parent(&self) -> Option<String> {
        self.trace_parent
            .as_ref()
            .and_then(|source| source())
            .filter(|text| crate::trace::is_trace_parent(text))
    }

    /// The namespace, if it is one that every backend can keep.
    #[cfg_attr(
        not(any(feature = "postgres", feature = "redis")),
        allow(dead_code, reason = "a queue in process needs no namespace")
    )]
    pub(crate) fn checked_namespace(&self) -> Result<Option<&str>, QueueError> {
        const CHARACTERS_MAX: usize = 40;
        let Some(namespace) = self.namespace.as_deref() else {
            return Ok(None);
        };
        let starts_well = namespace.starts_with(|first: char| first.is_ascii_lowercase());
        let is_plain = namespace
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if starts_well && is_plain && namespace.len() <= CHARACTERS_MAX {
            return Ok(Some(namespace));
        }
        Err(QueueError::InvalidName(InvalidName {
            what: "namespace",
            text: namespace.to_owned(),
            rule: "write 1 to 40 lower case letters, digits and `_`, beginning with a letter",
        }))
    }
}

impl fmt::Debug for QueueOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueueOptions")
            .field("namespace", &self.namespace)
            .field("payload_bytes_max", &self.payload_bytes_max)
            .finish_non_exhaustive()
    }
}
