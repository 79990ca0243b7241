// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A virtual register of random rows, whose source can do a random part by itself. It holds to what is
//! asked of a source and to no more: it gives rows that were not asked for, and ties in any order.

use fastrand::Rng;
use forktex_data::{
    Data, FieldDefinition, Operator, Paging, Register, Value, VirtualCapabilities,
    VirtualCondition, VirtualError, VirtualPage, VirtualPosition, VirtualRegister, VirtualRequest,
    VirtualRow, async_trait,
};
use forktex_db::Db;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::cells::{self, Field, Row, State};
use crate::evaluator;
use crate::stored;

/// How many rows a register has at most.
const ROWS_MAX: usize = 60;

struct Source {
    fields: Vec<Field>,
    rows: Vec<Row>,
    capabilities: VirtualCapabilities,
    /// Whether it filters at all; it may claim to, and give more than was asked for.
    is_strict: bool,
    paging: Paging,
}

pub(crate) async fn fill(db: &Db, random: &mut Rng) -> stored::Filled {
    let mut fields = cells::fields(random);
    for field in &mut fields {
        field.is_indexed = false;
    }
    let count = random.usize(..=ROWS_MAX);
    let rows: Vec<Row> = (0..count)
        .map(|_| Row {
            id: Uuid::from_u128(random.u128(1 << 100..)).to_string(),
            cells: stored::cells(random, &fields).0,
            is_archived: false,
        })
        .collect();
    let source = Source {
        capabilities: capabilities(random, &fields),
        is_strict: random.bool(),
        paging: [Paging::None, Paging::Offset, Paging::Cursor][random.usize(..3)],
        fields: fields.clone(),
        rows: rows.clone(),
    };
    let source = source.with_paging(random);
    let data = Data::builder(db)
        .virtual_register("things", source)
        .build()
        .unwrap();
    let register: Register = data
        .tenant(Uuid::now_v7())
        .register("things")
        .await
        .unwrap();
    (register, fields, rows)
}

fn capabilities(random: &mut Rng, fields: &[Field]) -> VirtualCapabilities {
    let mut capabilities = VirtualCapabilities::new().sort_keys_max(random.usize(..=2));
    for field in fields {
        let mut operators = Operator::ALL.to_vec();
        // What is like something is not for this evaluator.
        operators.retain(|operator| *operator != Operator::Fuzzy && random.bool());
        if random.bool() {
            capabilities = capabilities.filters(field.name.as_str(), operators);
        }
        if random.bool() {
            capabilities = capabilities.sorts_by([field.name.as_str()]);
        }
    }
    capabilities
}

impl Source {
    fn with_paging(mut self, random: &mut Rng) -> Self {
        self.capabilities = self.capabilities.paging(self.paging);
        if self.paging != Paging::None {
            self.capabilities = self.capabilities.page_rows(random.usize(1..20));
        }
        self
    }

    /// The rows that are given for a request, all pages together.
    fn answer(&self, request: &VirtualRequest) -> Vec<&Row> {
        let is_wanted = |row: &&Row| {
            let holds = |condition| {
                let filter = filter_of(condition);
                evaluator::is_match(&self.fields, &filter, row)
            };
            !self.is_strict || request.conditions.iter().all(holds)
        };
        let mut rows: Vec<&Row> = self.rows.iter().filter(is_wanted).collect();
        // Ties from the last to the first.
        rows.sort_by(|one, other| other.id.cmp(&one.id));
        let keys = request.sort.iter().rev();
        for key in keys {
            rows.sort_by(|one, other| {
                let order = cells::order(one.state(&key.field), other.state(&key.field));
                if key.is_descending {
                    order.reverse()
                } else {
                    order
                }
            });
        }
        rows
    }

    fn row(&self, row: &Row) -> VirtualRow {
        let id: Uuid = row.id.parse().expect("a UUID");
        let virtual_row = VirtualRow::new(id);
        self.fields.iter().fold(virtual_row, |given, field| {
            let name = field.name.as_str();
            match row.state(name) {
                State::Absent => given,
                State::Null => given.null(name),
                State::Value(value) => given.set_json(name, cells::to_json(field.kind, value)),
            }
        })
    }
}

/// A condition as the JSON that the evaluator reads.
fn filter_of(condition: &VirtualCondition) -> Json {
    let values: Vec<Json> = condition.operands.iter().map(Value::to_json).collect();
    let operand = match condition.operator {
        Operator::In | Operator::NotIn | Operator::Between => Json::Array(values),
        Operator::IsEmpty | Operator::IsNull | Operator::IsAbsent => Json::Bool(true),
        _ => values.into_iter().next().expect("an operand"),
    };
    let mut filter = Map::new();
    filter.insert("field".to_owned(), Json::from(condition.field.as_str()));
    filter.insert(condition.operator.word().to_owned(), operand);
    Json::Object(filter)
}

#[async_trait]
impl VirtualRegister for Source {
    fn fields(&self) -> Vec<FieldDefinition> {
        self.fields.iter().map(stored::definition).collect()
    }

    fn capabilities(&self) -> VirtualCapabilities {
        self.capabilities.clone()
    }

    async fn fetch(
        &self,
        _tenant: Uuid,
        request: &VirtualRequest,
    ) -> Result<VirtualPage, VirtualError> {
        let rows = self.answer(request);
        let start = match &request.position {
            VirtualPosition::Offset(passed) => usize::try_from(*passed).expect("a small number"),
            VirtualPosition::Cursor(text) => text.parse().expect("a cursor of ours"),
            _ => 0,
        };
        // One that does not page is asked once, for all.
        let rows_max = if self.paging == Paging::None {
            usize::MAX
        } else {
            request.rows_max
        };
        let page: Vec<&Row> = rows.iter().skip(start).take(rows_max).copied().collect();
        let end = start + page.len();
        let given = VirtualPage::new(page.into_iter().map(|row| self.row(row)));
        if end >= rows.len() {
            return Ok(given.last());
        }
        let is_by_cursor = self.paging == Paging::Cursor;
        Ok(if is_by_cursor {
            given.next(end.to_string())
        } else {
            given
        })
    }
}
