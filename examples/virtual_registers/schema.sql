-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- A table that the service had before it had registers. Its own code writes it.

CREATE TABLE shop.client (
    id      bigint NOT NULL,
    org_id  uuid NOT NULL,
    name    text NOT NULL,
    country text,
    cents   bigint NOT NULL,
    PRIMARY KEY (org_id, id)
);
