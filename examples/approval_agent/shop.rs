// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A shop that lives in memory. To copy: put a client in its place.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Shop {
    /// The receipt by idempotency key.
    refunds: Mutex<BTreeMap<String, String>>,
}

impl Shop {
    #[expect(clippy::unused_self, reason = "a client would ask the shop")]
    pub(crate) fn price_cents(&self, order: u32) -> Option<u64> {
        (order < 100).then_some(12_000)
    }

    /// Gives the money back, once for each key.
    pub(crate) fn refund(&self, order: u32, idempotency_key: &str) -> String {
        let mut refunds = self.refunds.lock().unwrap_or_else(PoisonError::into_inner);
        let receipt = refunds
            .entry(idempotency_key.to_owned())
            .or_insert_with(|| format!("receipt-{order}"));
        receipt.clone()
    }

    pub(crate) fn refunds(&self) -> usize {
        let refunds = self.refunds.lock().unwrap_or_else(PoisonError::into_inner);
        refunds.len()
    }
}
