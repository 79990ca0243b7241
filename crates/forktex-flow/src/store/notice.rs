// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What processes tell each other by LISTEN and NOTIFY: hints that save a second of polling, never the
//! truth. A notice that is lost costs time and nothing else.

use std::collections::BTreeSet;

use async_trait::async_trait;
use forktex_db::DbError;

use crate::identifier::InstanceId;

/// The most identifiers in one notification, whose payload Postgres limits to 8,000 bytes.
const IDENTIFIERS_MAX: usize = 200;

/// A hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A run is ready to be claimed.
    Ready,
    /// A message has come for a run.
    Message,
    /// The cancellation of an owned run was asked for.
    Cancelling(InstanceId),
    /// A run has ended.
    Ended(InstanceId),
    /// A step has told something that those who follow its run want to know at once.
    Progress(InstanceId),
}

/// Sends notices; several in one statement.
#[async_trait]
pub(crate) trait NoticeSender: Send + Sync + 'static {
    async fn send(&self, notices: &[Notice]) -> Result<(), DbError>;
}

/// Receives the notices of all processes, this one's too.
#[async_trait]
pub(crate) trait NoticeReceiver: Send {
    /// The next notices. Opens its connection where it has none.
    async fn receive(&mut self) -> Result<Vec<Notice>, DbError>;
}

/// The texts of some notices, equal ones once.
pub(crate) fn encode(notices: &[Notice]) -> Vec<String> {
    let mut texts = Vec::new();
    if notices.contains(&Notice::Ready) {
        texts.push("ready".to_owned());
    }
    if notices.contains(&Notice::Message) {
        texts.push("message".to_owned());
    }
    let cancelling = notices.iter().filter_map(|notice| match notice {
        Notice::Cancelling(instance) => Some(instance),
        _ => None,
    });
    let ended = notices.iter().filter_map(|notice| match notice {
        Notice::Ended(instance) => Some(instance),
        _ => None,
    });
    let progress = notices.iter().filter_map(|notice| match notice {
        Notice::Progress(instance) => Some(instance),
        _ => None,
    });
    let progress: BTreeSet<&InstanceId> = progress.collect();
    for (word, instances) in [
        ("cancelling", cancelling.collect::<Vec<_>>()),
        ("ended", ended.collect()),
        ("progress", progress.into_iter().collect()),
    ] {
        for chunk in instances.chunks(IDENTIFIERS_MAX) {
            let identifiers = chunk
                .iter()
                .map(|instance| instance.0.simple().to_string())
                .collect::<Vec<_>>();
            texts.push(format!("{word} {}", identifiers.join(" ")));
        }
    }
    texts
}

/// Reads the text of a notification. What it does not know is passed over: it may be newer.
pub(crate) fn decode(text: &str) -> Vec<Notice> {
    let mut words = text.split(' ');
    let notice: fn(InstanceId) -> Notice = match words.next() {
        Some("ready") => return vec![Notice::Ready],
        Some("message") => return vec![Notice::Message],
        Some("cancelling") => Notice::Cancelling,
        Some("ended") => Notice::Ended,
        Some("progress") => Notice::Progress,
        _ => return Vec::new(),
    };
    words
        .filter_map(|word| word.parse().ok())
        .map(notice)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_survive_the_wire_in_payloads_that_postgres_takes() {
        let mut notices = vec![
            Notice::Ready,
            Notice::Ready,
            Notice::Message,
            Notice::Cancelling(InstanceId::generate()),
        ];
        notices.extend((0..500).map(|_| Notice::Ended(InstanceId::generate())));
        let texts = encode(&notices);
        assert!(texts.iter().all(|text| text.len() < 8_000));
        let decoded: Vec<Notice> = texts.iter().flat_map(|text| decode(text)).collect();
        assert_eq!(decoded, notices[1..]);
        assert!(decode("later 1").is_empty());
    }
}
