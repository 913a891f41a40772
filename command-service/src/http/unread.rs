//! Keeps the body of a refused request until its answer is sent.
//!
//! If the reader of a chunked body is dropped early, actix reads and discards the rest for as long as the client sends.
//! A reader that lives until the answer is sent lets actix close the connection then.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    web::Bytes,
};
use futures_util::Stream;

/// A request's body, shared with the handler, which may read it.
#[derive(Clone)]
pub struct KeptBody(Rc<RefCell<Payload>>);

impl KeptBody {
    /// Keeps the body of `request`, if it has one.
    pub fn of(request: &mut ServiceRequest) -> Option<Self> {
        let body = request.take_payload();
        if matches!(body, Payload::None) {
            return None;
        }
        let kept = Self(Rc::new(RefCell::new(body)));
        request.set_payload(Payload::Stream { payload: Box::pin(kept.clone()) });
        Some(kept)
    }

    /// Keeps the body until `response` is sent.
    #[must_use]
    pub fn until_sent(self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        response.map_body(|_, answer| BoxBody::new(HeldAnswer { answer, _kept: self }))
    }
}

impl Stream for KeptBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(cx)
    }
}

/// An answer's body, which keeps the request's body alive.
struct HeldAnswer {
    answer: BoxBody,
    _kept: KeptBody,
}

impl MessageBody for HeldAnswer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(cx)
    }
}
