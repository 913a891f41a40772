//! The page behind each problem's `type`: what the problem means, whether anything changed, and what the client can
//! do.

use super::problem_types::ProblemType;

impl ProblemType {
    /// The page of this type.
    #[must_use]
    pub fn page(self) -> String {
        let (name, title, status) = self.describe();
        let effect = match self {
            Self::OutcomeUnknown => "The change may have been made, or may yet be.",
            _ => "Nothing happened.",
        };
        let advice = ADVICE.iter().find(|(kind, _)| *kind == self).map_or("", |(_, advice)| advice);
        format!("{name} ({status})\n\n{title}. {effect}\n\n{advice}\n")
    }
}

/// What the client can do, for each type.
const ADVICE: [(ProblemType, &str); 24] = [
    (
        ProblemType::MalformedRequest,
        "Check the request line, the headers and the length of the body: they must be valid HTTP/1.1. Encode \
         every character of the target that is not ASCII. The service closes the connection, so send the next \
         request on a new one.",
    ),
    (
        ProblemType::MalformedJson,
        "Send one JSON document in UTF-8, whole, and with each member once. `detail` says where reading ended.",
    ),
    (
        ProblemType::UnknownField,
        "Remove the fields that `errors` names, or spell them right: case matters. `name` and `status` can be \
         set. Uuid, version and times are made by the service.",
    ),
    (
        ProblemType::InvalidParameter,
        "`detail` names the parameter or header, and the rule that it breaks. Correct it or leave it out. The \
         service refuses what it does not know, since a parameter without effect would mislead.",
    ),
    (
        ProblemType::MalformedReceipt,
        "Hand back a receipt exactly as this register gave it, in `Write-Receipt` or `Freshness-Receipt`. A \
         receipt of another installation has no meaning here. Without a receipt, read again with \
         `consistency=strong`.",
    ),
    (
        ProblemType::NotFound,
        "Check the path: `detail` says which ones exist. A slot that was created a moment ago may not have \
         reached the replica: read again with the receipt of its create. A slot that was deleted does not \
         come back.",
    ),
    (
        ProblemType::MethodNotAllowed,
        "The header `Allow` names the methods of this path. Send one of them, or check the path.",
    ),
    (
        ProblemType::RequestTimeout,
        "The head of a request must arrive within 5 s, and then its body within 5 s. Send it again, at once \
         and whole. Split a large batch if the network is slow.",
    ),
    (
        ProblemType::DeadLettered,
        "The write is in the log, but the replica could not apply it, so waiting does not help. Read without \
         this receipt, or tell the operator: `event-consumer dead-letters` shows the reason.",
    ),
    (
        ProblemType::ForeignReceipt,
        "Drop the receipts from before: the log that they belong to has ended. Read what is there now, and \
         repeat your last writes if they are missing.",
    ),
    (
        ProblemType::IdempotencyKeyInUse,
        "Wait as long as `Retry-After` says, and send the same request with the same key again. It then gets \
         the answer of the first request.",
    ),
    (
        ProblemType::VersionMismatch,
        "Read the slot again, with the `Write-Receipt` of this answer as `receipt`. Decide whether your change \
         still holds. Then send it with the entity tag of that version in `If-Match`.",
    ),
    (
        ProblemType::TooLarge,
        "A body has at most 64 KiB, and a batch of creates at most 4 MiB and 1,000 slots. Split a larger batch \
         into several requests.",
    ),
    (
        ProblemType::HeadTooLarge,
        "The target and the headers together have at most 128 KiB and 96 lines. Send fewer or shorter ones, \
         cookies for instance. The service closes the connection, so send the next request on a new one.",
    ),
    (
        ProblemType::UnsupportedMediaType,
        "Send `Content-Type: application/json`, for PATCH also `application/merge-patch+json`. The charset is \
         UTF-8 and may be left out. The body must not be compressed.",
    ),
    (
        ProblemType::MisdirectedRequest,
        "The processes of this register share its roles: command, query and relay. `detail` says which one this \
         request needs. Send it to a process with that role, or to the gateway in front of all processes. The \
         operator sees the roles of a process in `/readyz`.",
    ),
    (
        ProblemType::InvalidValue,
        "`errors` names each place in the body, as a JSON pointer, and the rule that it breaks. Correct all of \
         them and send the request again.",
    ),
    (
        ProblemType::IdempotencyKeyReused,
        "Use a new key for each new request. To repeat a request, send method, path, `If-Match` and body \
         exactly as the first time.",
    ),
    (
        ProblemType::Internal,
        "This is a fault of the service, and trying again may not help. Give the operator the `instance` of the \
         problem: the logs carry it.",
    ),
    (
        ProblemType::PrimaryUnavailable,
        "Commands and strong reads need the primary database. Try again after `Retry-After`: the same request \
         is safe, since nothing was changed. Other reads are answered meanwhile.",
    ),
    (
        ProblemType::ReplicaUnavailable,
        "Reads need the replica database. Try again after `Retry-After`. Commands are carried out meanwhile.",
    ),
    (
        ProblemType::Overloaded,
        "Too many requests wait, or the request waited too long for its turn. Try again after `Retry-After`, \
         with longer pauses if it happens again. Send fewer requests at once.",
    ),
    (
        ProblemType::OutcomeUnknown,
        "Send the same request with the same `Idempotency-Key` again: it is carried out at most once. Without \
         a key, look whether the change was made before you try again.",
    ),
    (
        ProblemType::ReplicaBehind,
        "Wait longer with `wait_ms`, up to 30000, or try again after `Retry-After`. To take what is there, ask \
         with `on_timeout=stale`. `detail` says how far behind the replica is, and which dependencies are down.",
    ),
];
