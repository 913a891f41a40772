//! Which shape the stack gets, and what stands in the way of another one.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use clap::Args;
use stack::{Part, Port, Shape, ports, shape::COUNT_MAX};

/// The shape asked for on the command line.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ShapeFlags {
    /// Query processes, 1 to 8; command-service then takes commands and relays only [default: as before, at first none]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(COUNT_MAX)))]
    query: Option<u8>,
    /// Replicas, 1 to 8, each with a consumer [default: as before, at first 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(COUNT_MAX)))]
    replicas: Option<u8>,
    /// Starts nginx in front: GET and HEAD go to the query processes, the rest to command-service [default: as before]
    #[arg(long)]
    pub(crate) gateway: bool,
}

impl ShapeFlags {
    /// The shape to use from now on: what the flags say, or else what it was. Nothing that runs is stopped or changed.
    pub(crate) fn choose(&self, former: Shape, runs: impl Fn(Part) -> bool) -> Result<Shape> {
        let chosen = Shape {
            query: self.query.unwrap_or(former.query),
            replicas: self.replicas.unwrap_or(former.replicas),
            gateway: self.gateway || former.gateway,
        };
        // Its queue would stay, and would fill.
        ensure!(
            chosen.replicas >= former.replicas,
            "there are {} replicas, each with data and a queue: only `cargo stack down --wipe` removes one",
            former.replicas
        );
        for part in former.parts().into_iter().filter(|part| runs(*part)) {
            if !chosen.parts().contains(&part) {
                bail!("{part} runs, and this shape has no {part}: `cargo stack stop {part}` first");
            }
            let is_same = chosen.arguments(part) == former.arguments(part)
                && chosen.replica_of(part) == former.replica_of(part);
            ensure!(
                is_same,
                "{part} runs, and this shape changes what it does: `cargo stack stop {part}` first"
            );
        }
        Ok(chosen)
    }

    /// The flags that would ask for this shape, as far as it is neither the usual one nor asked for by these.
    pub(crate) fn remembered(&self, shape: Shape) -> Vec<String> {
        let usual = Shape::default();
        let query =
            (self.query.is_none() && shape.query != usual.query).then(|| format!("--query {}", shape.query));
        let replicas = (self.replicas.is_none() && shape.replicas != usual.replicas)
            .then(|| format!("--replicas {}", shape.replicas));
        let gateway = (!self.gateway && shape.gateway).then(|| "--gateway".to_owned());
        query.into_iter().chain(replicas).chain(gateway).collect()
    }
}

/// The ports without a flag, for the parts of this shape: those that they had, or else free ones. While nothing runs,
/// one that another program has taken since is replaced.
pub(crate) fn further_ports(
    shape: Shape,
    former: &BTreeMap<Part, u16>,
    nothing_runs: bool,
) -> Result<BTreeMap<Part, u16>> {
    let mut chosen = former.clone();
    let have_one = |part: &Part| Port::of(*part).is_none();
    for part in shape.parts().into_iter().filter(have_one) {
        let usable = former.get(&part).is_some_and(|port| !nothing_runs || ports::is_free(*port));
        if !usable {
            chosen.insert(part, ports::free()?);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALED: Shape = Shape { query: 3, replicas: 2, gateway: true };

    fn all(_: Part) -> bool {
        true
    }

    fn nothing(_: Part) -> bool {
        false
    }

    fn flags(query: Option<u8>, replicas: Option<u8>) -> ShapeFlags {
        ShapeFlags { query, replicas, gateway: false }
    }

    #[test]
    fn the_shape_stays_until_another_is_asked_for() {
        let same = flags(None, None).choose(SCALED, all).expect("a shape");
        let more = flags(Some(5), None).choose(SCALED, all).expect("a shape");
        let first = ShapeFlags { gateway: true, ..flags(None, None) }.choose(Shape::default(), all);

        assert_eq!(same, SCALED);
        assert_eq!(flags(None, None).remembered(same), ["--query 3", "--replicas 2", "--gateway"]);
        assert_eq!(flags(Some(3), None).remembered(same), ["--replicas 2", "--gateway"]);
        assert_eq!(more, Shape { query: 5, ..SCALED }, "only more is started");
        assert_eq!(first.expect("a shape"), Shape { gateway: true, ..Shape::default() });
    }

    #[test]
    fn what_would_have_to_be_stopped_or_changed_is_refused_while_it_runs() {
        for (former, flags, expected, reason) in [
            (SCALED, flags(Some(2), None), "query-3 runs, and this shape has no query-3", "one less"),
            (
                SCALED,
                flags(None, Some(3)),
                "query-3 runs, and this shape changes",
                "it reads another replica",
            ),
            (Shape::default(), flags(Some(1), None), "command-service runs, and this shape changes", "roles"),
        ] {
            let refused = flags.choose(former, all).expect_err(reason).to_string();

            assert!(refused.starts_with(expected), "{reason}: {refused}");
            flags.choose(former, nothing).expect(reason);
        }
    }

    #[test]
    fn a_replica_is_not_forgotten_with_its_queue() {
        let refused = flags(None, Some(1)).choose(SCALED, nothing).expect_err("refused").to_string();

        assert!(refused.contains("cargo stack down --wipe"), "{refused}");
    }

    #[test]
    fn further_ports_stay() {
        let first = further_ports(SCALED, &BTreeMap::new(), true).expect("ports");
        let more = further_ports(Shape { query: 4, ..SCALED }, &first, false).expect("ports");

        let names: Vec<String> = first.keys().map(|part| part.name()).collect();
        assert_eq!(names, ["replica-2", "query-1", "query-2", "query-3", "event-consumer-2"]);
        assert!(first.iter().all(|(part, port)| more.get(part) == Some(port)), "{first:?} {more:?}");
        assert_eq!(more.len(), first.len() + 1);
    }
}
