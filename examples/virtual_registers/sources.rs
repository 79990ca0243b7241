// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! To copy: a register behind an API, one that is computed, and one over a table.

use std::error::Error;
use std::net::SocketAddr;

use forktex::data::{
    BoundRegister, FieldDefinition, Operator, Paging, VirtualCapabilities, VirtualError,
    VirtualPage, VirtualPosition, VirtualRegister, VirtualRequest, VirtualRow, async_trait,
};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::api::{Answer, Search};
use crate::client::{Client, clients};

/// What each of the registers has. A service would rather have different ones; here they are compared.
fn fields() -> Vec<FieldDefinition> {
    vec![
        FieldDefinition::text("name").required().searchable(),
        FieldDefinition::text("country"),
        FieldDefinition::integer("revenue").required(),
    ]
}

/// Clients that another company keeps.
pub(crate) struct RemoteClients {
    address: SocketAddr,
    rows_max: usize,
}

impl RemoteClients {
    /// `rows_max` is how many clients one query may bring into memory.
    pub(crate) fn new(address: SocketAddr, rows_max: usize) -> Self {
        Self { address, rows_max }
    }

    async fn ask(&self, search: &Search) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the response, or when that is dropped.
        tokio::spawn(connection);
        let request = Request::post("/search")
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(serde_json::to_vec(search)?)))?;
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("the API answered {}", response.status()).into());
        }
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

#[async_trait]
impl VirtualRegister for RemoteClients {
    fn fields(&self) -> Vec<FieldDefinition> {
        fields()
    }

    fn capabilities(&self) -> VirtualCapabilities {
        VirtualCapabilities::new()
            .filters("revenue", [Operator::Gte])
            .sorts_by(["revenue"])
            .paging(Paging::Cursor)
            .rows_max(self.rows_max)
    }

    async fn fetch(
        &self,
        tenant: Uuid,
        request: &VirtualRequest,
    ) -> Result<VirtualPage, VirtualError> {
        // Only what the capabilities name can be asked for.
        let revenues = request.conditions.iter();
        let revenues = revenues.filter_map(|condition| condition.operands.first()?.as_integer());
        let search = Search {
            org: tenant,
            revenue_min: revenues.max(),
            sort_descending: request.sort.first().map(|key| key.is_descending),
            after: match &request.position {
                VirtualPosition::Cursor(after) => Some(after.clone()),
                _ => None,
            },
        };
        let answer = self.ask(&search).await.map_err(VirtualError::unavailable)?;
        let page = VirtualPage::new(answer.clients.into_iter().map(row));
        Ok(match answer.after {
            Some(after) => page.next(after),
            None => page,
        })
    }
}

/// Clients that are computed when they are asked for, for one organisation.
pub(crate) struct ComputedClients {
    pub(crate) org: Uuid,
}

#[async_trait]
impl VirtualRegister for ComputedClients {
    fn fields(&self) -> Vec<FieldDefinition> {
        fields()
    }

    async fn fetch(
        &self,
        tenant: Uuid,
        _request: &VirtualRequest,
    ) -> Result<VirtualPage, VirtualError> {
        let clients = clients().into_iter().filter(|_| tenant == self.org);
        Ok(VirtualPage::new(clients.map(row)))
    }
}

fn row(client: Client) -> VirtualRow {
    let country = client.country.map_or(Value::Null, Value::String);
    VirtualRow::new(client.id)
        .set("name", client.name)
        .set_json("country", country)
        .set("revenue", client.revenue)
}

/// The clients in the service's own table.
pub(crate) fn table_of_clients() -> BoundRegister {
    let columns = ["name", "country", "cents"].into_iter().zip(fields());
    let register = BoundRegister::table("shop", "client")
        .named("table_clients")
        .id("id")
        .tenant_column("org_id")
        .extended();
    columns.fold(register, |register, (column, field)| {
        register.column(column, field)
    })
}
