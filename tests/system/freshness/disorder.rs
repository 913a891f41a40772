//! The bridge itself: without disorder the tests beyond it would show nothing.

use anyhow::{Result, ensure};
use system_tests::{
    Shape,
    bridge::{Bridge, Disorder},
    level::assert_level_with,
    load::{Load, MIXED},
    random::seed,
};

#[test]
fn what_crosses_the_bridge_comes_late_twice_and_out_of_order_and_is_all_applied() -> Result<()> {
    let bridged = Shape { bridged: true, started: false, ..Shape::default() };
    bridged.run(async |pair| {
        let seed = seed();
        let bridge = Bridge::open_before(pair, Disorder::STRONG, seed).await?;
        let load = Load::start(&[pair.client()], 8, MIXED, seed);

        load.progress(600).await?;
        let history = load.finish().await?;

        let everything = assert_level_with(pair, &history).await?;
        let crossings = bridge.close_after(i64::try_from(everything.events.len())?).await?;
        assert_eq!(crossings.received.len(), everything.events.len(), "every event went onto it");
        ensure!(crossings.inversions >= 50, "{} events came after a later one", crossings.inversions);
        ensure!(crossings.duplicates >= 50, "{} events came twice", crossings.duplicates);
        ensure!(crossings.messages >= 100, "{} messages", crossings.messages);
        Ok(())
    })
}
