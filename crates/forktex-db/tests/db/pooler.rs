// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A `PgBouncer` in transaction mode in front of a database.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use forktex_testkit::TestDatabase;
use url::Url;

use crate::setup::eventually;

/// A pooler whose server connections many clients must share.
pub(crate) struct PgBouncer {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl PgBouncer {
    /// Starts one in front of a database, with so many server connections for each role.
    pub(crate) async fn start(database: &TestDatabase, server_connections: u32) -> Self {
        let urls = [
            database.url(),
            database.owner_url(),
            database.superuser_url(),
        ];
        let urls = urls.map(|url| Url::parse(url).unwrap());
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = std::env::temp_dir().join(format!("{}_{port}", database.name()));
        fs::create_dir_all(&folder).unwrap();
        let users = urls.each_ref().map(|url| {
            let password = url.password().unwrap_or_default();
            format!("\"{}\" \"{password}\"\n", url.username())
        });
        fs::write(folder.join("users.txt"), users.concat()).unwrap();
        // It refuses to run as root.
        let account = if fs::metadata(&folder).unwrap().uid() == 0 {
            "user = postgres"
        } else {
            ""
        };
        let settings = folder.join("pgbouncer.ini");
        write!(
            fs::File::create(&settings).unwrap(),
            "[databases]\n{name} = host={host} port={server_port} dbname={name}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {users}\npool_mode = transaction\n\
             default_pool_size = {server_connections}\n{account}\n",
            name = database.name(),
            host = urls[0].host_str().unwrap(),
            server_port = urls[0].port().unwrap(),
            users = folder.join("users.txt").display(),
        )
        .unwrap();
        let process = Command::new(program())
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let bouncer = Self {
            process,
            folder,
            port,
        };
        eventually("the pooler listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        bouncer
    }

    /// The same database and role, through the pooler.
    pub(crate) fn in_front_of(&self, url: &str) -> String {
        let mut url = Url::parse(url).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn program() -> PathBuf {
    let named = std::env::var_os("PGBOUNCER_BIN").map(PathBuf::from);
    let folders = [
        "/usr/sbin",
        "/usr/bin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
    ];
    named
        .into_iter()
        .chain(folders.map(PathBuf::from))
        .flat_map(|place| [place.join("pgbouncer"), place])
        .find(|program| program.is_file())
        .expect("PgBouncer is not installed; on Debian type: apt-get install -y pgbouncer")
}
