// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Kills a program with all that it started. On other systems than Linux, where `/proc` is
//! missing, only the program itself.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};

/// Kills `child` and its descendants, and reaps it.
pub(super) fn kill(child: &mut Child) -> io::Result<()> {
    // Listed before the first dies: the orphans of a dead process belong to another parent.
    let descendants = descendants(child.id(), &parents());
    child.kill()?;
    child.wait()?;
    if descendants.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = descendants.iter().map(u32::to_string).collect();
    Command::new("sh")
        .args(["-c", "kill -KILL \"$@\"", "kill"])
        .args(list)
        .stderr(Stdio::null())
        .status()?;
    Ok(())
}

/// The parent of each process.
fn parents() -> HashMap<u32, u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((id, parent(&stat)?))
        })
        .collect()
}

/// The fourth field of a `/proc/<id>/stat`; the second may hold spaces and parentheses.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// All that `root` started, and what those started.
fn descendants(root: u32, parents: &HashMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        let children = parents
            .iter()
            .filter(|(id, of)| **of == parent && **id != parent);
        found.extend(children.map(|(id, _)| *id).filter(|id| *id != root));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_hide_the_parent() {
        assert_eq!(parent("42 (a (b) c) S 7 42 42 0"), Some(7));
        assert_eq!(parent("nonsense"), None);
    }

    #[test]
    fn descendants_are_found_over_generations_and_others_are_left() {
        let parents = HashMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 3)]);
        let mut found = descendants(2, &parents);
        found.sort_unstable();
        assert_eq!(found, [3, 4, 6]);
    }
}
