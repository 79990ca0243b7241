-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Clients and invoices. What belongs to one organisation refers to rows of the same one, and the server
-- itself keeps organisations apart: the sub-selects are evaluated once a statement, not once a row.

CREATE TABLE shop.client (
    id          uuid PRIMARY KEY,
    org_id      uuid NOT NULL,
    email       text NOT NULL,
    archived_at timestamptz,
    UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX client_email_key ON shop.client (org_id, email) WHERE archived_at IS NULL;
ALTER TABLE shop.client ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.client FORCE ROW LEVEL SECURITY;
CREATE POLICY forktex_org ON shop.client USING (
    org_id >= (SELECT coalesce(nullif(nullif(current_setting('forktex.org_id', true), ''), '*'), CASE current_setting('forktex.org_id', true) WHEN '*' THEN '00000000-0000-0000-0000-000000000000' END)::uuid)
    AND org_id <= (SELECT coalesce(nullif(nullif(current_setting('forktex.org_id', true), ''), '*'), CASE current_setting('forktex.org_id', true) WHEN '*' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' END)::uuid)
);

CREATE TABLE shop.invoice (
    id         uuid PRIMARY KEY,
    org_id     uuid NOT NULL,
    number     integer NOT NULL,
    client_id  uuid NOT NULL,
    cents      bigint NOT NULL,
    paid_at    timestamptz,
    iban       bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version    bigint NOT NULL,
    UNIQUE (org_id, id),
    FOREIGN KEY (org_id, client_id) REFERENCES shop.client (org_id, id)
);
CREATE UNIQUE INDEX invoice_number_key ON shop.invoice (org_id, number);
-- For the list of invoices, the dearest first.
CREATE INDEX invoice_cents_idx ON shop.invoice (org_id, cents DESC, id);
ALTER TABLE shop.invoice ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.invoice FORCE ROW LEVEL SECURITY;
CREATE POLICY forktex_org ON shop.invoice USING (
    org_id >= (SELECT coalesce(nullif(nullif(current_setting('forktex.org_id', true), ''), '*'), CASE current_setting('forktex.org_id', true) WHEN '*' THEN '00000000-0000-0000-0000-000000000000' END)::uuid)
    AND org_id <= (SELECT coalesce(nullif(nullif(current_setting('forktex.org_id', true), ''), '*'), CASE current_setting('forktex.org_id', true) WHEN '*' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' END)::uuid)
);
