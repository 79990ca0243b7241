// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that tenants define at run time, and what a namespace may use.

use std::fmt;
use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::Flow;
use crate::compile::compile;
use crate::compile::config::declare;
use crate::definition::config::ConfigFault;
use crate::error::DefinitionError;
use crate::identifier::{Namespace, Version, WorkflowName};
use crate::store::definitions::{Defined, StoredLimits, Undefined};

/// A workflow that was defined at run time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuntimeDefinition {
    /// The namespace that it belongs to.
    pub namespace: Namespace,
    /// Its name.
    pub name: WorkflowName,
    /// Its version.
    pub version: Version,
    /// As it was defined.
    pub config: Value,
    /// When it was defined, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// What a namespace may use at most; what is `None` is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many of its runs may live at once, those that wait among them; how many workers may hold at
    /// once is a [`RunningLimit`](super::RunningLimit).
    pub max_active_runs: Option<u32>,
    /// How many of its runs may be started within a minute.
    pub starts_per_minute: Option<u32>,
    /// How many definitions, each version counted, it may have.
    pub max_definitions: Option<u32>,
}

impl Limits {
    /// No limit.
    pub fn none() -> Self {
        Self::default()
    }

    /// How many runs may live at once.
    pub fn max_active_runs(mut self, runs: u32) -> Self {
        self.max_active_runs = Some(runs);
        self
    }

    /// How many runs may be started within a minute.
    pub fn starts_per_minute(mut self, starts: u32) -> Self {
        self.starts_per_minute = Some(starts);
        self
    }

    /// How many definitions, each version counted, there may be.
    pub fn max_definitions(mut self, definitions: u32) -> Self {
        self.max_definitions = Some(definitions);
        self
    }
}

impl Flow {
    /// Defines a workflow at run time, for a namespace, out of step templates. Await the builder.
    ///
    /// Every process that has the templates can run it within a second. The newest version is what
    /// [`run`](Self::run) starts in the namespace. Defining the same again changes nothing; a version
    /// that is there with another config is refused. The format: the JSON Schema
    /// [`SCHEMA`](crate::definition::config::SCHEMA). One transaction of five statements.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_flow::prelude::*;
    ///
    /// # async fn example(flow: Flow) -> Result<(), FlowError> {
    /// flow.define("link_failure_response")
    ///     .namespace("org-abc")
    ///     .version(1)
    ///     .config(json!({
    ///         "type": "pipeline",
    ///         "steps": [
    ///             "network.reroute_traffic",
    ///             {"step": "network.send_alert", "when": {"field": "ok", "is": false}},
    ///         ],
    ///         "reducers": {"log": "append"},
    ///     }))
    ///     .await?;
    /// let run = flow
    ///     .run("link_failure_response")
    ///     .namespace("org-abc")
    ///     .state(json!({"link_id": "eth0-router-1"}))
    ///     .await?;
    /// # run.wait().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn define(&self, name: impl Into<String>) -> DefineBuilder {
        DefineBuilder {
            flow: self.clone(),
            name: name.into(),
            namespace: String::new(),
            version: 1,
            config: Value::Null,
        }
    }

    /// Removes a workflow that was defined at run time; refused while runs of it live, and none can be
    /// started while it is removed. Await the builder.
    pub fn undefine(&self, name: impl Into<String>) -> UndefineBuilder {
        UndefineBuilder {
            flow: self.clone(),
            name: name.into(),
            namespace: String::new(),
            version: None,
        }
    }

    /// What belongs to a namespace: its definitions and its limits.
    pub fn namespace(&self, namespace: impl Into<String>) -> NamespaceHandle {
        NamespaceHandle {
            flow: self.clone(),
            namespace: namespace.into(),
        }
    }
}

/// Checks a definition without a database, against the step templates of this process: what
/// [`Flow::define`] would say about it. For editors that check while one types.
///
/// ```
/// use forktex_flow::check_definition;
/// use serde_json::json;
///
/// let faults = check_definition(&json!({"type": "pipeline", "steps": ["no.such.template"]}));
/// assert_eq!(faults.unwrap_err()[0].pointer, "/steps/0");
/// ```
///
/// # Errors
/// All the faults that were found.
pub fn check_definition(config: &Value) -> Result<(), Vec<ConfigFault>> {
    let (templates, _) = crate::definition::template::Templates::linked();
    declare("check", 1, config, &templates).map(drop)
}

/// Defines a workflow; made by [`Flow::define`]. Await it.
#[must_use = "nothing is defined until this is awaited"]
pub struct DefineBuilder {
    flow: Flow,
    name: String,
    namespace: String,
    version: Version,
    config: Value,
}

