-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Payloads that a cipher of the service has sealed, beside plain ones.
--
-- A sealed input, failure or entry is a JSON string where a plain one is an object. NOT VALID, as the
-- rows that are there satisfy it all the same: what held them until now was narrower.
ALTER TABLE forktex_flow.instance
    DROP CONSTRAINT instance_input_check,
    ADD CONSTRAINT instance_input_check
        CHECK (jsonb_typeof(input) IN ('object', 'string')) NOT VALID;

ALTER TABLE forktex_flow.inbox
    -- Whether the payload is sealed: a plain one may be any JSON, a string too.
    ADD COLUMN is_sealed boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT inbox_sealed_check CHECK (kind = 1 OR NOT is_sealed) NOT VALID;
