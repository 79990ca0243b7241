// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows as pictures: Mermaid for documents, DOT for Graphviz.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::topology::{END, START, Topology};
use crate::instance::{Instance, NodeStatus};

/// A workflow to be drawn, alone or with the course of one run in colours.
///
/// # Examples
/// ```
/// use forktex_flow::definition::drawing::Drawing;
/// use forktex_flow::definition::topology::{END, Edge, GraphNode, START, Topology};
///
/// let mut topology = Topology::default();
/// topology.nodes.push(GraphNode::new("check"));
/// topology.edges.push(Edge::new(vec![START.into()], vec!["check".into()]));
/// topology.edges.push(Edge::on_branch("check", "Again", "check"));
/// topology.edges.push(Edge::on_branch("check", "Fine", END));
///
/// let text = Drawing::new(topology).to_mermaid();
/// assert!(text.starts_with("flowchart TD\n"));
/// assert!(text.contains("n0 -->|Again| n0"));
/// ```
#[derive(Debug, Clone)]
pub struct Drawing {
    topology: Arc<Topology>,
    courses: BTreeMap<String, Course>,
}

/// What a run did at a node.
#[derive(Debug, Clone, Copy)]
struct Course {
    mark: Mark,
    visits: u32,
}

/// How a node is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Completed,
    Skipped,
    Retrying,
    Failed,
    /// The run is there.
    Current,
}

impl Mark {
    const ALL: [Self; 5] = [
        Self::Completed,
        Self::Skipped,
        Self::Retrying,
        Self::Failed,
        Self::Current,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Current => "current",
        }
    }

    /// Light enough for black text.
    fn colour(self) -> &'static str {
        match self {
            Self::Completed => "#c8e6c9",
            Self::Skipped => "#eeeeee",
            Self::Retrying => "#ffe0b2",
            Self::Failed => "#ffcdd2",
            Self::Current => "#bbdefb",
        }
    }
}

impl From<NodeStatus> for Mark {
    fn from(status: NodeStatus) -> Self {
        match status {
            NodeStatus::Completed => Self::Completed,
            NodeStatus::Skipped => Self::Skipped,
            NodeStatus::Retrying => Self::Retrying,
            NodeStatus::Failed => Self::Failed,
        }
    }
}

impl Drawing {
    /// A workflow alone.
    pub fn new(topology: impl Into<Arc<Topology>>) -> Self {
        Self {
            topology: topology.into(),
            courses: BTreeMap::new(),
        }
    }

    /// Colours the nodes by what became of them in a run, at their latest visit, and where it is now.
    #[must_use]
    pub fn with_run<S>(mut self, run: &Instance<S>) -> Self {
        for record in &run.nodes {
            let course = Course {
                mark: record.status.into(),
                visits: record.visit,
            };
            self.courses.insert(record.name.as_str().to_owned(), course);
        }
        for node in &run.current_nodes {
            let course = self.courses.entry(node.as_str().to_owned());
            let course = course.or_insert(Course {
                mark: Mark::Current,
                visits: 1,
            });
            match course.mark {
                // It waits for another attempt, and is shown so.
                Mark::Retrying => continue,
                // The run has come again, and this visit has no record yet.
                Mark::Completed | Mark::Skipped => course.visits += 1,
                Mark::Failed | Mark::Current => {}
            }
            course.mark = Mark::Current;
        }
        self
    }

