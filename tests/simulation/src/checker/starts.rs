// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What was accepted is there, once; a key stands for one run.

use std::collections::HashMap;

use forktex_flow::InstanceId;

use super::{Findings, Guarantee};
use crate::history::{Answer, History, Request};

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut of_key: HashMap<(&str, &String), InstanceId> = HashMap::new();
    for (_, request, answer) in history.requests() {
        let Some((_, answer)) = answer else {
            continue;
        };
        if let (Answer::Done(Some(run)), _) = (answer, request) {
            let is_there = history
                .runs
                .iter()
                .any(|known| known.instance.instance_id == *run);
            findings.expect(is_there, Guarantee::Ends, *run, || {
                format!("it was acknowledged, and is not there: {request:?}")
            });
        }
        let Request::Start {
            tag, workflow, key, ..
        } = request
        else {
            continue;
        };
        match answer {
            Answer::Done(Some(run)) => {
                let known = history
                    .runs
                    .iter()
                    .find(|known| known.instance.instance_id == *run);
                let is_it = known.is_none_or(|known| {
                    known.instance.input["tag"] == *tag
                        && known.instance.workflow_name.as_str() == *workflow
                });
                findings.expect(is_it, Guarantee::Keys, *run, || {
                    format!("a start of tag {tag} was answered by another run")
                });
                if let Some(key) = key {
                    let first = *of_key.entry((workflow, key)).or_insert(*run);
                    findings.expect(first == *run, Guarantee::Keys, *run, || {
                        format!("the key {key} stands for run {first} as well")
                    });
                }
            }
            Answer::Refused(reason) => {
                findings.add(
                    Guarantee::Ends,
                    None,
                    format!("a start was refused: {reason}"),
                );
            }
            _ => {}
        }
    }
    let mut by_tag: HashMap<(String, u64), u32> = HashMap::new();
    for run in &history.runs {
        let instance = &run.instance;
        if instance.triggered_by != "manual" {
            continue;
        }
        let tag = instance.input["tag"].as_u64().unwrap_or_default();
        let name = instance.workflow_name.as_str().to_owned();
        let count = by_tag.entry((name, tag)).or_default();
        *count += 1;
        findings.expect(*count == 1, Guarantee::Keys, instance.instance_id, || {
            format!("tag {tag} was started once, and has {count} runs")
        });
    }
}