impl DefineBuilder {
    /// The namespace that it belongs to; needed.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Its version; 1 by default.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The definition.
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    async fn define(self) -> Result<(), DefinitionError> {
        let workflow = WorkflowName::new(&self.name)?;
        let namespace = Namespace::new(&self.namespace)?;
        if namespace.as_str().is_empty() {
            return Err(DefinitionError::NoNamespace { workflow });
        }
        if self.version == 0 {
            return Err(DefinitionError::VersionZero { workflow });
        }
        let (inner, config) = (&self.flow.0, &self.config);
        if inner.registry.find(workflow.as_str(), None).is_ok() {
            return Err(DefinitionError::OfThePlatform { workflow });
        }
        let invalid = |faults| DefinitionError::Invalid {
            workflow: workflow.clone(),
            faults,
        };
        let templates = inner.catalog.templates();
        let declared = declare(workflow.as_str(), self.version, config, templates);
        let compiled = compile(declared.map_err(invalid)?).map_err(|faults| {
            let faults = faults.iter();
            invalid(
                faults
                    .map(|fault| ConfigFault::new("", fault.to_string()))
                    .collect(),
            )
        })?;
        match inner.store.define(&namespace, &compiled, config).await? {
            Defined::Created => {
                inner.catalog.refresh(&*inner.store).await?;
                Ok(())
            }
            Defined::Same => Ok(()),
            Defined::Conflict { config: there } => Err(DefinitionError::Conflict {
                namespace,
                workflow,
                version: self.version,
                difference: first_difference(&there, config, ""),
            }),
            Defined::TooMany { max } => Err(DefinitionError::TooMany {
                namespace,
                workflow,
                max,
            }),
        }
    }
}

/// Where two definitions differ first, in words.
fn first_difference(there: &Value, given: &Value, pointer: &str) -> String {
    match (there, given) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys());
            let differs = |key: &&String| left.get(*key) != right.get(*key);
            let Some(key) = keys.into_iter().find(differs) else {
                return String::new();
            };
            let of = |fields: &serde_json::Map<String, Value>| {
                fields.get(key).cloned().unwrap_or_default()
            };
            first_difference(&of(left), &of(right), &format!("{pointer}/{key}"))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let place = left
                .iter()
                .zip(right)
                .position(|(left, right)| left != right);
            let Some(place) = place else {
                return String::new();
            };
            first_difference(&left[place], &right[place], &format!("{pointer}/{place}"))
        }
        _ => format!(" at `{pointer}`"),
    }
}

impl IntoFuture for DefineBuilder {
    type Output = Result<(), DefinitionError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.define())
    }
}

/// Removes a definition; made by [`Flow::undefine`]. Await it: the number of versions removed.
#[must_use = "nothing is removed until this is awaited"]
pub struct UndefineBuilder {
    flow: Flow,
    name: String,
    namespace: String,
    version: Option<Version>,
}

impl UndefineBuilder {
    /// The namespace that it belongs to; needed.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Only this version; all of them by default.
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    async fn undefine(self) -> Result<u64, DefinitionError> {
        let workflow = WorkflowName::new(&self.name)?;
        let namespace = Namespace::new(&self.namespace)?;
        let inner = &self.flow.0;
        let removed = inner.store.undefine(&namespace, &workflow, self.version);
        match removed.await? {
            Undefined::Removed { versions } => {
                inner.catalog.refresh(&*inner.store).await?;
                Ok(versions)
            }
            Undefined::InUse { active } => Err(DefinitionError::InUse {
                namespace,
                workflow,
                active,
            }),
            Undefined::NotFound => Err(DefinitionError::NotFound {
                namespace,
                workflow,
            }),
        }
    }
}

impl IntoFuture for UndefineBuilder {
    type Output = Result<u64, DefinitionError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.undefine())
    }
}

/// A namespace; made by [`Flow::namespace`].
#[derive(Debug, Clone)]
pub struct NamespaceHandle {
    flow: Flow,
    namespace: String,
}

impl NamespaceHandle {
    /// What is defined in it, by name and version. One statement.
    ///
    /// # Errors
    /// [`DefinitionError::Name`]; the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn definitions(&self) -> Result<Vec<RuntimeDefinition>, DefinitionError> {
        let namespace = Namespace::new(&self.namespace)?;
        let stored = self.flow.0.store.list_definitions(&namespace).await?;
        let definition = |stored: crate::store::definitions::StoredDefinition| RuntimeDefinition {
            namespace: stored.namespace,
            name: stored.name,
            version: stored.version,
            config: stored.config,
            created_at: stored.created_at,
        };
        Ok(stored.into_iter().map(definition).collect())
    }

    /// Sets what it may use; what was set before is replaced. Starts in a limited namespace take a
    /// transaction of their own, in which they are counted exactly, one after another; other processes
    /// count within a second. One transaction of two statements.
    ///
    /// # Errors
    /// [`DefinitionError::Name`]; the database's.
    ///
    /// # Cancellation
    /// The limits may be set although the future was dropped.
    pub async fn limit(&self, limits: Limits) -> Result<(), DefinitionError> {
        let namespace = Namespace::new(&self.namespace)?;
        let stored = StoredLimits {
            max_active_runs: limits.max_active_runs,
            starts_per_minute: limits.starts_per_minute,
            max_definitions: limits.max_definitions,
        };
        let inner = &self.flow.0;
        inner.store.set_limits(&namespace, stored).await?;
        inner.catalog.refresh(&*inner.store).await?;
        Ok(())
    }
}

macro_rules! debug_named {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({} of {})", stringify!($name), self.name, self.namespace)
            }
        }
    )*};
}

debug_named!(DefineBuilder, UndefineBuilder);