    /// The text of a Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart TD\n    start((START))\n    finish((END))\n");
        // Writing to a String does not fail.
        self.write_mermaid(&mut text).ok();
        text
    }

    fn write_mermaid(&self, text: &mut String) -> fmt::Result {
        for (index, node) in self.topology.nodes.iter().enumerate() {
            let label = self.label(&node.name).replace('"', "#quot;");
            if node.conditional {
                writeln!(text, "    n{index}{{{{\"{label}\"}}}}")?;
            } else {
                writeln!(text, "    n{index}[\"{label}\"]")?;
            }
        }
        for edge in &self.topology.edges {
            let (from, to) = (self.ids(&edge.from, " & "), self.ids(&edge.to, " & "));
            // An edge that waits is dotted.
            let arrow = if edge.wait.is_some() { "-.->" } else { "-->" };
            match edge.label() {
                Some(label) => {
                    let label = label.replace('"', "#quot;").replace('|', "#124;");
                    writeln!(text, "    {from} {arrow}|{label}| {to}")?;
                }
                None => writeln!(text, "    {from} {arrow} {to}")?,
            }
        }
        for mark in Mark::ALL {
            let marked = self.marked(mark);
            if !marked.is_empty() {
                let (name, colour) = (mark.name(), mark.colour());
                writeln!(text, "    classDef {name} fill:{colour},color:#000000")?;
                writeln!(text, "    class {} {name}", marked.join(","))?;
            }
        }
        Ok(())
    }

    /// The text of a graph for Graphviz.
    pub fn to_dot(&self) -> String {
        let mut text = String::from(
            "digraph workflow {\n    node [shape=box, style=\"rounded,filled\", fillcolor=white];\n    \
             start [label=\"START\", shape=circle];\n    finish [label=\"END\", shape=doublecircle];\n",
        );
        self.write_dot(&mut text).ok();
        text.push_str("}\n");
        text
    }

    fn write_dot(&self, text: &mut String) -> fmt::Result {
        for (index, node) in self.topology.nodes.iter().enumerate() {
            let label = quoted(&self.label(&node.name));
            write!(text, "    n{index} [label={label}")?;
            if node.conditional {
                text.push_str(", shape=hexagon");
            }
            if let Some(course) = self.courses.get(&node.name) {
                let (name, colour) = (course.mark.name(), course.mark.colour());
                write!(text, ", fillcolor=\"{colour}\", tooltip=\"{name}\"")?;
            }
            text.push_str("];\n");
        }
        for edge in &self.topology.edges {
            let style = if edge.wait.is_some() {
                ", style=dashed"
            } else {
                ""
            };
            // Parallel nodes: an edge for each pair.
            for from in &edge.from {
                for to in &edge.to {
                    write!(text, "    {} -> {}", self.id(from), self.id(to))?;
                    if let Some(label) = edge.label() {
                        write!(text, " [label={}{style}]", quoted(&label))?;
                    }
                    text.push_str(";\n");
                }
            }
        }
        Ok(())
    }

    /// The node's name, and how often it was visited if that was more than once.
    fn label(&self, node: &str) -> String {
        match self.courses.get(node) {
            Some(course) if course.visits > 1 => format!("{node} ×{}", course.visits),
            _ => node.to_owned(),
        }
    }

    fn ids(&self, names: &[String], separator: &str) -> String {
        let ids: Vec<String> = names.iter().map(|name| self.id(name)).collect();
        ids.join(separator)
    }

    /// Names may hold what neither language takes, so nodes are numbered.
    fn id(&self, name: &str) -> String {
        match name {
            START => return "start".to_owned(),
            END => return "finish".to_owned(),
            _ => {}
        }
        let place = self
            .topology
            .nodes
            .iter()
            .position(|node| node.name == name);
        place.map_or_else(|| "unknown".to_owned(), |place| format!("n{place}"))
    }

    fn marked(&self, mark: Mark) -> Vec<String> {
        let nodes = self.topology.nodes.iter();
        nodes
            .filter(|node| {
                let course = self.courses.get(&node.name);
                course.is_some_and(|course| course.mark == mark)
            })
            .map(|node| self.id(&node.name))
            .collect()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::topology::Edge;
    use crate::definition::topology::GraphNode;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn drawing() -> Drawing {
        let mut nodes = ["a", "b", "say \"hi\""].map(GraphNode::new);
        nodes[1].conditional = true;
        let edges = vec![
            Edge::new(names(&[START]), names(&["a", "b"])),
            Edge::new(names(&["a", "b"]), names(&["say \"hi\""])),
            Edge::on_branch("say \"hi\"", "Again", "a"),
            Edge::on_branch("say \"hi\"", "Done", END),
        ];
        let nodes = nodes.into();
        Drawing::new(Topology { nodes, edges })
    }

    #[test]
    fn mermaid_has_each_node_and_edge() {
        let expected = "flowchart TD
    start((START))
    finish((END))
    n0[\"a\"]
    n1{{\"b\"}}
    n2[\"say #quot;hi#quot;\"]
    start --> n0 & n1
    n0 & n1 --> n2
    n2 -->|Again| n0
    n2 -->|Done| finish
";
        assert_eq!(drawing().to_mermaid(), expected);
    }

    #[test]
    fn dot_has_each_node_and_edge() {
        let text = drawing().to_dot();
        for line in [
            "n1 [label=\"b\", shape=hexagon];",
            "n2 [label=\"say \\\"hi\\\"\"];",
            "start -> n1;",
            "n1 -> n2;",
            "n2 -> finish [label=\"Done\"];",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_run_is_shown_by_colours_and_counts() {
        let mut drawing = drawing();
        for (node, mark, visits) in [
            ("a", Mark::Completed, 3),
            ("b", Mark::Skipped, 1),
            ("say \"hi\"", Mark::Failed, 2),
        ] {
            drawing
                .courses
                .insert(node.to_owned(), Course { mark, visits });
        }
        let text = drawing.to_mermaid();
        for line in [
            "n0[\"a ×3\"]",
            "class n0 completed",
            "class n1 skipped",
            "class n2 failed",
            "classDef failed fill:#ffcdd2",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("classDef retrying"));
        assert!(drawing.to_dot().contains(
            "n2 [label=\"say \\\"hi\\\" ×2\", fillcolor=\"#ffcdd2\", tooltip=\"failed\"]"
        ));
    }
}
