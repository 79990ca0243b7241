// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Slots of a cluster that are being moved: their keys are in two places meanwhile.
//!
//! A server that gives a slot away answers `ASK` for the keys that have left. The driver (10.1.0) says
//! `ASKING` to the server that takes them, and then sends the command to the one that gave them away, until
//! it gives up with an error of routing. So such a command is sent on from here.

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike as _, ClusterInterface as _};
use fred::types::config::{Options, Server};
use fred::types::{ClusterHash, CustomCommand, FromValue, Value};

use super::command::Command;

/// Whether an error is about a slot that is being moved. Its servers answer, and serve other slots.
pub(super) fn is_of_slot(error: &Error) -> bool {
    *error.kind() == ErrorKind::Routing || error.details().starts_with("TRYAGAIN")
}

/// Sends a command to the server that takes over its slot. Where there is none, `error` stands.
pub(super) async fn follow<T: FromValue>(
    client: &Client,
    options: &Options,
    command: Command,
    error: Error,
) -> Result<T, Error> {
    let routing = client.cached_cluster_state();
    let (Some(slot), Some(routing)) = (command.place(), routing) else {
        return Err(error);
    };
    let Some(owner) = routing.get_server(slot) else {
        return Err(error);
    };
    let at = |server: &Server| Options {
        cluster_node: Some(server.clone()),
        ..options.clone()
    };
    let nodes = CustomCommand::new_static("CLUSTER NODES", ClusterHash::Random, false);
    let owner = client.with_options(&at(owner));
    let nodes: String = owner.custom(nodes, Vec::<Value>::new()).await?;
    let taker = taker(&nodes, slot);
    // To others there are no connections.
    let Some(taker) = taker.filter(|taker| routing.unique_primary_nodes().contains(taker)) else {
        return Err(error);
    };
    let pipeline = client.pipeline().with_options(&at(&taker));
    let asking = CustomCommand::new_static("ASKING", ClusterHash::Random, false);
    pipeline.custom::<(), Value>(asking, Vec::new()).await?;
    let (command, arguments) = command.into_parts();
    pipeline.custom::<(), Value>(command, arguments).await?;
    let answers: Vec<Value> = pipeline.all().await?;
    answers.into_iter().last().unwrap_or(Value::Null).convert()
}

/// Who takes over a slot, by what its present owner says of the nodes: `[slot->-id]`.
fn taker(nodes: &str, slot: u16) -> Option<Server> {
    let mark = format!("[{slot}->-");
    let id = nodes
        .split_whitespace()
        .find_map(|word| word.strip_prefix(&mark)?.strip_suffix(']'))?;
    let address = nodes.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(id)).then(|| words.next())?
    })?;
    let (address, _) = address.split_once('@')?;
    let (host, port) = address.rsplit_once(':')?;
    Some(Server::new(host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_slot_is_read_from_its_owner() {
        let nodes = "\
            aa 127.0.0.1:7000@17000 master - 0 1 2 connected 5461-10922\n\
            bb 127.0.0.1:7001@17001,host myself,master - 0 1 1 connected 0-5460 [42->-aa] [43-<-cc]\n\
            cc 127.0.0.1:7002@17002 master - 0 1 3 connected 10923-16383\n";
        assert_eq!(taker(nodes, 42), Some(Server::new("127.0.0.1", 7000)));
        assert_eq!(taker(nodes, 43), None);
        assert_eq!(taker("", 42), None);
    }

    #[test]
    fn an_error_of_a_slot_is_told_from_one_of_a_server() {
        for (kind, details) in [
            (ErrorKind::Routing, "Max attempts reached."),
            (
                ErrorKind::Unknown,
                "TRYAGAIN Multiple keys request during rehashing of slot",
            ),
        ] {
            assert!(is_of_slot(&Error::new(kind, details)), "{details}");
        }
        assert!(!is_of_slot(&Error::new(
            ErrorKind::IO,
            "Connection closed."
        )));
    }
}
