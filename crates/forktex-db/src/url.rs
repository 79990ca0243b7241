// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads a database URL strictly, so that a mistake is named at start and no password is shown.
//!
//! The driver would fill what a URL leaves out from the environment and from a password file, and
//! would log parameters that it does not know. Here the URL must say it all, and unknown parameters
//! are refused.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::error::DbError;

/// The query parameters that the driver understands.
const KNOWN_PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// A checked URL.
pub(crate) struct DatabaseUrl {
    /// What the driver connects with.
    pub(crate) connect_options: PgConnectOptions,
    /// `host:port/database`, safe to show.
    pub(crate) server: String,
}

impl DatabaseUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, DbError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| DbError::invalid("the database URL must begin with `postgres://`"))?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(DbError::invalid(
                "the scheme of the database URL must be `postgres` or `postgresql`",
            ));
        }
        // An unencoded `/`, `?` or `#` in a password ends the authority early, and the rest of the
        // password would be taken for a path that errors show.
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if rest[authority_end..].contains('@') {
            return Err(DbError::invalid(
                "the database URL has an `@` after its host; percent-encode `/`, `?`, `#` and `@` in \
                 the user name, the password and the parameters",
            ));
        }
        let parsed = Url::parse(url).map_err(|error| {
            DbError::invalid(format!(
                "the database URL is malformed: {error}; percent-encode reserved characters in the \
                 password"
            ))
        })?;
        check_parts(&parsed)?;

        let mut connect_options =
            PgConnectOptions::from_str(url).map_err(|_| unreadable_parameter())?;
        let parameter = |name: &str| parsed.query_pairs().any(|(key, _)| key == name);
        if parsed.port().is_none() && !parameter("port") {
            connect_options = connect_options.port(5432);
        }
        if parsed.password().is_none() && !parameter("password") {
            connect_options = connect_options.password("");
        }
        let server = server_address(&connect_options);
        Ok(Self {
            connect_options,
            server,
        })
    }
}

/// `host:port/database` of connection options, without user and password.
pub(crate) fn server_address(options: &PgConnectOptions) -> String {
    let host = options
        .get_socket()
        .map_or_else(|| options.get_host().into(), |path| path.to_string_lossy());
    format!(
        "{host}:{}/{}",
        options.get_port(),
        options
            .get_database()
            .unwrap_or_else(|| options.get_username()),
    )
}

fn check_parts(url: &Url) -> Result<(), DbError> {
    if url.fragment().is_some() {
        return Err(DbError::invalid(
            "the database URL has a `#`; write `%23` for one in the password",
        ));
    }
    let mut has = (
        url.has_host(),
        !url.username().is_empty(),
        url.path().len() > 1,
    );
    for (key, _) in url.query_pairs() {
        match &*key {
            "host" | "hostaddr" => has.0 = true,
            "user" => has.1 = true,
            "dbname" => has.2 = true,
            known if KNOWN_PARAMETERS.contains(&known) || known.starts_with("options[") => {}
            unknown => {
                return Err(DbError::invalid(format!(
                    "the database URL has an unknown parameter `{unknown}`"
                )));
            }
        }
    }
    match has {
        (false, _, _) => Err(DbError::invalid("the database URL names no host")),
        (_, false, _) => Err(DbError::invalid("the database URL names no user")),
        (_, _, false) => Err(DbError::invalid("the database URL names no database")),
        _ => Ok(()),
    }
}

fn unreadable_parameter() -> DbError {
    DbError::invalid(
        "a parameter of the database URL has a value that is not understood; check sslmode, port and \
         statement-cache-capacity",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match DatabaseUrl::parse(url) {
            Err(error @ DbError::Invalid { .. }) => error.to_string(),
            Err(other) => panic!("{url} gave {other}"),
            Ok(_) => panic!("{url} was accepted"),
        }
    }

    #[test]
    fn a_whole_url_is_accepted_and_shown_without_its_password() {
        let url =
            DatabaseUrl::parse("postgres://app:s%40crt@db.internal:6432/shop?sslmode=disable");
        assert_eq!(url.unwrap().server, "db.internal:6432/shop");
        let url = DatabaseUrl::parse("postgresql://app@localhost/shop").unwrap();
        assert_eq!(url.server, "localhost:5432/shop");
        let url = DatabaseUrl::parse("postgres://app@localhost/shop?host=/run/pg").unwrap();
        assert_eq!(url.server, "/run/pg:5432/shop");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refusal("localhost/shop").contains("postgres://"));
        assert!(refusal("mysql://a:b@localhost/shop").contains("scheme"));
        assert!(refusal("postgres://a:b@localhost").contains("no database"));
        assert!(refusal("postgres://localhost/shop").contains("no user"));
        assert!(refusal("postgres:///shop").contains("no host"));
        assert!(refusal("postgres://a:b@localhost:99999/shop").contains("port"));
        assert!(refusal("postgres://a:b@localhost/shop?slmode=disable").contains("`slmode`"));
        assert!(refusal("postgres://a:b@localhost/shop?sslmode=perhaps").contains("sslmode"));
    }

    #[test]
    fn no_refusal_shows_a_piece_of_the_password() {
        for url in [
            "postgres://app:hunter2/7@localhost/shop",
            "postgres://app:12?hunter2@localhost/shop",
            "postgres://app:12#hunter2@localhost/shop",
            "postgres://app:12/hunter2@localhost/shop",
            "postgres://app:hunter2@localhost:port/shop",
            "postgres://app:hunter2@localhost/shop#x",
            "pg://app:hunter2@localhost/shop",
            "postgres://app:hunter2@/shop",
            "postgres://app:hunter2@localhost/shop?sslmode=hunter2",
        ] {
            assert!(!refusal(url).contains("hunter2"), "{url}");
        }
    }
}
