// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What handlers use and the service provides: a client, a pool, a configuration.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::JobError;

/// Something that handlers use and the service gives to its [`Worker`](crate::Worker).
///
/// Dereferences to the value. Cheap to clone.
pub struct Resource<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Resource<T> {
    /// Wraps a shared value, for calling a handler from a unit test.
    pub fn from_arc(value: Arc<T>) -> Self {
        Self(value)
    }
}

impl<T> Resource<T> {
    /// Wraps a value, for calling a handler from a unit test.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T: ?Sized> Deref for Resource<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> Clone for Resource<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> fmt::Debug for Resource<T> {
    /// Names the type and never shows the value, which may hold secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Resource<{}>", type_name::<T>())
    }
}

/// The type of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceKey {
    type_id: TypeId,
    type_name: &'static str,
}

impl ResourceKey {
    /// The key of `Resource<T>`.
    pub fn of<T: ?Sized + 'static>() -> Self {
        Self {
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
        }
    }

    /// The type's name, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        self.type_name
    }
}

/// The resources that a worker was given, by type.
#[derive(Clone, Default)]
pub struct Resources {
    by_type: Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Resources {
    /// Adds a value, in place of an earlier one of its type.
    pub(crate) fn insert<T: ?Sized + Send + Sync + 'static>(&mut self, value: Arc<T>) {
        Arc::make_mut(&mut self.by_type).insert(TypeId::of::<T>(), Arc::new(value));
    }

    pub(crate) fn contains(&self, key: ResourceKey) -> bool {
        self.by_type.contains_key(&key.type_id)
    }

    /// The resource of that type.
    ///
    /// # Errors
    /// A fatal [`JobError`] naming the type. A worker checks at its start that all are there.
    pub fn get<T: ?Sized + Send + Sync + 'static>(&self) -> Result<Resource<T>, JobError> {
        self.by_type
            .get(&TypeId::of::<T>())
            .and_then(|value| value.downcast_ref::<Arc<T>>())
            .map(|value| Resource(Arc::clone(value)))
            .ok_or_else(|| JobError::fatal(format!("no resource `{}` was given", type_name::<T>())))
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Resources({})", self.by_type.len())
    }
}
