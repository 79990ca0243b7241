// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads a Redis URL strictly, so that a mistake is named at start and no password is shown.
//!
//! The driver would pass over parameters that it does not know, and over a user without a password.

use fred::error::ErrorKind;
use fred::types::config::{Config, Server, ServerConfig};
use url::Url;

use crate::error::CacheError;

/// A checked URL.
pub(crate) struct RedisUrl {
    /// What the driver connects with. It holds the password, and is never shown.
    pub(crate) config: Config,
    /// `host:port`, more than one after commas; safe to show.
    pub(crate) servers: String,
}

/// What stands behind the URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deployment {
    Single,
    Cluster,
    Sentinel,
}

impl RedisUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, CacheError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("it must begin with `redis://` or `rediss://`"))?;
        let deployment = match scheme {
            "redis" | "rediss" => Deployment::Single,
            "redis-cluster" | "rediss-cluster" => Deployment::Cluster,
            "redis-sentinel" | "rediss-sentinel" => Deployment::Sentinel,
            _ => {
                return Err(invalid(
                    "its scheme must be `redis`, `redis-cluster` or `redis-sentinel`, or with TLS `rediss`, \
                     `rediss-cluster` or `rediss-sentinel`",
                ));
            }
        };
        // An unencoded `/`, `?` or `#` in a password ends the authority early, and the rest of the
        // password would be taken for a path or a parameter that errors show.
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if rest.split_at(authority_end).1.contains('@') {
            return Err(invalid(
                "it has an `@` after its host; percent-encode `/`, `?`, `#` and `@` in the user name, the \
                 password and the parameters",
            ));
        }
        let parsed = Url::parse(url).map_err(|error| CacheError::InvalidUrl {
            reason: format!("{error}; percent-encode reserved characters in the password").into(),
        })?;
        check_server(&parsed)?;
        check_database(&parsed, deployment)?;
        check_parameters(&parsed, deployment)?;
        let mut config = Config::from_url(url).map_err(|error| match error.kind() {
            ErrorKind::Tls => invalid("TLS cannot be set up: see the system's root certificates"),
            _ => invalid("it is malformed; percent-encode reserved characters in the password"),
        })?;
        let servers = config.server.hosts();
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        if let ServerConfig::Centralized { server } = &mut config.server {
            take_brackets(server);
        } else if let ServerConfig::Clustered { hosts, .. } | ServerConfig::Sentinel { hosts, .. } =
            &mut config.server
        {
            hosts.iter_mut().for_each(take_brackets);
        }
        Ok(Self {
            config,
            servers: servers.join(", "),
        })
    }
}

/// An IPv6 address has brackets in a URL, and none where it is connected to.
fn take_brackets(server: &mut Server) {
    let address = server
        .host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = address {
        *server = Server::new(address.to_owned(), server.port);
    }
}

fn check_server(url: &Url) -> Result<(), CacheError> {
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("it names no host"));
    }
    if url.port() == Some(0) {
        return Err(invalid("its port is 0"));
    }
    if !url.username().is_empty() && url.password().is_none() {
        return Err(invalid(
            "it names a user and no password; a password without a user is written \
             `redis://:password@host`",
        ));
    }
    if url.fragment().is_some() {
        return Err(invalid("it has a `#`; write `%23` for one in the password"));
    }
    Ok(())
}

fn check_database(url: &Url, deployment: Deployment) -> Result<(), CacheError> {
    let database = url.path().strip_prefix('/').unwrap_or_default();
    if database.is_empty() {
        return Ok(());
    }
    if deployment == Deployment::Cluster {
        return Err(invalid("a cluster has no databases: leave out the path"));
    }
    match database.parse::<u8>() {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid(
            "its path must be the number of a database, 0 to 255",
        )),
    }
}

fn check_parameters(url: &Url, deployment: Deployment) -> Result<(), CacheError> {
    let mut names_service = false;
    for (name, value) in url.query_pairs() {
        match (&*name, deployment) {
            ("node", Deployment::Cluster | Deployment::Sentinel) => {
                let is_address = value.split_once(':').is_some_and(|(host, port)| {
                    !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
                });
                if !is_address {
                    return Err(invalid("its parameter `node` must be `host:port`"));
                }
            }
            ("sentinelServiceName", Deployment::Sentinel) => names_service = !value.is_empty(),
            ("sentinelUsername" | "sentinelPassword", Deployment::Sentinel) => {}
            (unknown, _) => {
                return Err(CacheError::InvalidUrl {
                    reason: format!("it has an unknown parameter `{unknown}`").into(),
                });
            }
        }
    }
    if deployment == Deployment::Sentinel && !names_service {
        return Err(invalid(
            "it needs the parameter `sentinelServiceName`, the name that the sentinels watch the server \
             under",
        ));
    }
    Ok(())
}

fn invalid(reason: &'static str) -> CacheError {
    CacheError::InvalidUrl {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match RedisUrl::parse(url) {
            Err(error @ CacheError::InvalidUrl { .. }) => format!("{error} {error:?}"),
            Err(other) => panic!("{url} gave {other}"),
            Ok(_) => panic!("{url} was accepted"),
        }
    }

    #[test]
    fn whole_urls_are_accepted_and_shown_without_their_password() {
        for (url, servers) in [
            ("redis://localhost", "localhost:6379"),
            ("redis://:s%40crt@db.internal:6380/3", "db.internal:6380"),
            ("redis://app:secret@[::1]:6380/", "[::1]:6380"),
            (
                "redis-cluster://a:7000?node=b:7001&node=c:7002",
                "b:7001, c:7002, a:7000",
            ),
            (
                "redis-sentinel://app:secret@s1:26379/1?node=s2:26379&sentinelServiceName=main",
                "s2:26379, s1:26379",
            ),
        ] {
            let parsed = RedisUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(parsed.servers, servers);
        }
        let config = RedisUrl::parse("redis://app:s%40crt@localhost/3")
            .unwrap()
            .config;
        assert_eq!(config.password.as_deref(), Some("s@crt"));
        assert_eq!(
            (config.username.as_deref(), config.database),
            (Some("app"), Some(3))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, reason) in [
            ("localhost:6379", "begin with"),
            ("http://localhost", "scheme"),
            ("redis:///0", "no host"),
            ("redis://localhost:99999", "port"),
            ("redis://localhost:0", "port"),
            ("redis://app@localhost", "no password"),
            ("redis://localhost/users", "number of a database"),
            ("redis://localhost/300", "number of a database"),
            ("redis://localhost?timeout=5", "`timeout`"),
            ("redis://localhost?node=b:7001", "`node`"),
            ("redis-cluster://a:7000/1", "no databases"),
            ("redis-cluster://a:7000?node=b", "host:port"),
            ("redis-sentinel://s1:26379", "sentinelServiceName"),
        ] {
            let refusal = refusal(url);
            assert!(refusal.contains(reason), "{url}: {refusal}");
        }
    }

    #[test]
    fn no_refusal_shows_a_piece_of_the_password() {
        for url in [
            "redis://app:hunter2/7@localhost",
            "redis://app:12?hunter2@localhost",
            "redis://app:12#hunter2@localhost",
            "redis://hunter2@localhost",
            "redis://app:hunter2@localhost:port",
            "redis://app:hunter2@localhost#x",
            "redis://app:hunter2@",
            "http://app:hunter2@localhost",
            "redis://app:hunter2@localhost/x",
            "redis-sentinel://app:hunter2@localhost?sentinelPassword=hunter2",
        ] {
            assert!(!refusal(url).contains("hunter2"), "{url}");
        }
    }
}
