// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What looks like SQL, LIKE, JSON paths or regular expressions is a value like any other, or Invalid.

use forktex_data::{
    DataError, DataErrorKind, Draft, ExportFormat, FieldDefinition, Filter, ImportFormat, Register,
    RegisterDefinition, RelationshipDefinition, RowQuery, Value, field, related,
};
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::fixture::{World, create, definition, draft};

/// What ends a literal, a name, a path, a pattern or a statement somewhere.
const ATTEMPTS: [&str; 24] = [
    "'",
    "''",
    "'; DROP TABLE forktex_data.row; --",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "\"; DELETE FROM forktex_data.row; --",
    "1; SELECT pg_sleep(10)",
    "$1",
    "$$",
    "$tag$",
    "\\",
    "\\'",
    "%",
    "_",
    "100%_",
    "a'||(SELECT name FROM forktex_data.register LIMIT 1)||'",
    "{a,b}",
    "{\"a\":1}",
    "$.cells[*]",
    "(a|b)*",
    "E'\\x27'",
    "/* comment */",
    "* FROM forktex_data.row",
    "\u{2019}\u{ff07}",
];

async fn register(world: &World) -> Register {
    let fields = [
        FieldDefinition::text("plain"),
        FieldDefinition::text("indexed")
            .indexed()
            .unique()
            .searchable(),
        FieldDefinition::json("document"),
    ];
    world.with_fields("values", fields).await
}

#[tokio::test]
async fn a_value_is_a_value() {
    let world = World::create().await;
    let register = register(&world).await;
    for attempt in ATTEMPTS {
        let row = json!({"plain": attempt, "indexed": attempt, "document": {attempt: attempt}});
        let mut written = draft(row);
        written = written.external_ref(attempt);
        let row = register.rows().create(written).await.unwrap();
        let read = register.rows().get(row.id).await.unwrap();
        assert_eq!(read.get("plain"), Some(&Value::from(attempt)));
        assert_eq!(
            read.get("document").map(Value::to_json),
            Some(json!({attempt: attempt}))
        );
        let found = register.rows().by_external_ref(attempt).await.unwrap();
        assert_eq!(found.unwrap().id, row.id);
    }
    for attempt in ATTEMPTS {
        for name in ["plain", "indexed"] {
            for filter in [
                field(name).eq(attempt),
                field(name).is_in([attempt]),
                field(name).between(attempt, attempt),
                field(name).contains(attempt)
                    & field(name).starts_with(attempt)
                    & field(name).eq(attempt),
                field(name).ends_with(attempt)
                    & field(name).icontains(attempt)
                    & field(name).lte(attempt)
                    & field(name).gte(attempt),
            ] {
                let found = RowQuery::new(&register)
                    .filter(filter.clone())
                    .scroll(50)
                    .await
                    .unwrap();
                assert_eq!(found.rows.len(), 1, "{attempt} by {filter:?}");
                assert_eq!(found.rows[0].get(name), Some(&Value::from(attempt)));
            }
            let without = RowQuery::new(&register).filter(field(name).ne(attempt));
            assert_eq!(without.count_rows().await.unwrap(), 23, "{attempt}");
        }
        // How often a part stands in the others is known without SQL.
        let expected = ATTEMPTS
            .iter()
            .filter(|text| text.contains(attempt))
            .count();
        let found = RowQuery::new(&register)
            .filter(field("plain").contains(attempt))
            .scroll(50)
            .await;
        assert_eq!(found.unwrap().rows.len(), expected, "{attempt}");
        let expected = ATTEMPTS
            .iter()
            .filter(|text| text.starts_with(attempt))
            .count();
        let found = RowQuery::new(&register)
            .filter(field("indexed").starts_with(attempt))
            .scroll(50)
            .await;
        assert_eq!(found.unwrap().rows.len(), expected, "{attempt}");
        for searched in [
            RowQuery::new(&register).search(attempt).scroll(50).await,
            RowQuery::new(&register)
                .fuzzy_search(attempt)
                .scroll(50)
                .await,
        ] {
            match searched {
                Ok(_) | Err(DataError::Query(_)) => {}
                Err(other) => panic!("{attempt}: {other:?}"),
            }
        }
    }
    let facets = RowQuery::new(&register)
        .facets(["plain"])
        .scroll(1)
        .await
        .unwrap();
    assert_eq!(facets.facets["plain"].len(), ATTEMPTS.len());
}

fn assert_refused<T: std::fmt::Debug>(what: &str, attempt: &str, outcome: Result<T, DataError>) {
    let refused = outcome.unwrap_err();
    assert!(
        matches!(
            refused.kind(),
            DataErrorKind::Invalid
                | DataErrorKind::NotFound
                | DataErrorKind::Refused
                | DataErrorKind::Conflict
        ),
        "{what} {attempt}: {refused:?}"
    );
}

