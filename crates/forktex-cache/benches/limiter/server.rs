// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the server itself says: how long a script took, and how large a key is.

use forktex_cache::fred::clients::Pool;
use forktex_cache::fred::interfaces::{ClientLike, LuaInterface};
use forktex_cache::fred::types::{ClusterHash, CustomCommand, Value};

/// Loads a script; gives its hash.
pub(crate) async fn load(client: &Pool, script: &str) -> String {
    client.script_load(script.to_owned()).await.unwrap()
}

/// The bytes of a key and its value, all of its elements counted.
pub(crate) async fn memory_usage(client: &Pool, key: &str) -> f64 {
    let bytes = ask(client, "MEMORY", &["USAGE", key, "SAMPLES", "0"]).await;
    f64::from(u32::try_from(bytes.as_u64().unwrap()).unwrap())
}

/// Forgets how long commands took.
pub(crate) async fn reset_statistics(client: &Pool) {
    ask(client, "CONFIG", &["RESETSTAT"]).await;
}

/// The microseconds of a script since then, on average, without the network.
pub(crate) async fn script_us(client: &Pool) -> f64 {
    let statistics = ask(client, "INFO", &["commandstats"]).await;
    let statistics = statistics.as_string().unwrap();
    let of_scripts = statistics
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:"))
        .unwrap();
    let mut fields = of_scripts.split(',');
    let average = fields.find_map(|field| field.strip_prefix("usec_per_call="));
    average.unwrap().parse().unwrap()
}

async fn ask(client: &Pool, command: &'static str, arguments: &[&str]) -> Value {
    let command = CustomCommand::new_static(command, ClusterHash::Random, false);
    let arguments = arguments.iter().map(ToString::to_string).collect();
    client
        .custom::<Value, String>(command, arguments)
        .await
        .unwrap()
}
