// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is in a lease token: the generation that fences the job, and what saves looking it up.
//!
//! A job is claimed at most once in each generation, so that the pair of job and generation is new at every
//! claim. The rest of the token is bits of the job's identifier: a token that was made up, or is another
//! job's, is refused without asking the server.

use uuid::Uuid;

use crate::backend::Lease;
use crate::identifier::{JobId, LeaseToken};

/// The largest number of a batch that a token has room for; a later one is left to its end by time.
const LEASE_ID_MAX: i64 = (1 << 40) - 1;

const PLAIN: u8 = 1;

/// What a claim gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) generation: i32,
    /// The batch that it was claimed with; 0 is none.
    pub(super) lease_id: i64,
    /// It has neither a limit nor a unique lock that ends with it.
    pub(super) is_plain: bool,
}

impl Grant {
    pub(super) fn token(self, id: JobId) -> LeaseToken {
        let mut bytes = [0; 16];
        let lease_id = match self.lease_id {
            lease_id @ 0..=LEASE_ID_MAX => lease_id,
            _ => 0,
        };
        let (generation, rest) = bytes.split_at_mut(4);
        let (batch, rest) = rest.split_at_mut(5);
        let (flags, check) = rest.split_at_mut(1);
        generation.copy_from_slice(&self.generation.to_be_bytes());
        batch.copy_from_slice(lease_id.to_be_bytes().split_at(3).1);
        flags.fill(if self.is_plain { PLAIN } else { 0 });
        check.copy_from_slice(id.0.as_bytes().split_at(10).1);
        LeaseToken(Uuid::from_bytes(bytes))
    }

    /// What was given by this lease; `None` where no claim has made its token.
    pub(super) fn of(lease: &Lease) -> Option<Self> {
        let (generation, rest) = lease.token.0.as_bytes().split_first_chunk::<4>()?;
        let (batch, rest) = rest.split_first_chunk::<5>()?;
        let (flags, check) = rest.split_first()?;
        if *flags > PLAIN || check != lease.id.0.as_bytes().split_at(10).1 {
            return None;
        }
        let lease_id = batch
            .iter()
            .fold(0, |lease_id, byte| (lease_id << 8) | i64::from(*byte));
        Some(Self {
            generation: i32::from_be_bytes(*generation),
            lease_id,
            is_plain: *flags == PLAIN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::QueueName;

    fn lease(id: JobId, token: LeaseToken) -> Lease {
        Lease {
            id,
            queue: QueueName::new("default").unwrap(),
            token,
        }
    }

    #[test]
    fn a_token_tells_what_the_claim_gave() {
        let id = JobId::generate();
        for (generation, lease_id, is_plain) in [
            (0, 1, true),
            (7, LEASE_ID_MAX, false),
            (i32::MAX, 0x12_3456_789a, true),
        ] {
            let grant = Grant {
                generation,
                lease_id,
                is_plain,
            };
            assert_eq!(Grant::of(&lease(id, grant.token(id))), Some(grant));
        }
    }

    #[test]
    fn a_batch_that_has_no_room_is_none() {
        let id = JobId::generate();
        let grant = Grant {
            generation: 1,
            lease_id: LEASE_ID_MAX + 1,
            is_plain: true,
        };
        let read = Grant::of(&lease(id, grant.token(id))).unwrap();
        assert_eq!(read.lease_id, 0);
    }

    #[test]
    fn a_token_of_another_job_or_of_nobody_is_none() {
        let (id, other) = (JobId::generate(), JobId::generate());
        let grant = Grant {
            generation: 0,
            lease_id: 1,
            is_plain: true,
        };
        assert_eq!(Grant::of(&lease(other, grant.token(id))), None);
        assert_eq!(Grant::of(&lease(id, LeaseToken::generate())), None);
    }
}
