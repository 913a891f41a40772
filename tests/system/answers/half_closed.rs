//! A client that ends its side of the connection right after the request, as `nc -N` does: it still gets its answer.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use system_tests::{Call, assert_level, with_pair};

use super::{
    SLOTS, batch, create, get, patch,
    problem::{Inside, check_problem},
    state,
};

/// How long the service waits for such a client, and a little for the way.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn a_request_of_a_client_that_closes_its_side_is_answered() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        let before = state(pair).await?;

        for number in 0..20 {
            let call = create(json!({ "name": format!("Slot {number}") }).to_string());
            let made = call.send_and_shut(&address).await?.slot(201)?;
            assert_eq!(made.name, format!("Slot {number}"));
        }

        assert_eq!(state(pair).await?.0, before.0 + 20, "each is carried out once");
        batch("[{\"name\":\"A\"},{\"name\":\"B\"}]").send_and_shut(&address).await?.expect(201)?;
        let slot = create("{\"name\":\"C\"}").chunked().send_and_shut(&address).await?.slot(201)?.uuid;
        patch(slot, "{\"name\":\"D\"}").send_and_shut(&address).await?.slot(200)?;
        assert_level(pair).await?;
        let one = format!("{SLOTS}/{slot}");
        for path in [SLOTS, "/parking-slots/summary", &one, "/readyz"] {
            get(path).send_and_shut(&address).await?.expect(200)?;
        }
        Call::new("DELETE", one).send_and_shut(&address).await?.expect(204)?;
        Ok(())
    })
}

#[test]
fn a_client_that_closes_its_side_is_answered_soon_and_holds_no_place() -> Result<()> {
    with_pair(async |pair| {
        let address = pair.command_service().address();
        assert_level(pair).await?;
        pair.event_consumer().stop().await?;
        let made = create("{\"name\":\"Slot 1\"}").send(&address).await?.expect(201)?;
        let receipt = made.header("write-receipt").unwrap_or_default();
        let waiting = get(format!("{SLOTS}?receipt={receipt}&wait_ms=11000"));
        let contented = get(format!("{SLOTS}?receipt={receipt}&wait_ms=11000&on_timeout=stale"));

        let behind = waiting.send_and_shut(&address).await?.expect(504)?;
        let stale = contented.send_and_shut(&address).await?.expect(200)?;

        check_problem(&behind, &Inside::of(pair))?;
        assert_eq!(stale.header("freshness-result"), Some("stale"));
        for reply in [behind, stale] {
            ensure!(reply.took < PATIENCE, "it was waited for {:?}", reply.took);
        }
        Ok(())
    })
}
