// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Faults that are planted on purpose, so that what looks for faults can be seen to find them. Behind
//! the feature `planted-faults`, for the project's own simulation and murder tests alone.

/// A way to be wrong that the guarantees forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlantedFault {
    /// A checkpoint is written although the run's epoch has moved on.
    UnfencedWrite,
    /// `ctx.transaction` commits the writes of the step, and the checkpoint in a second transaction.
    CheckpointOutsideTransaction,
    /// A signal is marked as taken before the checkpoint that applies it.
    SignalConsumedFirst,
}

impl PlantedFault {
    /// Every fault there is.
    pub const ALL: [Self; 3] = [
        Self::UnfencedWrite,
        Self::CheckpointOutsideTransaction,
        Self::SignalConsumedFirst,
    ];

    /// The name on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnfencedWrite => "unfenced-write",
            Self::CheckpointOutsideTransaction => "checkpoint-outside-transaction",
            Self::SignalConsumedFirst => "signal-consumed-first",
        }
    }

    /// The fault of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == name)
    }
}
