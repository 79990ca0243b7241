// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The doctor finds what is missing, and what it prescribes mends it.

use forktex_db::{Db, Model, ModelInfo, SchemaProblem, SchemaReport, sqlx};
use sqlx::{AssertSqlSafe, Executor};

use crate::models::{Client, Invoice, Models, User};
use crate::setup::options;

const MODELS: [&ModelInfo; 3] = [User::INFO, Client::INFO, Invoice::INFO];

async fn check(db: &Db) -> SchemaReport {
    db.check_schema_of(&MODELS).await.unwrap()
}

#[tokio::test]
async fn tables_made_from_the_models_are_sound() {
    let models = Models::create().await;
    let report = check(&models.db).await;
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.to_string(), "3 models agree with the database\n");
    let all = models.db.check_schema().await.unwrap();
    assert!(
        all.models >= MODELS.len(),
        "all models of the program are found"
    );
    assert!(all.is_sound(), "{all}");
}

/// One damage at a time: it is found, alone, and the fix brings the table back.
#[tokio::test]
async fn each_damage_is_found_and_mended() {
    let models = Models::create().await;
    let owner = &models.owner;
    let text = str::to_owned;
    let columns = |names: &[&str]| names.iter().copied().map(text).collect::<Vec<_>>();
    for (damage, problem) in [
        (
            "ALTER TABLE app.user DROP COLUMN age",
            SchemaProblem::MissingColumn {
                column: text("age"),
            },
        ),
        (
            "ALTER TABLE app.user ALTER COLUMN version TYPE integer",
            SchemaProblem::WrongType {
                column: text("version"),
                found: text("integer"),
                expected: "bigint",
            },
        ),
        (
            "ALTER TABLE app.user ALTER COLUMN role DROP NOT NULL",
            SchemaProblem::MayBeNull {
                column: text("role"),
            },
        ),
        (
            "ALTER TABLE app.user ALTER COLUMN age SET NOT NULL",
            SchemaProblem::MustNotBeNull {
                column: text("age"),
            },
        ),
        (
            "ALTER TABLE app.user DROP CONSTRAINT user_pkey",
            SchemaProblem::MissingPrimaryKey,
        ),
        (
            "DROP INDEX app.user_email_key; CREATE UNIQUE INDEX user_email_all ON app.user (email)",
            SchemaProblem::MissingUniqueIndex {
                columns: columns(&["email"]),
            },
        ),
        (
            "DROP INDEX app.invoice_number_key",
            SchemaProblem::MissingUniqueIndex {
                columns: columns(&["org_id", "number"]),
            },
        ),
        (
            "ALTER TABLE app.invoice DROP CONSTRAINT invoice_org_id_id_key",
            SchemaProblem::MissingOrgIndex {
                column: text("org_id"),
            },
        ),
        (
            "ALTER TABLE app.invoice DROP CONSTRAINT invoice_org_id_client_id_fkey;
             ALTER TABLE app.invoice ADD FOREIGN KEY (client_id) REFERENCES app.client (id)",
            SchemaProblem::MissingReference {
                columns: columns(&["org_id", "client_id"]),
            },
        ),
        (
            "ALTER TABLE app.client DISABLE ROW LEVEL SECURITY",
            SchemaProblem::RowSecurityOff,
        ),
        (
            "ALTER TABLE app.client NO FORCE ROW LEVEL SECURITY",
            SchemaProblem::RowSecurityNotForced,
        ),
        (
            "DROP POLICY forktex_org ON app.client",
            SchemaProblem::MissingPolicy,
        ),
        (
            "DROP POLICY forktex_org ON app.client; CREATE POLICY forktex_org ON app.client USING (true)",
            SchemaProblem::MissingPolicy,
        ),
        (
            "CREATE POLICY others ON app.client USING (true)",
            SchemaProblem::WideningPolicy {
                policy: text("others"),
            },
        ),
    ] {
        owner.pool().execute(damage).await.unwrap();
        let report = check(&models.db).await;
        let problems: Vec<_> = report
            .findings
            .iter()
            .map(|finding| &finding.problem)
            .collect();
        assert_eq!(problems, [&problem], "{damage}");
        let fix = report.findings[0].fix.clone();
        owner
            .pool()
            .execute(AssertSqlSafe(fix.clone()))
            .await
            .unwrap();
        let report = check(&models.db).await;
        assert!(report.is_sound(), "{fix} does not mend {damage}: {report}");
    }
}

#[tokio::test]
async fn what_sql_alone_does_not_mend_is_found_too() {
    let models = Models::create().await;
    let superuser = models.database.superuser_url();
    let superuser = Db::connect(superuser, options()).await.unwrap();
    let report = check(&superuser).await;
    let of_role =
        |finding: &forktex_db::SchemaFinding| finding.problem == SchemaProblem::RoleNotBound;
    assert_eq!(report.findings.len(), 2, "{report}");
    assert!(report.findings.iter().all(of_role), "{report}");

    models
        .owner
        .pool()
        .execute("ALTER TABLE app.client ADD COLUMN vat text NOT NULL; DROP TABLE app.user")
        .await
        .unwrap();
    let report = check(&models.db).await;
    let problems: Vec<_> = report
        .findings
        .iter()
        .map(|finding| &finding.problem)
        .collect();
    let required = SchemaProblem::UnknownRequiredColumn {
        column: "vat".to_owned(),
    };
    assert_eq!(problems, [&SchemaProblem::MissingTable, &required]);
    let text = report.to_string();
    assert!(
        text.contains("app.user: the table is not there\n    run the migrations"),
        "{text}"
    );
}
