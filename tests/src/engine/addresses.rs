//! Addresses for the networks of the engine.

use anyhow::{Context, Result};

/// Private addresses to which this machine has no route. The routes are those of `/proc/net/route`.
pub(super) fn free_pool(routes: &str) -> Result<String> {
    const CANDIDATES: std::ops::Range<u32> = 213..245;
    const POOL_MASK: u32 = 0xFFFF_0000;
    let taken: Vec<(u32, u32)> = routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let number =
                |column: usize| u32::from_str_radix(columns.get(column)?, 16).ok().map(u32::swap_bytes);
            Some((number(1)?, number(7)?))
        })
        .filter(|(_, mask)| *mask != 0)
        .collect();
    let is_free = |second: &u32| {
        let base = (10 << 24) | (second << 16);
        taken.iter().all(|(network, mask)| (base & mask & POOL_MASK) != (network & mask & POOL_MASK))
    };
    let second = CANDIDATES.clone().find(is_free).context("every private network of the tests is taken")?;
    Ok(format!("10.{second}.0.0/16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_of_the_engine_are_those_to_which_there_is_no_route() -> Result<()> {
        let header = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let cases = [
            ("eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0", "10.213.0.0/16", "a default route"),
            ("eth0 0000D50A 00000000 0001 0 0 0 0000FFFF 0 0 0", "10.214.0.0/16", "the first pool"),
            ("eth0 0005D50A 00000000 0001 0 0 0 00FFFFFF 0 0 0", "10.214.0.0/16", "a part of the first pool"),
            (
                "eth0 0000D40A 00000000 0001 0 0 0 0000FEFF 0 0 0",
                "10.214.0.0/16",
                "a range with the first pool",
            ),
        ];

        for (route, due, reason) in cases {
            assert_eq!(free_pool(&format!("{header}{route}\n"))?, due, "{reason}");
        }
        let all = "tun0 0000000A 00000000 0001 0 0 0 000000FF 0 0 0";
        assert!(free_pool(&format!("{header}{all}\n")).is_err(), "all of 10.0.0.0/8");
        Ok(())
    }
}
