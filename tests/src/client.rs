//! The calls of the HTTP interface.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, IF_MATCH},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::service::Address;

/// Longer than any answer may take: a command has 10 s and a little more.
const ANSWER_DEADLINE: Duration = Duration::from_secs(12);

/// How long an idle connection is kept: shorter than the service keeps it, or a call might be sent on one that is just
/// being closed.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// How many slots a page of [`Client::list_all`] has.
const PAGE: usize = 1000;

/// A parking slot as HTTP shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The identity.
    pub uuid: Uuid,
    /// What people call it.
    pub name: String,
    /// `available`, `reserved`, `occupied` or `blocked`.
    pub status: String,
    /// 1 when created, one more with each change.
    pub version: i64,
    /// Commit time of the create.
    pub created_at: Timestamp,
    /// Commit time of this version.
    pub updated_at: Timestamp,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `null` when there is none or it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
    /// From the call to the last byte.
    pub took: Duration,
}

impl Reply {
    /// The slot in an answer of this status.
    ///
    /// # Errors
    /// Another status, or not a slot.
    pub fn slot(self, expected: u16) -> Result<Slot> {
        let body = self.expect(expected)?.body;
        serde_json::from_value(body.clone()).with_context(|| format!("not a slot: {body}"))
    }

    /// The answer itself, if it has this status.
    ///
    /// # Errors
    /// Another status.
    pub fn expect(self, expected: u16) -> Result<Self> {
        ensure!(
            self.status.as_u16() == expected,
            "{expected} was expected, and {} came: {}",
            self.status,
            self.body
        );
        Ok(self)
    }

    /// The name of the problem, without `/problems/`; empty when it is none.
    #[must_use]
    pub fn problem(&self) -> &str {
        let name = self.body["type"].as_str().unwrap_or_default();
        name.strip_prefix("/problems/").unwrap_or_default()
    }

    /// A header's text, if it is there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A page of the list.
#[derive(Clone, Debug, Deserialize)]
pub struct Page {
    /// The slots.
    pub items: Vec<Slot>,
    /// Where the next page begins; none on the last one.
    pub next_cursor: Option<String>,
}

/// A client of one service.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
}

impl Client {
    /// A client of whoever listens at `address` when a call is made.
    #[must_use]
    pub fn new(address: Address) -> Self {
        let http = reqwest::Client::builder().pool_idle_timeout(IDLE_MAX).build();
        Self { http: http.unwrap_or_default(), address }
    }

    /// `POST /parking-slots` with a name only.
    ///
    /// # Errors
    /// No answer.
    pub async fn create(&self, name: &str) -> Result<Reply> {
        self.call(Method::POST, "/parking-slots", Some(json!({ "name": name }))).await
    }

    /// Creates a slot, which must succeed.
    ///
    /// # Errors
    /// It did not.
    pub async fn created(&self, name: &str) -> Result<Slot> {
        self.create(name).await?.slot(201)
    }

    /// `PATCH /parking-slots/{uuid}` with this body.
    ///
    /// # Errors
    /// No answer.
    pub async fn change(&self, uuid: Uuid, patch: Value) -> Result<Reply> {
        self.call(Method::PATCH, &format!("/parking-slots/{uuid}"), Some(patch)).await
    }

    /// `DELETE /parking-slots/{uuid}`.
    ///
    /// # Errors
    /// No answer.
    pub async fn delete(&self, uuid: Uuid) -> Result<Reply> {
        self.call(Method::DELETE, &format!("/parking-slots/{uuid}"), None).await
    }

    /// `GET /parking-slots/{uuid}`.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&self, uuid: Uuid) -> Result<Reply> {
        self.call(Method::GET, &format!("/parking-slots/{uuid}"), None).await
    }

    /// `GET /parking-slots` with this query, which begins with `?` unless it is empty.
    ///
    /// # Errors
    /// No answer.
    pub async fn list(&self, query: &str) -> Result<Reply> {
        self.call(Method::GET, &format!("/parking-slots{query}"), None).await
    }

    /// Every slot, page by page.
    ///
    /// # Errors
    /// A page is not 200, or holds nothing though more was promised.
    pub async fn list_all(&self) -> Result<Vec<Slot>> {
        let mut slots = Vec::new();
        let mut query = format!("?limit={PAGE}");
        loop {
            let page: Page = serde_json::from_value(self.list(&query).await?.expect(200)?.body)?;
            slots.extend(page.items.iter().cloned());
            let Some(cursor) = page.next_cursor else {
                return Ok(slots);
            };
            ensure!(!page.items.is_empty(), "a page with a next_cursor holds nothing");
            query = format!("?limit={PAGE}&cursor={cursor}");
        }
    }

    /// `GET /parking-slots/summary`.
    ///
    /// # Errors
    /// No answer.
    pub async fn summary(&self) -> Result<Reply> {
        self.get_path("/parking-slots/summary").await
    }

    /// `GET /readyz`.
    ///
    /// # Errors
    /// No answer.
    pub async fn readyz(&self) -> Result<Reply> {
        self.get_path("/readyz").await
    }

    /// `GET` of any path.
    ///
    /// # Errors
    /// No answer.
    pub async fn get_path(&self, path: &str) -> Result<Reply> {
        self.call(Method::GET, path, None).await
    }

    /// A call with `If-Match`.
    ///
    /// # Errors
    /// No answer.
    pub async fn call_if_match(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        if_match: &str,
    ) -> Result<Reply> {
        let request = self.request(method, path, body).header(IF_MATCH, if_match);
        Ok(send(request).await?)
    }

    /// A call with `Idempotency-Key`.
    ///
    /// # Errors
    /// No answer.
    pub async fn call_with_key(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        key: &str,
    ) -> Result<Reply> {
        let request = self.request(method, path, body).header("Idempotency-Key", key);
        Ok(send(request).await?)
    }

    /// Creates a slot, with these headers.
    ///
    /// # Errors
    /// No answer.
    pub async fn create_with(&self, name: &str, headers: &[(&'static str, &str)]) -> Result<Reply> {
        let request = self.request(Method::POST, "/parking-slots", Some(json!({ "name": name })));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(send(request).await?)
    }

    /// A call with these headers and without a body.
    ///
    /// # Errors
    /// No answer.
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Reply> {
        let request = self.request(method, path, None);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(send(request).await?)
    }

    /// Any call.
    ///
    /// # Errors
    /// No answer; [`Client::try_call`] tells more.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Reply> {
        Ok(self.try_call(method, path, body).await?)
    }

    /// Any call; the error says whether the request can have reached the service.
    ///
    /// # Errors
    /// No answer.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Reply, reqwest::Error> {
        send(self.request(method, path, body)).await
    }

    fn request(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.address.get());
        let request = self.http.request(method, url).timeout(ANSWER_DEADLINE);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    }
}

async fn send(request: reqwest::RequestBuilder) -> Result<Reply, reqwest::Error> {
    let start = Instant::now();
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Reply {
        status,
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
        took: start.elapsed(),
    })
}
