// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a register was like before.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::RegisterDefinition;

/// One version of a register's definition; see [`TenantData::versions`](crate::TenantData::versions).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RegisterVersion {
    /// Its number, from 1.
    pub version: i64,
    /// How the register was defined. Its name is the one that it had then.
    pub definition: RegisterDefinition,
    /// Who made it so, where that was said.
    pub changed_by: Option<Uuid>,
    /// When.
    pub changed_at: OffsetDateTime,
}