/// A name goes into no statement: it is one that is known, or none.
#[tokio::test]
async fn a_name_is_known_or_refused() {
    let world = World::create().await;
    let tenant = world.tenant();
    let register = register(&world).await;
    let row = create(&register, json!({"plain": "a"})).await.id;
    let before = world.snapshot().await;
    for attempt in ATTEMPTS {
        let all = || RowQuery::new(&register);
        assert_refused("sort", attempt, all().order_by(attempt).scroll(5).await);
        assert_refused(
            "sort",
            attempt,
            all().order_by(format!("-{attempt}")).scroll(5).await,
        );
        assert_refused(
            "sort",
            attempt,
            all().order_by(format!("plain {attempt}")).scroll(5).await,
        );
        assert_refused(
            "filter",
            attempt,
            all().filter(field(attempt).eq("a")).scroll(5).await,
        );
        assert_refused("fields", attempt, all().fields([attempt]).scroll(5).await);
        assert_refused("facets", attempt, all().facets([attempt]).scroll(5).await);
        assert_refused(
            "group_by",
            attempt,
            all().group_by([attempt]).page(1, 5).await,
        );
        assert_refused(
            "related",
            attempt,
            all().with_related([attempt]).scroll(5).await,
        );
        let by_related = related(attempt, Filter::all());
        assert_refused("where", attempt, all().filter(by_related).scroll(5).await);
        assert_refused("explain", attempt, all().order_by(attempt).explain().await);

        let rows = register.rows();
        assert_refused(
            "create",
            attempt,
            rows.create(Draft::new().set(attempt, "a")).await,
        );
        assert_refused(
            "patch",
            attempt,
            rows.patch(row, Draft::new().null(attempt)).await,
        );
        assert_refused("link", attempt, rows.link(row, attempt, row).await);

        assert_refused("register", attempt, tenant.register(attempt).await);
        assert_refused(
            "create",
            attempt,
            tenant
                .create_register(RegisterDefinition::new(attempt))
                .await,
        );
        let named = definition("other", [FieldDefinition::text(attempt)]);
        assert_refused("field", attempt, tenant.create_register(named).await);
        assert_refused(
            "field",
            attempt,
            register.add_field(FieldDefinition::text(attempt)).await,
        );
        assert_refused(
            "rename",
            attempt,
            register.rename_field("plain", attempt).await,
        );
        assert_refused(
            "rename",
            attempt,
            register.rename_field(attempt, "other").await,
        );
        let relationship = RelationshipDefinition::many_to_one(attempt, "values").inverse("others");
        assert_refused(
            "relationship",
            attempt,
            register.add_relationship(relationship).await,
        );
        let inverse = RelationshipDefinition::many_to_one("others", "values").inverse(attempt);
        assert_refused("inverse", attempt, register.add_relationship(inverse).await);

        let header = format!("\"{}\"\na\n", attempt.replace('"', "\"\""));
        assert_refused(
            "import",
            attempt,
            register.import(ImportFormat::Csv, header.as_bytes()).await,
        );
        let exported: Result<Vec<Vec<u8>>, DataError> = register
            .export(ExportFormat::Csv)
            .fields([attempt])
            .stream()
            .try_collect()
            .await;
        assert_refused("export", attempt, exported);
    }
    assert_eq!(world.snapshot().await, before, "nothing was written");
}

/// Labels, options and formulas hold any text, and none of it is run.
#[tokio::test]
async fn text_of_definitions_is_text() {
    let world = World::create().await;
    for (n, attempt) in ATTEMPTS.into_iter().enumerate() {
        let quoted = attempt.replace('\\', "\\\\").replace('\'', "\\'");
        let fields = [
            FieldDefinition::text("name")
                .label(attempt)
                .description(attempt)
                .default_value(attempt),
            FieldDefinition::one_of("status", ["plain", attempt]).indexed(),
        ];
        let register = world
            .register(definition(&format!("r{n}"), fields).label(attempt))
            .await;
        let row = create(&register, json!({"status": attempt})).await;
        assert_eq!(row.get("name"), Some(&Value::from(attempt)), "the default");
        let found = RowQuery::new(&register)
            .filter(field("status").eq(attempt))
            .count_rows()
            .await;
        assert_eq!(found.unwrap(), 1);
        assert_eq!(register.refresh().await.unwrap().label(), Some(attempt));
        // A literal of a formula is a value; whether this one can be written is the grammar's to say.
        let formula = FieldDefinition::formula("f", format!("concat('{quoted}', name)"));
        match register.add_field(formula).await {
            Ok(register) => {
                let row = create(&register, json!({"name": "", "status": "plain"})).await;
                assert!(row.get("f").is_none_or(|value| value.as_str().is_some()));
            }
            Err(error) => assert_eq!(error.kind(), DataErrorKind::Invalid, "{attempt}: {error:?}"),
        }
    }
    assert_eq!(
        world.tenant().registers().await.unwrap().len(),
        ATTEMPTS.len()
    );
}
