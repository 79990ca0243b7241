// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The rules for names; the library's `identifier` has the same ones.

const WORKFLOW_CHARACTERS_MAX: usize = 200;
const NODE_CHARACTERS_MAX: usize = 100;

/// Whether `text` can name a workflow.
pub(crate) fn is_workflow(text: &str) -> bool {
    text.len() <= WORKFLOW_CHARACTERS_MAX && text.split('.').all(is_word)
}

/// Whether `text` can name a node.
pub(crate) fn is_node(text: &str) -> bool {
    text.len() <= NODE_CHARACTERS_MAX
        && text.split('.').all(is_word)
        && !["__START__", "__END__"].contains(&text)
}

/// Whether `text` can name a job or a queue.
pub(crate) fn is_job(text: &str) -> bool {
    text.len() <= NODE_CHARACTERS_MAX && text.split('.').all(is_word)
}

/// The name of a function as that of a type: `backup_create` makes `BackupCreate`.
pub(crate) fn camel_case(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut characters = word.chars();
        let first = characters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(characters).collect::<String>()
    });
    words.collect()
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_types_in_camel_case() {
        for (name, expected) in [("backup_create", "BackupCreate"), ("_go__on_2", "GoOn2")] {
            assert_eq!(camel_case(name), expected);
        }
    }

    #[test]
    fn names_are_words_joined_by_dots() {
        for good in ["a", "cloud.deploy.up", "user-1.x_y"] {
            assert!(is_workflow(good) && is_node(good), "{good}");
        }
        for bad in ["", ".", "a.", "a..b", "a b", "é", &"x".repeat(201)] {
            assert!(!is_workflow(bad) && !is_node(bad), "{bad}");
        }
        assert!(!is_node("__END__"));
    }
}
