//! `Content-Type` and `Content-Encoding`.

use anyhow::Result;
use system_tests::{Call, with_pair};

use super::{BATCH, Case, SLOTS, check_refusals};

const UNSUPPORTED: &str = "unsupported-media-type";
const BODY: &str = "{\"name\":\"A\"}";

#[test]
fn a_body_of_another_media_type_is_refused() -> Result<()> {
    with_pair(async |pair| {
        let uuid = pair.client().created("Slot 1").await?.uuid;
        let slot = format!("{SLOTS}/{uuid}");
        let types: [(&[u8], &str); 9] = [
            (b"", "empty"),
            (b"text/plain", "text"),
            (b"application/x-www-form-urlencoded", "a form"),
            (b"multipart/form-data; boundary=x", "a form of parts"),
            (b"application/jsonp", "a longer word"),
            (b"application/json-patch+json", "another kind of patch"),
            (b"application/problem+json", "JSON with another meaning"),
            (b"application/*", "a range"),
            (b"application/json\xff", "no text"),
        ];

        let mut cases = vec![
            Case::new("none", Call::new("POST", SLOTS).body(BODY), UNSUPPORTED),
            Case::new("none", Call::new("PATCH", slot.as_str()).body(BODY), UNSUPPORTED),
            Case::new("neither type nor body", Call::new("POST", SLOTS), UNSUPPORTED),
        ];
        for (media_type, reason) in types {
            for (method, target) in [("POST", SLOTS), ("POST", BATCH), ("PATCH", &slot)] {
                let call = Call::new(method, target).header("Content-Type", media_type).body(BODY);
                cases.push(Case::new(reason, call, UNSUPPORTED));
            }
        }
        for charset in ["iso-8859-1", "\"iso-8859-1\"", "utf-16", "utf8", "", "\"utf-8"] {
            let media_type = format!("application/json ; x=y; Charset={charset}");
            for (method, target) in [("POST", SLOTS), ("POST", BATCH), ("PATCH", &slot)] {
                let call = Call::new(method, target).header("Content-Type", media_type.clone()).body(BODY);
                cases.push(Case::new("a body in another charset", call, UNSUPPORTED));
            }
        }
        for target in [SLOTS, BATCH] {
            let call =
                Call::new("POST", target).header("Content-Type", "application/merge-patch+json").body(BODY);
            cases.push(Case::new("a create patches nothing", call, UNSUPPORTED));
        }
        for encoding in ["gzip", "deflate", "br", "zstd", "gzip, identity", "identity, gzip", "x"] {
            for (method, target) in [("POST", SLOTS), ("POST", BATCH), ("PATCH", &slot)] {
                let call = Call::new(method, target).json(BODY).header("Content-Encoding", encoding);
                cases.push(Case::new("an encoded body", call, UNSUPPORTED));
            }
        }
        let twice = Call::new("POST", SLOTS).json(BODY);
        let twice = twice.header("Content-Encoding", "identity").header("Content-Encoding", "gzip");
        cases.push(Case::new("the encodings of all lines count", twice, UNSUPPORTED));
        let twice = Call::new("POST", SLOTS).json(BODY).header("Content-Type", "text/plain");
        cases.push(Case::new("two media types are none", twice, UNSUPPORTED));

        check_refusals(pair, cases).await
    })
}

#[test]
fn json_is_taken_however_its_media_type_is_spelt() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let slot = format!("{SLOTS}/{}", pair.client().created("Slot 1").await?.uuid);
        let types = [
            "application/json",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "Application/JSON",
            "application/json ; x=y",
            "application/json; x=y; CHARSET=Utf-8",
        ];

        for media_type in types {
            for (method, target, status) in [("POST", SLOTS, 201), ("PATCH", &slot, 200)] {
                let call = Call::new(method, target).header("Content-Type", media_type).body(BODY);
                call.send(&address).await?.expect(status)?;
            }
        }

        let merge = Call::new("PATCH", slot.as_str()).header("Content-Type", "application/merge-patch+json");
        merge.body("{\"status\":\"blocked\"}").send(&address).await?.slot(200)?;
        let plain = Call::new("POST", SLOTS).json(BODY).header("Content-Encoding", "identity");
        plain.send(&address).await?.expect(201)?;
        Ok(())
    })
}
